/// @file
/// Settings for one part of a program in C++ (context.h). hnorm.hpp includes this header.
///
/// @code{.cpp}
/// hnorm::Context context;
/// context.set_num_threads(2);
///
/// {
///     const hnorm::UseContext use(context);  // this thread's calls, to the end of the block
///     hnorm::forward(x, hnorm::Group::batch, affine, 1e-5, y);
/// }
/// bn.set_context(&context);                  // each call of this layer
/// @endcode
#pragma once

#include <hnorm/context.h>
#include <hnorm/tensor.hpp>

#include <memory>
#include <string>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// Settings for the calls of one thread or of one layer (hnorm_context).
///
/// It can be moved, and cannot be copied. It must live as long as a thread or a layer uses it.
/// Every function throws Error if it fails.
class Context {
public:
    /// A context with the defaults of a new process.
    Context() {
        hnorm_context *context = nullptr;
        header::require_ok(hnorm_context_create(&context));
        context_.reset(context);
    }

    /// Sets the number of threads that a call may use: 1 to 256, or 0 for the default.
    void set_num_threads(int threads) { header::require_ok(hnorm_context_set_num_threads(c(), threads)); }
    /// The number of threads that a call may use.
    int num_threads() const { return hnorm_context_get_num_threads(context_.get()); }
    /// Replaces the threads of hnorm by a pool of the caller. nullptr restores them.
    void set_parallel_for(hnorm_parallel_for parallel_for, void *pool = nullptr) {
        header::require_ok(hnorm_context_set_parallel_for(c(), parallel_for, pool));
    }
    /// Forces a target. "" restores the choice of hnorm.
    void set_target(const std::string &name) { header::require_ok(hnorm_context_set_target(c(), name.c_str())); }
    /// The name of the target.
    std::string target() const { return hnorm_context_get_target(context_.get()); }
    /// Sets the allocator of working memory (hnorm_allocator_of).
    void set_allocator(const hnorm_allocator &allocator) {
        header::require_ok(hnorm_context_set_allocator(c(), &allocator));
    }
    /// Takes working memory from malloc again.
    void reset_allocator() { header::require_ok(hnorm_context_set_allocator(c(), nullptr)); }

    /// The context for the C interface. This object keeps it.
    hnorm_context *c() noexcept { return context_.get(); }

private:
    struct Destroy {
        void operator()(hnorm_context *context) const noexcept { hnorm_context_destroy(context); }
    };
    std::unique_ptr<hnorm_context, Destroy> context_;
};

/// While it lives, the calls of its thread use a context (hnorm_use_context).
class UseContext {
public:
    /// The context of the calls from here on. It must live longer than this object.
    explicit UseContext(Context &context) noexcept : before_(hnorm_use_context(context.c())) {}
    ~UseContext() { hnorm_use_context(before_); }
    UseContext(const UseContext &) = delete;
    UseContext &operator=(const UseContext &) = delete;

private:
    hnorm_context *before_;
};

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
