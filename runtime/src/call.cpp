#include "call.h"

#include <algorithm>
#include <cinttypes>

#include "error.h"
#include "scratch.h"
#include "targets.h"
#include "threads.h"

namespace hnorm::detail {

hnorm_status Machine::find(const char *function, hnorm_device device, const hnorm_context *context) {
    logged_.begin();
    context_.use(context);
    device_ = device_of_thread(device);
    cpu_.function = function;
    if (device_) {
        return HNORM_OK;
    }
    HNORM_TRY(active_target(function, &cpu_.target, &is_forced_));
    return thread_count(function, &cpu_.threads);
}

bool Machine::find_plan_of(const CallKind &kind, Plan *plan) const {
    if (!find_plan(kind, cpu_.threads, plan)) {
        return false;
    }
    const bool is_of_other_target = is_forced_ && plan->target && plan->target->index != cpu_.target->index;
    // What was measured with hnorm's threads says nothing about the caller's.
    const bool on_other_threads = cpu_.threads > 1 && current_context().parallel_for;
    return !is_of_other_target && !on_other_threads;
}

PlannedCall::PlannedCall(const Plan &plan, const CpuCall &call, Operation operation, hnorm_type type) : call_(call) {
    const Target *const chosen = plan.target ? plan.target : call.target;
    call_.target = chosen->pack ? chosen : with_pack(chosen);
    call_.dispatches = call_.target->dispatch[operation];
    if (plan.set) {
        std::copy_n(call_.dispatches, kElementTypes, dispatches_);
        dispatches_[type] = plan.over(dispatches_[type]);
        call_.dispatches = dispatches_;
    }
    if (plan.threads && plan.threads < call.threads) {
        const hnorm_context &present = current_context();
        call_.threads = plan.threads;
        context_.threads.store(plan.threads, std::memory_order_relaxed);
        context_.target.store(present.target.load(std::memory_order_relaxed), std::memory_order_relaxed);
        context_.parallel_for = present.parallel_for;
        context_.pool = present.pool;
        context_.allocator = present.allocator;
        scope_.use(&context_);
    }
    if (Witness *const asked = witness()) {
        asked->obeys_wisdom(*call_.target, call_.threads);
    }
}

template <typename T>
hnorm_status ScratchOf<T>::reserve_large(const char *function, int64_t count) {
    large_ = static_cast<T *>(allocate_scratch(static_cast<size_t>(count) * sizeof(T)));
    return large_ ? HNORM_OK : fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " values", function, count);
}
template hnorm_status ScratchOf<double>::reserve_large(const char *function, int64_t count);
template hnorm_status ScratchOf<float>::reserve_large(const char *function, int64_t count);
template hnorm_status ScratchOf<int32_t>::reserve_large(const char *function, int64_t count);
template hnorm_status ScratchOf<char>::reserve_large(const char *function, int64_t count);

}  // namespace hnorm::detail
