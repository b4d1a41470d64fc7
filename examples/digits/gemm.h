// The matrix product that convolution and the linear layer rest on.
#pragma once

namespace digits {

// Element (i, j) is data[i*row + j*column].
struct Matrix {
    const float *data;
    int row, column;
};

// c += a b, with a m x k, b k x n, and c m x n, dense by rows. Each element of c adds its k
// products in order, so the result depends neither on the machine nor on m and n.
void add_product(int m, int n, int k, Matrix a, Matrix b, float *c);

}  // namespace digits
