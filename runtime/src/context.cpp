#include "context.h"

#include <new>

#include "error.h"
#include "given.h"

namespace hnorm::detail {

namespace {

hnorm_context of_process;
thread_local hnorm_context *of_thread = nullptr;

}  // namespace

const hnorm_context &current_context() { return context_or_process(of_thread); }

hnorm_context &context_or_process(hnorm_context *context) { return context ? *context : of_process; }
const hnorm_context &context_or_process(const hnorm_context *context) { return context ? *context : of_process; }

void ContextScope::use(const hnorm_context *context) {
    if (context) {
        before_ = of_thread;
        changed_ = true;
        of_thread = const_cast<hnorm_context *>(context);  // hnorm_use_context gives it back to who may change it
    }
}

void ContextScope::leave() {
    if (changed_) {
        of_thread = before_;
    }
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_context_create(hnorm_context **context) {
    const char *const function = "hnorm_context_create";
    if (context == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: context is null: it must point to where the context goes", function);
    }
    hnorm_context *const created = new (std::nothrow) hnorm_context;
    if (created == nullptr) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for a context", function);
    }
    *context = created;
    return HNORM_OK;
}

void hnorm_context_destroy(hnorm_context *context) { delete context; }

hnorm_context *hnorm_use_context(hnorm_context *context) {
    hnorm_context *const before = of_thread;
    of_thread = context;
    return before;
}

hnorm_status hnorm_context_set_parallel_for(hnorm_context *context, hnorm_parallel_for parallel_for, void *pool) {
    hnorm_context &settings = context_or_process(context);
    settings.parallel_for = parallel_for;
    settings.pool = pool;
    return HNORM_OK;
}

hnorm_status hnorm_set_parallel_for(hnorm_parallel_for parallel_for, void *pool) {
    return hnorm_context_set_parallel_for(nullptr, parallel_for, pool);
}

hnorm_status hnorm_context_set_allocator(hnorm_context *context, const hnorm_allocator *allocator) {
    const char *const function = "hnorm_context_set_allocator";
    hnorm_allocator read = {};
    if (allocator) {
        HNORM_TRY(read_given(function, "allocator", *allocator, &read));
        if (read.allocate == nullptr || read.deallocate == nullptr) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: allocator.%s is null: both functions are needed", function,
                        read.allocate ? "deallocate" : "allocate");
        }
    }
    context_or_process(context).allocator = read;
    return HNORM_OK;
}

}  // extern "C"
