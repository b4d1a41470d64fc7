// hnorm_activation_backward, and what it computes.
#include "error.h"
#include "gradients.h"
#include "narrow.h"
#include "threads.h"

namespace hnorm::detail {

hnorm_status compute_activation_backward(const char *function, const Machine &machine, const Planes &y,
                                         const Planes &dy, float slope, const Planes &dz) {
    if (y.s == 1 && y.n > 1 && channels_last({&y, &dy, &dz})) {
        return compute_activation_backward(function, machine, one_plane(y), one_plane(dy), slope, one_plane(dz));
    }
    if (is_narrow_and_dense({&y, &dy, &dz})) {
        return for_parts_and_remainder(y, [&](const auto &of, bool) {
            return compute_activation_backward(function, machine, of(y), of(dy), slope, of(dz));
        });
    }
    TensorBuffer y_buffer(y, View::kBatch), dy_buffer(dy, View::kBatch), dz_buffer(dz, View::kBatch);
    const SerialScope serial(runs_serially(machine, y));
    return kernel_status(function,
                         kernels_of(hnorm_kernels_activation_backward, machine, y)[pointwise_class({&y, &dy, &dz})](
                             y_buffer, dy_buffer, slope_bits(slope), dz_buffer));
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_activation_backward(const hnorm_tensor *y, const hnorm_tensor *dy, hnorm_activation activation,
                                       float negative_slope, const hnorm_tensor *dz) {
    const char *const function = "hnorm_activation_backward";
    NamedTensor from_y{"y", y, {}}, from_dy{"dy", dy, {}}, to_dz{"dz", dz, {}};
    for (NamedTensor *tensor : {&from_y, &from_dy, &to_dz}) {
        HNORM_TRY(read_tensor(function, tensor->name, tensor->tensor, &tensor->planes));
    }
    HNORM_TRY(check_same_shape(function, from_y, from_dy));
    HNORM_TRY(check_same_shape(function, from_y, to_dz));
    HNORM_TRY(check_places(function, from_y, to_dz));
    HNORM_TRY(check_places(function, from_dy, to_dz));
    float slope;
    HNORM_TRY(read_activation(function, "", activation, negative_slope, &slope));
    Machine machine;
    HNORM_TRY(find_machine(function, from_y.planes.device, &machine, kBackward));
    if (from_y.planes.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->activation_backward(function, from_y.planes, from_dy.planes, slope, to_dz.planes);
    }
    return compute_activation_backward(function, machine, from_y.planes, from_dy.planes, slope, to_dz.planes);
}

}  // extern "C"
