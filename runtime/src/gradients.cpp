#include "gradients.h"

#include <algorithm>

#include "error.h"

namespace hnorm::detail {

void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2) {
    const bool apart = summed != group;
    if (apart) {
        std::fill_n(g1, x.c, 0.0);
        std::fill_n(g2, x.c, 0.0);
    }
    for_each_plane(x.groups(summed) / x.c, x.c, [&](int64_t n, int64_t c, int64_t i) {
        const double gamma = affine.gamma[n * affine.gamma_n + c * affine.gamma_c];
        const double product_1 = gamma * sum_dy[i], product_2 = gamma * sum_dy_xmu[i];
        g1[apart ? c : i] = apart ? g1[c] + product_1 : product_1;
        g2[apart ? c : i] = apart ? g2[c] + product_2 : product_2;
    });
}

hnorm_status GateValues::compute(const char *function, const Planes &x, const GroupValues &mean,
                                 const GroupValues &variance, const AffineView &affine, double eps, float slope) {
    if (slope == 1) {
        HNORM_TRY(coefficients_.compute_m(function, x, mean));
        gate_ = {coefficients_.m(), coefficients_.m(), coefficients_.m(), slope};
    } else {
        HNORM_TRY(coefficients_.compute(function, x, mean, variance, affine, eps));
        gate_ = {coefficients_.m(), coefficients_.a(), coefficients_.b(), slope};
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
