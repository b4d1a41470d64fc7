// Calls of kernels by their signatures, from the runtime's private table, with the inputs of
// kernel_cases.h.
#pragma once

#include "kernel_buffers.h"
#include "kernel_cases.h"
#include "pack.h"

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

// One call. What a variant does without is NaN.
class KernelCall {
public:
    KernelCall(KernelInputs &in, int variant, Place place)
        : in_(in),
          variant_(variant),
          view_(in.x, in.group),
          out_(in.x.shape(), {4, 3, true}),
          unread_(static_cast<size_t>(view_.g0 * view_.g1), std::numeric_limits<float>::quiet_NaN()) {
        const Tensor *replaced[] = {nullptr, &in.x, &in.dy, &in.residual, &in.y};
        replaced_ = replaced[static_cast<int>(place)];
        if (replaced_) out_.copy_elements(*replaced_);
    }

    // Each returns what the kernel wrote.
    Results operator()(hnorm::detail::ProbeKernel kernel) {
        ResultBuffer<float> center(groups());
        ResultBuffer<int32_t> spread(groups());
        check(kernel(tensor(in_.x), values(variant_ ? in_.scale_x : in_.ones), places(), &center.buffer.raw,
                     &spread.buffer.raw));
        return together(center.result(), spread.result());
    }
    Results operator()(hnorm::detail::MomentsKernel kernel) {
        ResultBuffer<double> e(runs()), q(runs());
        check(kernel(tensor(in_.x), values(in_.center), &e.buffer.raw, &q.buffer.raw));
        return together(e.result(), q.result());
    }
    Results operator()(hnorm::detail::MomentsMeasuredKernel kernel) {
        ResultBuffer<double> e(runs()), q(runs());
        ResultBuffer<int32_t> greatest(runs());
        check(kernel(tensor(in_.x), values(in_.scaled_center), values(in_.scale_x), &e.buffer.raw, &q.buffer.raw,
                     &greatest.buffer.raw));
        return together(e.result(), q.result(), greatest.result());
    }
    Results operator()(hnorm::detail::NormalizeKernel kernel) {
        return written(kernel(tensor(in_.x), values(in_.m), values(in_.a), values(in_.b), slope(), stores(), output()));
    }
    Results operator()(hnorm::detail::NormalizeResidualKernel kernel) {
        return written(kernel(tensor(in_.x), values(in_.m), values(in_.a), values(in_.b), slope(), tensor(in_.residual),
                              stores(), output()));
    }
    Results operator()(hnorm::detail::BackwardReduceKernel kernel) {
        ResultBuffer<double> e(runs()), q(runs());
        check(kernel(tensor(in_.x), tensor(in_.dy), values(in_.m), gate(in_.a), gate(in_.b),
                     hnorm::detail::slope_bits(variant_ ? 0 : 1), &e.buffer.raw, &q.buffer.raw));
        return together(e.result(), q.result());
    }
    Results operator()(hnorm::detail::BackwardReduceMeasuredKernel kernel) {
        ResultBuffer<double> e(runs()), q(runs());
        ResultBuffer<int32_t> of_dy(runs()), of_x(runs());
        check(kernel(tensor(in_.x), tensor(in_.dy), values(in_.m), gate(in_.a), gate(in_.b), slope_or_none(),
                     values(in_.scale_x), values(in_.scale_dy), &e.buffer.raw, &q.buffer.raw, &of_dy.buffer.raw,
                     &of_x.buffer.raw));
        return together(e.result(), q.result(), of_dy.result(), of_x.result());
    }
    Results operator()(hnorm::detail::BackwardApplyKernel kernel) {
        return written(kernel(tensor(in_.x), tensor(in_.dy), values(in_.m), values(in_.scale), values(in_.k1),
                              values(in_.power), values(in_.k2), gate(in_.a), gate(in_.b), slope_or_none(), stores(),
                              output()));
    }
    Results operator()(hnorm::detail::ActivationBackwardKernel kernel) {
        return written(kernel(tensor(in_.y), tensor(in_.dy), slope(), output()));
    }

private:
    std::vector<int64_t> runs() const { return {view_.g0, in_.cut().A, in_.cut().B, view_.g1}; }
    std::vector<int64_t> groups() const { return {view_.g0, view_.g1}; }
    // Kernels of backward have a variant 0 without an activation.
    int32_t slope_or_none() const { return variant_ ? slope() : hnorm::detail::slope_bits(1); }
    halide_buffer_t *gate(std::vector<float> &list) { return values(variant_ ? list : unread_); }
    int32_t stores() const { return replaced_ ? hnorm::detail::kInPlace : hnorm::detail::kApart; }
    int32_t slope() const { return hnorm::detail::slope_bits(in_.slope); }

    template <typename Made, typename... Arguments>
    halide_buffer_t *keep(Arguments &&...arguments) {
        buffers_.push_back(std::make_unique<Made>(std::forward<Arguments>(arguments)...));
        return &buffers_.back()->raw;
    }
    halide_buffer_t *tensor(const Tensor &given) {
        if (&given == replaced_) return output();
        inputs_.push_back(&given);
        return keep<TensorBuffer>(given, in_.group);
    }
    halide_buffer_t *output() { return keep<TensorBuffer>(out_, in_.group); }
    halide_buffer_t *values(std::vector<float> &list) { return keep<GroupBuffer>(list, view_); }

    halide_buffer_t *places() {
        const transcription::Cut cut = in_.cut();
        const bool last = in_.x.format().channels_last;
        const int64_t count = transcription::rows_probed(cut.S, cut.N, last);
        for (int64_t i = 0; i < count; i++) {
            const transcription::Place place = transcription::place_probed(i, cut.S, cut.N, last);
            places_.push_back(static_cast<int32_t>(place.plane));
            places_.push_back(static_cast<int32_t>(place.position));
        }
        return keep<Buffer>(places_.data(), kInt, std::vector<int64_t>{2, count}, std::vector<int64_t>{1, 2});
    }

    void check(int failure) const {
        if (failure) throw std::runtime_error("the kernel failed");
        for (const Tensor *input : inputs_) {
            const std::vector<float> before = input->values();
            input->load();
            const std::string damage = input->damage();
            if (!damage.empty()) throw std::runtime_error("an input: " + damage);
            if (std::memcmp(before.data(), input->values().data(), before.size() * sizeof(float)))
                throw std::runtime_error("the kernel wrote into an input");
        }
    }
    // An element that was never written is a number that no element can be.
    Results written(int failure) const {
        check(failure);
        out_.load();
        const std::string damage = out_.damage();
        if (!damage.empty()) throw std::runtime_error(damage);
        Results results;
        for (float value : out_.values()) results.push_back(bits(value) == kSentinelBits ? 1e300 : value);
        return results;
    }
    template <typename... Lists>
    static Results together(const Lists &...lists) {
        Results results;
        (results.insert(results.end(), lists.begin(), lists.end()), ...);
        return results;
    }

    KernelInputs &in_;
    int variant_;
    View view_;
    Tensor out_;
    std::vector<float> unread_;
    std::vector<int32_t> places_;
    const Tensor *replaced_;
    std::vector<const Tensor *> inputs_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
};

// Calls the kernel of that name for these planes, of one target and one type.
inline Results call(KernelInputs &in, const ManifestKernel &kernel, int variant, Place place,
                    const hnorm::detail::Target &target, hnorm_type type) {
    using namespace hnorm::detail;
    KernelCall call(in, variant, place);
#define KERNEL(kernel_name, signature, class_name, class_index)      \
    if (kernel.name == #kernel_name && kernel.planes == #class_name) \
        return call(kernel_of(hnorm_kernels_##kernel_name, target, type, class_index));
    HNORM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
    throw std::logic_error("no kernel " + kernel.name + " for planes " + kernel.planes);
}

inline Results call(KernelInputs &in, const ManifestKernel &kernel, int variant, Place place, int target,
                    hnorm_type type) {
    return call(in, kernel, variant, place, hnorm::detail::hnorm_targets[target], type);
}

// Whether two targets have not the same code of this kernel.
inline bool differ(const ManifestKernel &kernel, const hnorm::detail::Target &a, const hnorm::detail::Target &b,
                   hnorm_type type) {
    using namespace hnorm::detail;
#define KERNEL(kernel_name, signature, class_name, class_index)                \
    if (kernel.name == #kernel_name && kernel.planes == #class_name)           \
        return kernel_of(hnorm_kernels_##kernel_name, a, type, class_index) != \
               kernel_of(hnorm_kernels_##kernel_name, b, type, class_index);
    HNORM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
    throw std::logic_error("no kernel " + kernel.name + " for planes " + kernel.planes);
}

}  // namespace test
