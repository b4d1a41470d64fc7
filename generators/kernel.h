// What all generators share: the parameters and the shape constraints of their buffers.
#pragma once

#include "../schedules/cpu.h"
#include "../schedules/cpu_last.h"
#include "../schedules/gpu.h"
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
    GeneratorParam<Planes> planes{"planes", Planes::Large, planes_names()};
    GeneratorParam<Scheduler> scheduler{"scheduler", Scheduler::Template, scheduler_names()};
#define HNORM_PARAM(name, by_default, ...) GeneratorParam<int> name{#name, by_default};
    HNORM_CPU_KNOBS(HNORM_PARAM)
    HNORM_GPU_KNOBS(HNORM_PARAM)
#undef HNORM_PARAM

protected:
#define HNORM_VALUE(name, ...) name,
    CpuKnobs knobs() const { return legal_knobs(CpuKnobs{HNORM_CPU_KNOBS(HNORM_VALUE)}, this->get_target()); }
    GpuKnobs gpu_knobs() const { return legal_knobs(GpuKnobs{HNORM_GPU_KNOBS(HNORM_VALUE)}, planes); }
#undef HNORM_VALUE

    // Whether another than our templates schedules: then that is done.
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

    Steps steps() const {
        if (!on_device()) return {};
        const GpuKnobs knobs = gpu_knobs();
        return {knobs.load_pairs, knobs.load_chunks};
    }

    // Kernels of devices take one more input, `zero` (Products), the last one: configure() ends with this.
    bool on_device() const { return this->get_target().has_gpu_feature(); }
    void for_device() {
        if (on_device()) zero = this->template add_input<int32_t>("zero");
    }
    Products times() const { return zero ? Products{*zero} : Products{}; }

    // Every generator's configure() calls this with its tensors.
    template <typename... Xs>
    void of_elements(Xs &...xs) const {
        (xs.set_type(storage_type(element)), ...);
    }

    // The elements of x as floats, and a float as an element. Channels-last schedules round channels up to vectors, behind
    // guards that bounds inference does not see: it would ask for channels that x lacks.
    template <typename X>
    Func values(X &x) const {
        const Axes v;
        Expr g0 = v.g0;
        if (channels_last(planes)) g0 = unsafe_promise_clamped(g0, 0, x.dim(2).extent() - 1);
        Func result("values");
        result(v.s, v.r, v.g0, v.g1) = to_float(x(v.s, v.r, g0, v.g1), element, this->get_target());
        return result;
    }
    Expr stored(const Expr &value) const { return from_float(value, element, this->get_target()); }

    // Two doubles a group, as the outputs that come last: two Funcs or, on devices, whose merging gives both in one pass, one
    // Func of two values. Callers see no difference. For configure(), generate() and schedule().
    class GroupResults {
    public:
        void add(Kernel &kernel, const std::string &first, const std::string &second) {
            if (kernel.on_device()) {
                outputs = {kernel.template add_output<Func>("results", {Float(64), Float(64)}, 2)};
            } else {
                outputs = {kernel.template add_output<Func>(first, Float(64), 2),
                           kernel.template add_output<Func>(second, Float(64), 2)};
            }
        }
        void define(const Axes &v, const Expr &first, const Expr &second) {
            if (outputs.size() == 1) {
                (*outputs[0])(v.g0, v.g1) = Tuple(first, second);
            } else {
                (*outputs[0])(v.g0, v.g1) = first;
                (*outputs[1])(v.g0, v.g1) = second;
            }
        }
        template <typename X>
        void of_shape(X &x) {
            for (Func f : funcs()) per_group(x, f.output_buffers()[0]);  // the others follow
        }
        std::vector<Func> funcs() const {
            return {outputs.size() == 1 ? std::vector<Func>{*outputs[0]} : std::vector<Func>{*outputs[0], *outputs[1]}};
        }

    private:
        std::vector<GeneratorOutput<Func> *> outputs;
    };

    // The schedules of kernels that do one thing: a reduction, in few groups or many, or the pointwise part.
    void reduce_scheduled(Reduction &reduction, const std::vector<Func> &results, bool split) {
        if (scheduled_otherwise()) return;
        if (on_device()) {
            gpu::reduce(reduction, results[0], gpu_knobs());
        } else if (channels_last(planes)) {
            cpu::reduce_last(reduction, results, knobs());
        } else if (split) {
            cpu::reduce_split(reduction, knobs());
        } else {
            cpu::reduce_groups(reduction, results, knobs());
        }
    }
    void apply_scheduled(const Axes &v, const std::vector<Func> &coefficients, Func y) {
        if (scheduled_otherwise()) return;
        if (on_device()) {
            gpu::apply(planes, v, coefficients, y, gpu_knobs());
        } else if (channels_last(planes)) {
            cpu::apply_last(v, coefficients, y, knobs());
        } else {
            cpu::apply(planes, v, coefficients, y, knobs());
        }
    }

    // Tensors of x's shape: stride 1 in s, channels-last in g0, any elsewhere; on devices any.
    template <typename X, typename... Ys>
    void tensors(X &x, Ys &...ys) const {
        tensor(x, x);
        (tensor(x, ys), ...);
    }

    // Tensors that are summed: as above; on devices they may begin before their position 0 (runtime/src/device_kernels.h).
    template <typename X, typename... Ys>
    void summed(X &x, Ys &...ys) const {
        tensors(x, ys...);
        if (on_device()) {
            x.dim(0).set_bounds(Expr(), Expr());
            (ys.dim(0).set_bounds(Expr(), Expr()), ...);
        }
    }
    template <typename X>
    Expr positions(X &x) const {
        return on_device() ? x.dim(0).max() + 1 : x.dim(0).extent();
    }

    // A value a group: stride 1 in g0 when written, any stride, 0 included, when read.
    template <typename X, typename... Ys>
    static void group_results(X &x, Ys &...ys) {
        (per_group(x, ys), ...);
    }
    template <typename X, typename... Ys>
    static void group_inputs(X &x, Ys &...ys) {
        (per_group(x, ys), ...);
        (ys.dim(0).set_stride(Expr()), ...);
    }

private:
    GeneratorInput<int32_t> *zero = nullptr;

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
        for (int i = 0; i < 4; i++) y.dim(i).set_bounds(0, x.dim(i).extent());
        if (channels_last(planes) || on_device()) y.dim(0).set_stride(Expr());
        if (channels_last(planes) && !on_device()) y.dim(2).set_stride(1);
    }
    template <typename X, typename Y>
    static void per_group(X &x, Y &y) {
        for (int i = 0; i < 2; i++) y.dim(i).set_bounds(0, x.dim(2 + i).extent());
    }
};

}  // namespace hnorm
