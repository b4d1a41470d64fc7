// What all generators share: the parameters and the shape constraints of their buffers.
#pragma once

#include "../schedules/cpu.h"
#include "../schedules/cpu_last.h"
#include "../schedules/gpu.h"
#include "../schedules/gpu_vectors.h"
#include "../schedules/others.h"
#include "algorithm.h"
#include "element.h"
#include "gradients.h"

namespace hnorm {

template <typename T>
class Kernel : public Generator<T> {
public:
    // Tensors of elements: x, y and their gradients.
    using Elements = GeneratorInput<Buffer<void, 4>>;
    using ElementsOut = GeneratorOutput<Buffer<void, 4>>;

    GeneratorParam<Element> element{"element", Element::F32, element_names()};
    GeneratorParam<PlaneClass> planes{"planes", PlaneClass::Large, planes_names()};
    GeneratorParam<Scheduler> scheduler{"scheduler", Scheduler::Template, scheduler_names()};
    // Of devices: rows of elements begin at multiples of 16 bytes and are as long, and a thread
    // takes 16 bytes at once.
    GeneratorParam<bool> aligned{"aligned", false};
#define HNORM_PARAM(name, by_default, ...) GeneratorParam<int> name{#name, by_default};
    HNORM_CPU_KNOBS(HNORM_PARAM)
    HNORM_GPU_KNOBS(HNORM_PARAM)
#undef HNORM_PARAM

protected:
#define HNORM_VALUE(name, ...) name,
    CpuKnobs knobs() const { return legal_knobs(CpuKnobs{HNORM_CPU_KNOBS(HNORM_VALUE)}, this->get_target()); }
    GpuKnobs gpu_knobs() const { return legal_knobs(GpuKnobs{HNORM_GPU_KNOBS(HNORM_VALUE)}, planes); }
#undef HNORM_VALUE

    // Whether the schedule is an autoscheduler's or the naive one, and not of this project's
    // templates. If so, the function does what these need.
    bool scheduled_otherwise() {
        if (!this->using_autoscheduler() && scheduler == Scheduler::Template) return false;
        std::vector<Func> outputs;
        for (const auto &argument : this->arginfos()) {
            if (argument.dir == Internal::ArgInfoDirection::Output) {
                for (Func &f : this->output_func(argument.name)) outputs.push_back(f);
            } else if (this->using_autoscheduler()) {
                for (Parameter &p : this->input_parameter(argument.name)) estimate(p);
            }
        }
        if (!this->using_autoscheduler()) {
            others::naive(outputs);
            return true;
        }
        for (Func &f : outputs) {
            Region region;
            for (int extent : others::estimates(planes, f.dimensions())) region.push_back({0, extent});
            f.set_estimates(region);
        }
        return true;
    }

    // Kernels of devices take one more input, `zero` (Products), the last one: configure() ends
    // with this.
    bool on_device() const { return this->get_target().has_gpu_feature(); }
    void for_device() {
        if (on_device()) zero = this->template add_input<int32_t>("zero");
    }
    // Adjacent elements that a thread takes at once. Where it sums two tensors, more than 4 of each
    // do not fit its registers.
    static constexpr int kMostOfTwo = 4;
    gpu::AtOnce at_once(int most = 8) const {
        const int of_16_bytes = 16 / storage_type(element).bytes();
        return {aligned ? std::min(of_16_bytes, most) : 1, this->get_target().has_feature(Target::CUDA)};
    }
    // At the end of the schedule of a device's kernel that reads tensors.
    void take_vectors() {
        const bool on_cuda = this->get_target().has_feature(Target::CUDA);
        if (aligned && on_cuda) this->get_pipeline().add_custom_lowering_pass(new gpu::SixteenBytesAtOnce);
    }
    Products times() const { return zero ? Products{*zero, this->get_target().has_feature(Target::CUDA)} : Products{}; }

    // Every generator's configure() calls this with its tensors.
    template <typename... Xs>
    void of_elements(Xs &...xs) const {
        (xs.set_type(storage_type(element)), ...);
    }

    // The elements of x as floats, and a float as an element. Channels-last schedules round
    // channels up to vectors, behind guards that bounds inference does not see. It would ask for
    // channels that x does not have. The same holds for blocks of devices.
    template <typename X>
    Func values(X &x) const {
        const Axes v;
        Expr g0 = v.g0;
        if (channels_last(planes) || on_device()) g0 = unsafe_promise_clamped(g0, 0, x.dim(2).extent() - 1);
        Func result("values");
        result(v.s, v.r, v.g0, v.g1) = to_float(x(v.s, v.r, g0, v.g1), element, this->get_target());
        return result;
    }
    Expr stored(const Expr &value) const { return from_float(value, element, this->get_target()); }

    // Pointwise CPU kernels have one more input, the last one: how the output is stored (Stores in
    // runtime/src/kernels.h). Rows of an output that goes past the cache (planes or channels-last
    // positions) are whole cache lines.
    void for_stores() {
        if (!on_device()) stores = this->template add_input<int32_t>("stores");
    }

    // The schedule of the pointwise part. values_per_group: floats that the loop reads of each
    // group. variants: conditions, one of which holds, that make it simpler.
    void apply_scheduled(const Axes &v, Func y, int values_per_group, const std::vector<Expr> &variants = {}) {
        if (scheduled_otherwise()) return;
        if (on_device()) {
            gpu::apply(planes, v, y, gpu_knobs(), at_once());
            take_vectors();
            return;
        }
        const bool streams = stores && planes != PlaneClass::Tiny && has_stores_past_cache(this->get_target());
        constexpr int kInPlace = 0, kPastCacheStores = 2;
        const Expr apart = stores ? *stores != kInPlace : Expr();
        const Expr past_cache = streams ? *stores == kPastCacheStores : Expr();
        if (channels_last(planes)) {
            cpu::apply_last(v, y, knobs(), values_per_group, apart, past_cache, variants);
        } else {
            cpu::apply(planes, v, y, knobs(), apart, past_cache, variants);
        }
        if (streams) this->get_pipeline().add_custom_lowering_pass(new StorePastCache(y.name(), this->get_target()));
    }

    // Tensors of x's shape: stride 1 in s, channels-last in g0, any elsewhere; on devices any.
    template <typename X, typename... Ys>
    void tensors(X &x, Ys &...ys) const {
        tensor(x, x);
        (tensor(x, ys), ...);
    }

    // What a reduction gives, by run: stride 1 in g0.
    template <typename X>
    static void run_results(X &x, const Reduction &reduction) {
        OutputImageParam out = reduction.runs.output_buffers()[0];  // the others follow
        const Expr extents[] = {x.dim(2).extent(), reduction.A, reduction.B, x.dim(3).extent()};
        for (int i = 0; i < 4; i++) out.dim(i).set_bounds(0, extents[i]);
    }
    // A value a group: stride 1 in g0, on devices any when read.
    template <typename X>
    static void group_results(X &x, const Func &results) {
        OutputImageParam out = results.output_buffers()[0];  // the others follow
        per_group(x, out);
    }
    // The same, of which what nobody wants lies in one place: with strides of 0.
    template <typename X>
    static void wanted_results(X &x, const Func &results) {
        group_results(x, results);
        for (OutputImageParam out : results.output_buffers()) out.dim(0).set_stride(Expr());
    }
    template <typename X, typename... Ys>
    void group_inputs(X &x, Ys &...ys) const {
        (per_group(x, ys), ...);
        if (on_device()) (ys.dim(0).set_stride(Expr()), ...);
    }
    // The same for the pointwise part: channels-last, a thread takes several groups at once, and so
    // their values.
    template <typename X, typename... Ys>
    void pointwise_group_inputs(X &x, Ys &...ys) const {
        group_inputs(x, ys...);
        if (!aligned || !channels_last(planes)) return;
        (ys.dim(0).set_stride(1), ...);
        (ys.dim(1).set_stride(ys.dim(1).stride() / 4 * 4), ...);
        (ys.set_host_alignment(16), ...);
    }

private:
    GeneratorInput<int32_t> *zero = nullptr, *stores = nullptr;

    void estimate(Parameter &p) const {
        if (!p.is_buffer()) {
            p.set_estimate(Internal::make_zero(p.type()));
            return;
        }
        const std::vector<int> extents = others::estimates(planes, p.dimensions());
        for (int i = 0; i < p.dimensions(); i++) {
            p.set_min_constraint_estimate(i, 0);
            p.set_extent_constraint_estimate(i, extents[i]);
        }
    }

    template <typename X, typename Y>
    void tensor(X &x, Y &y) const {
        const int adjacent = channels_last(planes) ? 2 : 0, V = at_once().elements;
        for (int i = 0; i < 4; i++) {
            const Expr extent = x.dim(i).extent();
            y.dim(i).set_bounds(0, i == adjacent && aligned ? extent / V * V : extent);
        }
        if (channels_last(planes) || on_device()) y.dim(0).set_stride(Expr());
        if (channels_last(planes) && !on_device()) y.dim(2).set_stride(1);
        if (!aligned) return;
        for (int i = 0; i < 4; i++) y.dim(i).set_stride(i == adjacent ? Expr(1) : y.dim(i).stride() / V * V);
        y.set_host_alignment(16);
    }
    template <typename X, typename Y>
    static void per_group(X &x, Y &y) {
        for (int i = 0; i < 2; i++) y.dim(i).set_bounds(0, x.dim(2 + i).extent());
    }
};

}  // namespace hnorm
