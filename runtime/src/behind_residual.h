// Backward behind a residual: where dz lies, and how it is computed before the rest of backward.
#pragma once

#include "backward_arguments.h"
#include "error.h"

namespace hnorm::detail {

// Where dz of a backward behind a residual lies.
struct PlaceOfDz {
    explicit PlaceOfDz(const Backward &b)
        : gated(b.has_residual() && b.slope != 1),
          wide(gated && !b.dresidual && b.slope != 0 && b.dy.type != HNORM_F32),
          computed(gated || (b.dresidual && b.dresidual->data != b.dy.data)),
          tensor(!computed || wide                ? nullptr
                 : b.dresidual                    ? b.dresidual
                 : b.dx && b.dx->data != b.x.data ? b.dx
                                                  : nullptr) {}
    // A tensor with the strides of dz.
    CheckedTensor like(const CheckedTensor &dy) const {
        return !computed ? dy : tensor ? *tensor : dense_like(dy, nullptr);
    }

    bool gated;  // There is an activation.
    // dz, x and dx have floats. Elements of 16 bits would round dz although the caller does not ask
    // for it.
    bool wide;
    bool computed;  // dz is not dy itself.
    // dresidual, or dx, which the gradient later overwrites (but not if dx is x, because x is still
    // needed). Null: dz is dy, or lies in memory of the call.
    const CheckedTensor *tensor;
};

// Backward behind a residual (hnorm_post_ops_gradient) has two steps. The first computes dz. The
// second, `rest`, is backward without an activation, with dz in the place of dy. Without a residual
// `rest` is the whole call.
template <typename Backend>
class BehindResidual {
public:
    BehindResidual(const Backend &on, const Backward &given)
        : rest(given), on_(on), given_(given), place_(given), memory_of_dz_(on), memory_of_x_(on) {
        if (given.has_residual()) {
            rest.slope = 1;
            rest.y = rest.dresidual = nullptr;
        }
    }

    // Takes memory for dz if it has no other place.
    hnorm_status reserve() {
        if (!place_.computed) {
            return HNORM_OK;
        }
        const int64_t elements = given_.dy.elements();
        if (place_.wide) {
            const int64_t bytes = elements * static_cast<int64_t>(sizeof(float));
            HNORM_TRY(memory_of_dz_.reserve(bytes));
            rest.dy = dx_ = floats(given_.dy, memory_of_dz_.data());
            rest.dx = given_.dx ? &dx_ : nullptr;
            if (given_.x.data) {
                HNORM_TRY(memory_of_x_.reserve(bytes));
                rest.x = floats(given_.x, memory_of_x_.data());
            }
            return HNORM_OK;
        }
        if (place_.tensor) {
            rest.dy = *place_.tensor;
        } else {
            HNORM_TRY(memory_of_dz_.reserve(elements * given_.dy.element_size()));
            rest.dy = dense_like(given_.dy, memory_of_dz_.data());
        }
        return HNORM_OK;
    }

    // Computes dz of some groups. Without an activation it is a copy of dy.
    hnorm_status compute_dz(const Slice &slice) const {
        if (!place_.computed) {
            return HNORM_OK;
        }
        const CheckedTensor dy = cropped(given_.dy, slice), y = place_.gated ? cropped(*given_.y, slice) : dy;
        if (!place_.wide) {
            return on_.activation_backward(y, dy, given_.slope, cropped(rest.dy, slice));
        }
        HNORM_TRY(on_.wide_gradient(y, dy, given_.slope, cropped(rest.dy, slice)));
        if (given_.x.data) {
            const CheckedTensor x = cropped(given_.x, slice);
            HNORM_TRY(on_.wide_gradient(x, x, 1, cropped(rest.x, slice)));
        }
        return HNORM_OK;
    }
    // Writes dx of some groups, after the rest has computed it.
    hnorm_status write_dx(const Slice &slice) const {
        return place_.wide && rest.dx ? on_.narrow(cropped(dx_, slice), cropped(*given_.dx, slice)) : HNORM_OK;
    }

    Backward rest;

private:
    static CheckedTensor floats(const CheckedTensor &like, void *memory) {
        CheckedTensor planes = dense_like(like, memory);
        planes.type = HNORM_F32;
        return planes;
    }

    const Backend &on_;
    const Backward &given_;
    const PlaceOfDz place_;
    typename Backend::template Memory<char> memory_of_dz_, memory_of_x_;
    CheckedTensor dx_ = {};
};

}  // namespace hnorm::detail
