// hnorm_backward_apply, and the CPU's pointwise part of backward.
#include <cinttypes>

#include "backward.h"
#include "cpu.h"
#include "gradient_arguments.h"
#include "pointwise.h"

namespace hnorm::detail {

hnorm_status Cpu::apply(const CheckedTensor &x, const CheckedTensor &dy, const Gradient &by, const Gate &gate,
                        const CheckedTensor &dx, bool past_cache) const {
    const bool sign = gate.slope != 1;
    const Operands<3, 7> operands = {{x, dy, dx},
                                     {by.array(0), by.array(1), by.array(2), by.array(3), by.array(4),
                                      sign ? gate.a : by.array(0), sign ? gate.b : by.array(0)}};
    return for_pointwise(*this, operands, past_cache, [&](auto &call) {
        return kernel_of(hnorm_kernels_backward_apply, *this, x.type, call.planes)(
            call.tensor(0), call.tensor(1), call.value(0), call.value(1), call.value(2), call.value(3), call.value(4),
            call.value(5), call.value(6), slope_bits(gate.slope), call.stores, call.tensor(2));
    });
}

hnorm_status Cpu::check_counts(const double *count, int64_t groups) const {
    for (int64_t i = 0; i < groups; ++i) {
        if (!is_finite_from(1, count[i])) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: count[%" PRId64 "] is %g: it must be finite and 1 or more",
                        function, i, count[i]);
        }
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *count,
                                  const double *mean, const double *variance, const double *sum_dy,
                                  const double *sum_dy_xmu, const hnorm_affine *affine, double eps,
                                  const hnorm_tensor *dx) {
    const char *const function = "hnorm_backward_apply";
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, true));
    HNORM_TRY(read_one_channel(function, tensors.dy.planes.c, &group));
    const CheckedTensor &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    for (const Array &array :
         {Array("count", count, groups), Array("mean", mean, groups), Array("variance", variance, groups),
          Array("sum_dy", sum_dy, groups), Array("sum_dy_xmu", sum_dy_xmu, groups)}) {
        HNORM_TRY(check_read(function, array, tensors));
    }
    AffineView view;
    HNORM_TRY(read_parameters(function, affine, tensors, &view));
    if (group == HNORM_BATCH && view.gamma.stride_n != 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: affine.stride_n is %" PRId64
                    ": gamma must be per channel (stride_n 0) in batch norm, whose sums do not tell samples apart",
                    function, view.gamma.stride_n);
    }
    HNORM_TRY(check_eps(function, "eps", eps));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    const auto values = [&](const double *data) { return group_values(data, in, {group}); };
    const BackwardApply arguments = {in,
                                     tensors.dy.planes,
                                     {values(mean), values(variance), view, eps},
                                     // not written
                                     {const_cast<double *>(sum_dy), const_cast<double *>(sum_dy_xmu), {group}},
                                     values(count),
                                     tensors.dx.planes};
    return machine.run(&Device::backward_apply, compute_backward_apply<Cpu>, arguments);
}

}  // extern "C"
