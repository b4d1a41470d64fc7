// hnorm_activation_backward, and the CPU's part of it.
#include "backward.h"
#include "cpu.h"
#include "overlap.h"
#include "pointwise.h"
#include "validate.h"

namespace hnorm::detail {

hnorm_status Cpu::activation_backward(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                      const CheckedTensor &dz) const {
    return for_pointwise(*this, Operands<3, 0>{{y, dy, dz}, {}}, false, [&](auto &call) {
        return kernel_of(hnorm_kernels_activation_backward, *this, y.type, call.planes)(
            call.tensor(0), call.tensor(1), slope_bits(slope), call.tensor(2));
    });
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
    HNORM_TRY(machine.find(function, *y));
    return machine.run(&Device::activation_backward, compute_activation_backward<Cpu>,
                       ActivationBackward{from_y.planes, from_dy.planes, slope, to_dz.planes});
}

}  // extern "C"
