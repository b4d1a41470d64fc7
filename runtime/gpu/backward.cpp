// Backward on a device: the sums, coefficients and pointwise parts.
#include "backend.h"

namespace hnorm::gpu {

namespace {

View groups_of(const CheckedTensor &x, const Grouping &group) { return channels_of(x, group.by != HNORM_BATCH); }

}  // namespace

hnorm_status Gpu::reduce(const CheckedTensor &x, const CheckedTensor &dy, const Normalization &by, const Backward *b,
                         const GroupSums &sums, Gate *gate, Gradient *gradient) const {
    const SumsView seen = sums_view(x, &dy, sums.group);
    const View &view = seen.x;
    HNORM_TRY(gradient->reserve(view.groups()));
    HNORM_TRY(gate->forward.reserve(view.groups()));
    gradient->stride_n = gate->forward.stride_n = sums.group.stride_n(x);
    Elements x_buffer(*this, view), dy_buffer(*this, seen.dy);
    On<GroupBuffer> means = read(*this, by.mean, view), variances = read(*this, by.variance, view);
    const AffineView affine = present(by.affine);
    On<GroupBuffer> gamma = read(*this, affine.gamma, view), beta = read(*this, affine.beta, view);
    On<GroupBuffer> of_dy(*this, sums.dy, view), of_dy_xmu(*this, sums.dy_xmu, view);
    const auto written = [&](float *values) { return On<GroupBuffer>(*this, values, view); };
    const auto &of_dx = *gradient;
    const auto &of_gate = gate->forward;
    const bool has_parameters = b && !shares_parameters(*b);
    Unwanted unwanted(*this);
    HNORM_TRY(unwanted.reserve());
    const auto dgamma = [&] { return unwanted.or_else(has_parameters ? b->dgamma : nullptr, view); };
    const auto dbeta = [&] { return unwanted.or_else(has_parameters ? b->dbeta : nullptr, view); };
    const DeviceElementKernels &of_type = kernels.of[x.type];
    const DeviceBackwardReduce kernel =
        seen.few_channels
            ? of_type.backward_reduce_few_channels[seen.planes]
            : chosen(*this, of_type.backward_reduce, of_type.backward_reduce_aligned, seen.planes, {&view, &seen.dy});
    HNORM_TRY(launch(*this, kernel, x_buffer, dy_buffer, means, variances, gamma, beta, by.eps, slope_bits(gate->slope),
                     dgamma(), dbeta(), static_cast<int32_t>(b && b->add), kZero, of_dy, of_dy_xmu, written(of_dx[0]),
                     written(of_dx[1]), written(of_dx[2]), written(of_dx[3]), written(of_dx[4]), written(of_gate[1]),
                     written(of_gate[2]), dgamma(), dbeta()));
    gate->take_forward();
    return HNORM_OK;
}

// Where nothing was summed the gate is still to be computed.
hnorm_status Gpu::constant_gradient(const CheckedTensor &x, const Normalization &by, Gate *gate,
                                    Gradient *gradient) const {
    if (!gate->is_known) {
        HNORM_TRY(coefficients(x, by, &gate->forward));
        gate->take_forward();
    }
    return this->gradient(x, by, {constant(0), constant(0), constant(1)}, false, gradient);
}

hnorm_status Gpu::gradient(const CheckedTensor &x, const Normalization &by, const WeightedSums &sums, bool weigh,
                           Gradient *gradient) const {
    bool per_sample = by.per_sample();
    for (const Values<double> *values : {&sums.g1, &sums.g2, &sums.count}) {
        per_sample = per_sample || values->stride_n != 0;
    }
    const View view = channels_of(x, per_sample);
    HNORM_TRY(gradient->reserve(view.groups()));
    gradient->stride_n = per_sample ? x.c : 0;
    const auto written = [&](int i) { return On<GroupBuffer>(*this, (*gradient)[i], view); };
    return launch(*this, kernels.gradient_coefficients, read(*this, by.mean, view), read(*this, by.variance, view),
                  read(*this, present(by.affine).gamma, view), read(*this, sums.g1, view), read(*this, sums.g2, view),
                  read(*this, sums.count, view), by.eps, static_cast<int32_t>(weigh), kZero, written(0), written(1),
                  written(2), written(3), written(4));
}

hnorm_status Gpu::gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group,
                           const Values<double> &count, const GroupSums &sums, Gradient *gradient) const {
    const WeightedSums values = {group_values<double>(sums.dy, x, group), group_values<double>(sums.dy_xmu, x, group),
                                 count};
    return this->gradient(x, by, values, true, gradient);
}

hnorm_status Gpu::gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group, double count,
                           const GroupSums &sums, Gradient *gradient) const {
    // The sums' kernel has computed those of its own groups.
    return sums.group == group ? HNORM_OK : gradient_of_parts(x, by, group, count, sums, gradient);
}

hnorm_status Gpu::gradient_of_parts(const CheckedTensor &x, const Normalization &by, const Grouping &group,
                                    double count, const GroupSums &sums, Gradient *gradient) const {
    const View parts = groups_of(x, sums.group), wholes = groups_of(x, group);
    Memory<double> g1(*this), g2(*this), counts(*this);
    for (Memory<double> *memory : {&g1, &g2, &counts}) {
        HNORM_TRY(memory->reserve(wholes.groups()));
    }
    const auto part = [&](const double *values) { return On<GroupBuffer>(*this, values, parts); };
    const auto whole = [&](const Memory<double> &memory) { return On<GroupBuffer>(*this, memory.data(), wholes); };
    On<GroupBuffer> gamma = read(*this, present(by.affine).gamma, parts);
    if (group.by == HNORM_BATCH) {  // of each sample's part of a group
        HNORM_TRY(launch(*this, kernels.weigh, part(sums.dy), part(sums.dy_xmu), gamma, static_cast<int32_t>(x.n),
                         count, kZero, whole(g1), whole(g2), whole(counts)));
    } else {  // of each channel of a group, with the group's values for each of them
        HNORM_TRY(launch(*this, kernels.weigh_channels, part(sums.dy), part(sums.dy_xmu), gamma,
                         static_cast<int32_t>(group.together), kZero, whole(g1), whole(g2)));
        HNORM_TRY(fill(counts.data(), wholes.groups(), count));
    }
    const auto values = [&](const Memory<double> &memory) {
        return Values<double>{memory.data(), group.by == HNORM_BATCH ? 0 : x.c};
    };
    return this->gradient(x, by, {values(g1), values(g2), values(counts)}, false, gradient);
}

hnorm_status Gpu::apply(const CheckedTensor &x, const CheckedTensor &dy, const Gradient &by, const Gate &gate,
                        const CheckedTensor &dx, bool) const {
    const CheckedTensor tensors[] = {x, dy, dx};
    const PointwiseView seen = pointwise_view_on_device(tensors, 3, by.stride_n != 0 || gate.a.stride_n != 0);
    const View &view = seen.tensors[0];
    const auto coefficient = [&](int i) { return On<GroupBuffer>(*this, by[i], view, by.stride_n); };
    const DeviceElementKernels &of_type = kernels.of[x.type];
    // Without an activation any values do.
    const auto forward = [&](const Values<float> &values) {
        return gate.slope == 1 ? coefficient(0) : read(*this, values, view);
    };
    return launch(*this,
                  chosen(*this, of_type.backward_apply, of_type.backward_apply_aligned, seen.planes,
                         {&view, &seen.tensors[1], &seen.tensors[2]}),
                  Elements(*this, view), Elements(*this, seen.tensors[1]), coefficient(0), coefficient(1),
                  coefficient(2), coefficient(3), coefficient(4), forward(gate.a), forward(gate.b),
                  slope_bits(gate.slope), kZero, Elements(*this, seen.tensors[2]));
}

hnorm_status Gpu::activation_backward(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                      const CheckedTensor &dz) const {
    const CheckedTensor tensors[] = {y, dy, dz};
    const PointwiseView seen = pointwise_view_on_device(tensors, 3, false);
    const DeviceElementKernels &of_type = kernels.of[y.type];
    const View &of_y = seen.tensors[0], &of_dy = seen.tensors[1], &of_dz = seen.tensors[2];
    return launch(*this,
                  chosen(*this, of_type.activation_backward, of_type.activation_backward_aligned, seen.planes,
                         {&of_y, &of_dy, &of_dz}),
                  Elements(*this, of_y), Elements(*this, of_dy), slope_bits(slope), kZero, Elements(*this, of_dz));
}

hnorm_status Gpu::wide_gradient(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                const CheckedTensor &dz) const {
    const CheckedTensor tensors[] = {y, dy, dz};
    const PointwiseView seen = pointwise_view_on_device(tensors, 3, false);
    return launch(*this, y.type == HNORM_F16 ? kernels.wide_gradient_f16 : kernels.wide_gradient_bf16,
                  On<TensorBuffer>(*this, seen.tensors[0]), On<TensorBuffer>(*this, seen.tensors[1]), slope_bits(slope),
                  kZero, On<TensorBuffer>(*this, seen.tensors[2]));
}

hnorm_status Gpu::narrow(const CheckedTensor &from, const CheckedTensor &to) const {
    const CheckedTensor tensors[] = {from, to};
    const PointwiseView seen = pointwise_view_on_device(tensors, 2, false);
    return launch(*this, to.type == HNORM_F16 ? kernels.narrow_f16 : kernels.narrow_bf16,
                  On<TensorBuffer>(*this, seen.tensors[0]), On<TensorBuffer>(*this, seen.tensors[1]));
}

// Gradients that samples share: their sum. Those that groups have for themselves came with the
// sums.
hnorm_status Gpu::parameter_gradients(const Backward &b, const GroupSums &sums) const {
    if (!shares_parameters(b)) {
        return HNORM_OK;
    }
    // The kernel writes both.
    Memory<float> unwanted(*this);
    if (b.dgamma == nullptr || b.dbeta == nullptr) {
        HNORM_TRY(unwanted.reserve(b.x.c));
    }
    float *const dgamma = b.dgamma ? b.dgamma : unwanted.data(), *const dbeta = b.dbeta ? b.dbeta : unwanted.data();
    const View groups = groups_of(b.x, sums.group), channels = channels_of(b.x, false);
    const auto of = [&](float *values) { return On<GroupBuffer>(*this, values, channels); };
    return launch(*this, kernels.parameter_gradients, On<GroupBuffer>(*this, sums.dy, groups),
                  On<GroupBuffer>(*this, sums.dy_xmu, groups), read(*this, b.by.variance, groups), of(dgamma),
                  of(dbeta), b.by.eps, static_cast<int32_t>(b.x.n), static_cast<int32_t>(b.add), kZero, of(dgamma),
                  of(dbeta));
}

}  // namespace hnorm::gpu
