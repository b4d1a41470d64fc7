// Settings of calls (hnorm/context.h).
#pragma once

#include <hnorm/context.h>

#include <atomic>

#include "kernels.h"

// Null and 0 mean the defaults. The process's settings are one of these, too.
struct hnorm_context {
    std::atomic<int> threads{0};
    std::atomic<const hnorm::detail::Target *> target{nullptr};
    hnorm_parallel_for parallel_for = nullptr;
    void *pool = nullptr;
    hnorm_allocator allocator = {};
};

namespace hnorm::detail {

// The context of the calling thread's present call; on threads that help in it, too.
const hnorm_context &current_context();

// The context that a function of hnorm/context.h was given: null is the process's.
hnorm_context &context_or_process(hnorm_context *context);
const hnorm_context &context_or_process(const hnorm_context *context);

// While it lives, the context is its thread's. Null leaves the thread's as it is.
class ContextScope {
public:
    explicit ContextScope(const hnorm_context *context = nullptr) { use(context); }
    ~ContextScope() { leave(); }
    ContextScope(const ContextScope &) = delete;
    ContextScope &operator=(const ContextScope &) = delete;
    void use(const hnorm_context *context);

private:
    void leave();

    bool changed_ = false;
    hnorm_context *before_ = nullptr;
};

}  // namespace hnorm::detail
