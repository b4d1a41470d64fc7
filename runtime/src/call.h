// Where a call runs.
#pragma once

#include <type_traits>

#include "call_log.h"
#include "context.h"
#include "device.h"
#include "error.h"
#include "float_environment.h"
#include "kernels.h"
#include "pack.h"
#include "tensor.h"
#include "wisdom.h"
#include "witness.h"

namespace hnorm::detail {

struct Cpu;

// A call on the CPU: the function that messages name, the target, the number of threads, and the
// values of its operation, by type.
struct CpuCall {
    const char *function;
    const Target *target;
    int threads;
    const Dispatch *dispatches;

    const Dispatch &dispatch(hnorm_type type) const { return dispatches[type]; }
    // Whether work on so many elements stays on the calling thread.
    bool is_serial(hnorm_type type, int64_t elements) const {
        return threads == 1 || elements < dispatch(type).serial_below;
    }
};

// A row's kernel for elements of the type and planes of the class.
template <typename Kernel, KernelId id>
Kernel kernel_of(const Kernels<Kernel, id> *row, const CpuCall &on, hnorm_type type, PlaneClass planes) {
    if (Witness *const asked = witness()) {
        asked->calls_kernel(row, type, planes);
    }
    return kernel_of(row, *on.target, type, planes);
}

// While it lives, a call runs as its plan says. The plan's values hold for elements of the call's
// type.
class PlannedCall {
public:
    PlannedCall(const Plan &plan, const CpuCall &call, Operation operation, hnorm_type type);
    const CpuCall &call() const { return call_; }

private:
    Dispatch dispatches_[kElementTypes];
    CpuCall call_;
    hnorm_context context_;  // the thread's, with fewer threads
    ContextScope scope_;
};

// The machine that a call runs on: a device or the CPU. While it lives, its thread has the default
// floating-point environment.
class Machine {
public:
    // The machine for tensors of a device. On the CPU it fails if the environment variables name a
    // target that cannot run, or a number of threads that is not valid.
    // The context is a layer's, or null for the thread's.
    hnorm_status find(const char *function, hnorm_device device, const hnorm_context *context = nullptr);
    // The same for a call's tensors, of which the log shows this one. It lives as long as the
    // machine.
    hnorm_status find(const char *function, const hnorm_tensor &x, const hnorm_context *context = nullptr) {
        logged_.shows(x);
        return find(function, x.device, context);
    }

    // Runs an operation. This is the only place that asks whether a call runs on a device.
    template <typename OnDevice, typename OnCpu, typename Arguments>
    hnorm_status run(OnDevice Device::*on_device, OnCpu on_cpu, const Arguments &arguments) const {
        if constexpr (!std::is_same_v<Arguments, Track>) {
            if (__builtin_expect(static_cast<long>(logged_.is_on()), 0) != 0) {
                logged_.is_of(kind(on_device, arguments));
            }
            if (device_ == nullptr && has_wisdom()) {
                Plan plan;
                if (find_plan_of(kind(on_device, arguments), &plan)) {
                    return run_planned(plan, on_cpu, arguments);
                }
            }
        }
        return device_
                   ? (device_->*on_device)(cpu_.function, arguments)
                   : on_cpu({{cpu_.function, cpu_.target, cpu_.threads, cpu_.target->dispatch[Arguments::kOperation]}},
                            arguments);
    }
    // The call that the log shows, if it is not that of the first operation.
    void log_as(const CallKind &kind) const { logged_.is_of(kind); }

private:
    template <typename OnDevice, typename Arguments>
    static CallKind kind(OnDevice Device::*on_device, const Arguments &arguments) {
        if constexpr (std::is_same_v<Arguments, Backward>) {
            if (on_device == &Device::normalize_backward) {
                return arguments.kind(Computes::kNormalizeBackward);
            }
        }
        return arguments.kind();
    }
    // Out of line, so that calls without a plan do not need its stack.
    template <typename OnCpu, typename Arguments>
    [[gnu::noinline]] hnorm_status run_planned(const Plan &plan, OnCpu on_cpu, const Arguments &arguments) const {
        return on_cpu({PlannedCall(plan, cpu_, Arguments::kOperation, arguments.kind().type).call()}, arguments);
    }
    // What wisdom says about such calls, where this one may obey it.
    bool find_plan_of(const CallKind &kind, Plan *plan) const;

    const Device *device_ = nullptr;  // null: the CPU
    CpuCall cpu_ = {};
    bool is_forced_ = false;  // the target
    FloatEnvironment floats_ = {};
    ContextScope context_;
    mutable LoggedCall logged_;
};

}  // namespace hnorm::detail
