// The decorrelated colour space l-alpha-beta.
//
// E. Reinhard, M. Ashikhmin, B. Gooch, P. Shirley: Color Transfer between Images, IEEE Computer
// Graphics and Applications 21(5), 2001, equations 2 to 6; the space itself is from D. Ruderman, T.
// Cronin, C.-C. Chiao, JOSA A 15(8), 1998. The channels of natural pictures hardly correlate in it,
// so each can be given other statistics by itself.
//
// The input is linear light: the cone responses LMS are sums of light, which gamma-encoded values
// are not.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace demo {

using Triple = std::array<double, 3>;
using Matrix = std::array<Triple, 3>;  // rows

constexpr Triple product(const Matrix &m, const Triple &v) {
    Triple result{};
    for (int i = 0; i < 3; i++) result[i] = m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2];
    return result;
}

constexpr Matrix product(const Matrix &a, const Matrix &b) {
    Matrix result{};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) result[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
    return result;
}

constexpr Matrix inverse(const Matrix &m) {
    Matrix adjugate{};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            adjugate[i][j] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
        }
    }
    const double determinant = m[0][0] * adjugate[0][0] + m[0][1] * adjugate[1][0] + m[0][2] * adjugate[2][0];
    for (Triple &row : adjugate)
        for (double &value : row) value /= determinant;
    return adjugate;
}

// Equations 2 and 3: light to XYZ, white to X = Y = Z; XYZ to the cones.
inline constexpr Matrix kRgbToXyz = {{{0.5141, 0.3239, 0.1604}, {0.2651, 0.6702, 0.0641}, {0.0241, 0.1228, 0.8444}}};
inline constexpr Matrix kXyzToLms = {{{0.3897, 0.6890, -0.0787}, {-0.2298, 1.1834, 0.0464}, {0, 0, 1}}};
// Equation 4, computed: as printed it has 0.1288 for 0.1228 in its last row, against equations 2
// and 3 and its own inverse, which in turn is rounded to four digits.
inline constexpr Matrix kRgbToLms = product(kXyzToLms, kRgbToXyz);
inline constexpr Matrix kLmsToRgb = inverse(kRgbToLms);

// Equation 6: diag(1/sqrt 3, 1/sqrt 6, 1/sqrt 2) times {1 1 1; 1 1 -2; 1 -1 0}. Its rows are
// orthonormal: its transpose undoes it.
inline constexpr double kSqrt2 = 1.4142135623730950488, kSqrt3 = 1.7320508075688772935, kSqrt6 = 2.4494897427831780982;
inline constexpr Matrix kLogLmsToLab = {
    {{1 / kSqrt3, 1 / kSqrt3, 1 / kSqrt3}, {1 / kSqrt6, 1 / kSqrt6, -2 / kSqrt6}, {1 / kSqrt2, -1 / kSqrt2, 0}}};

// sRGB's transfer function (IEC 61966-2-1), between encoded values and linear light, both in [0,
// 1].
inline double decode(double encoded) {
    return encoded <= 0.04045 ? encoded / 12.92 : std::pow((encoded + 0.055) / 1.055, 2.4);
}
inline double encode(double linear) {
    return linear <= 0.0031308 ? linear * 12.92 : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
}

// Cone responses below this count as this: the logarithm of black is minus infinity. It is the
// light of 8-bit sRGB's darkest step, 1/255, so nothing that such a picture can tell from black is
// lost.
inline constexpr double kDarkest = 1.0 / 255 / 12.92;

// Linear light, 1 for white, to (l, alpha, beta).
inline Triple to_lab(const Triple &rgb) {
    Triple lms = product(kRgbToLms, rgb);
    for (double &response : lms) response = std::log10(std::max(response, kDarkest));
    return product(kLogLmsToLab, lms);
}

// The inverse. The result may lie outside [0, 1]: what no screen shows.
inline Triple from_lab(const Triple &lab) {
    Triple lms{};
    for (int i = 0; i < 3; i++)
        lms[i] = std::pow(10, kLogLmsToLab[0][i] * lab[0] + kLogLmsToLab[1][i] * lab[1] + kLogLmsToLab[2][i] * lab[2]);
    return product(kLmsToRgb, lms);
}

}  // namespace demo
