// The tensors of a call that computes gradients.
#pragma once

#include "error.h"
#include "overlap.h"
#include "tensor.h"

namespace hnorm::detail {

// The tensors of a call. An absent tensor has a null pointer and empty planes.
struct GradientTensors {
    NamedTensor x, dy, dx, y, dresidual;

    GradientTensors(const hnorm_tensor *its_x, const hnorm_tensor *its_dy, const hnorm_tensor *its_dx)
        : x{"x", its_x, {}},
          dy{"dy", its_dy, {}},
          dx{"dx", its_dx, {}},
          y{"y", nullptr, {}},
          dresidual{"dresidual", nullptr, {}} {}

    // Reads the two tensors of the gradient of a residual, after read(). Each of them may be null.
    hnorm_status read_residual(const char *function, const NamedTensor &its_y, const NamedTensor &its_dresidual) {
        y = its_y;
        dresidual = its_dresidual;
        if (y.tensor) {
            HNORM_TRY(read_tensor(function, y.name, y.tensor, &y.planes));
            HNORM_TRY(check_same_shape(function, dy, y));
            if (dx.tensor) {
                HNORM_TRY(check_disjoint(function, y, dx));
            }
        }
        if (dresidual.tensor) {
            HNORM_TRY(read_tensor(function, dresidual.name, dresidual.tensor, &dresidual.planes));
            HNORM_TRY(check_same_shape(function, dy, dresidual));
            HNORM_TRY(check_places(function, dy, dresidual));
            for (const NamedTensor *other : {&x, &dx, &y}) {
                if (other->tensor) {
                    HNORM_TRY(check_disjoint(function, *other, dresidual));
                }
            }
        }
        return HNORM_OK;
    }

    // x and dy are only read, so they may share memory. dx must be one of them, or share nothing
    // with them.
    hnorm_status read(const char *function, bool needs_x, bool needs_dx) {
        if (x.tensor || needs_x) {
            HNORM_TRY(read_tensor(function, x.name, x.tensor, &x.planes));
        }
        HNORM_TRY(read_tensor(function, dy.name, dy.tensor, &dy.planes));
        if (x.tensor) {
            HNORM_TRY(check_same_shape(function, x, dy));
        }
        if (dx.tensor || needs_dx) {
            HNORM_TRY(read_tensor(function, dx.name, dx.tensor, &dx.planes));
            HNORM_TRY(check_same_shape(function, x.tensor ? x : dy, dx));  // x and dy are alike
            for (const NamedTensor *other : {&x, &dy}) {
                if (other->tensor) {
                    HNORM_TRY(check_places(function, *other, dx));
                }
            }
        }
        return HNORM_OK;
    }
};

}  // namespace hnorm::detail
