#include "residual_backward.h"

#include <cinttypes>
#include <new>

#include "error.h"

namespace hnorm::detail {

hnorm_status BehindResidual::reserve(const char *function) {
    if (!gated && !copied) {
        return HNORM_OK;
    }
    if (dz) {
        rest.dy = *dz;
        return HNORM_OK;
    }
    const int64_t elements = dy_.elements();
    memory_.reset(new (std::nothrow) char[static_cast<size_t>(elements * dy_.element_size())]);
    if (!memory_) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for a gradient of %" PRId64 " elements", function, elements);
    }
    rest.dy = dense_like(dy_, memory_.get());
    return HNORM_OK;
}

hnorm_status BehindResidual::compute_dz(const char *function, const Machine &machine, const Range &range) const {
    if (!gated && !copied) {
        return HNORM_OK;
    }
    return compute_activation_backward(function, machine, cropped(y, range), cropped(dy_, range), slope_,
                                       cropped(rest.dy, range));
}

}  // namespace hnorm::detail
