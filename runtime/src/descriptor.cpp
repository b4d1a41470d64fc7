// Descriptors of dense tensors.
#include <algorithm>
#include <climits>

#include <hnorm/hnorm.h>

extern "C" {

hnorm_tensor hnorm_channels_first(float *data, int rank, const int64_t *shape) {
    return hnorm_dense(data, HNORM_F32, 0, rank, shape);
}

hnorm_group hnorm_groups(int64_t groups) {
    const bool fits = 0 < groups && groups <= INT_MAX - HNORM_GROUPS;
    return static_cast<hnorm_group>(HNORM_GROUPS +
                                    (fits ? static_cast<int>(groups) : 0));  // 0 is refused where it is used
}

hnorm_tensor hnorm_dense(void *data, hnorm_type type, int channels_last, int rank, const int64_t *shape) {
    hnorm_tensor tensor = {};
    tensor.data = data;
    tensor.type = type;
    tensor.device = HNORM_CPU;
    tensor.rank = rank;
    if (shape == nullptr || rank < 0 || rank > HNORM_MAX_RANK) {
        return tensor;
    }
    // Unsigned: an absurd shape wraps here and is refused where it is used.
    uint64_t stride = 1;
    std::copy_n(shape, rank, tensor.shape);
    const auto place = [&](int axis) {
        tensor.strides[axis] = static_cast<int64_t>(stride);
        stride *= static_cast<uint64_t>(shape[axis]);
    };
    const bool last = channels_last && rank >= 2;
    if (last) {
        place(1);
    }
    for (int axis = rank - 1; axis >= 0; --axis) {
        if (!last || axis != 1) {
            place(axis);
        }
    }
    return tensor;
}

}  // extern "C"
