// What both programs share: the tensor, and measure, which times a batch norm and compares it with
// a reference in double.
#pragma once

enum { N = 32, C = 64, S = 56 * 56 };
static const double kEps = 1e-5;

// batch_norm(x, y): x and y have the shape (N, C, S). Prints the least time of `arguments[1]`
// calls, 20 if there is none, and the largest difference. Returns main's result.
int measure(void (*batch_norm)(float *x, float *y), int count, char **arguments);
