#include "elements.h"

namespace hnorm::gpu {

namespace {

constexpr int64_t kBytes = 16;

bool is_aligned(const Call &on, PlaneClass planes, const View &view) {
    const int64_t at_once = kBytes / view.element_size();
    const auto is_whole = [&](int64_t value) { return value % at_once == 0; };
    // OpenCL's memory is a handle. Whole objects and parts of them begin at multiples of 128 bytes.
    if (on.driver.device() == HNORM_CUDA && reinterpret_cast<uintptr_t>(view.data) % kBytes != 0) {
        return false;
    }
    const Axis &adjacent = planes == kLast ? view.g0 : view.s;
    for (const Axis *axis : {&view.s, &view.r, &view.g0, &view.g1}) {
        const bool fits = axis == &adjacent ? axis->stride == 1 && is_whole(axis->extent)
                                            : axis->extent == 1 || is_whole(axis->stride);
        if (!fits) return false;
    }
    return true;
}

}  // namespace

bool are_aligned(const Call &on, PlaneClass planes, std::initializer_list<const View *> tensors) {
    for (const View *tensor : tensors) {
        if (!is_aligned(on, planes, *tensor)) return false;
    }
    return true;
}

}  // namespace hnorm::gpu
