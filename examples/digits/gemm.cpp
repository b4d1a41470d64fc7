#include "gemm.h"

#include <algorithm>
#include <vector>

namespace digits {
namespace {

// Sums that the compiler keeps in registers: 8 of SSE's 16, which every x86-64 has.
constexpr int kRows = 4, kColumns = 8;

// Rows of c from row i on, in a panel of kColumns columns, of which the first `columns` exist.
template <int Rows>
void add_block(int k, int columns, Matrix a, const float *panel, float *c, int n) {
    float sums[Rows][kColumns] = {};
    for (int l = 0; l < k; ++l)
        for (int i = 0; i < Rows; ++i)
            for (int j = 0; j < kColumns; ++j) sums[i][j] += a.data[i * a.row + l * a.column] * panel[l * kColumns + j];
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < columns; ++j) c[i * n + j] += sums[i][j];
}

}  // namespace

void add_product(int m, int n, int k, Matrix a, Matrix b, float *c) {
    thread_local std::vector<float> panel;
    panel.assign(std::size_t(k) * kColumns, 0.0f);
    for (int j = 0; j < n; j += kColumns) {
        const int columns = std::min(kColumns, n - j);
        for (int l = 0; l < k; ++l)
            for (int jj = 0; jj < columns; ++jj) panel[l * kColumns + jj] = b.data[l * b.row + (j + jj) * b.column];
        int i = 0;
        for (; i + kRows <= m; i += kRows)
            add_block<kRows>(k, columns, {a.data + i * a.row, a.row, a.column}, panel.data(), c + i * n + j, n);
        for (; i < m; ++i)
            add_block<1>(k, columns, {a.data + i * a.row, a.row, a.column}, panel.data(), c + i * n + j, n);
    }
}

}  // namespace digits
