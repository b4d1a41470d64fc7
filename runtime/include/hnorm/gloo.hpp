/// @file
/// The all-gather of comm.h over Gloo.
///
/// The program compiles this header against its own Gloo, so hnorm itself is not linked with it.
///
/// @code{.cpp}
/// #include <hnorm/gloo.hpp>
/// #include <hnorm/hnorm.hpp>
///
/// hnorm::GlooComm gloo(context);  // a connected std::shared_ptr<gloo::Context>
/// hnorm::BatchNorm bn(64);
/// bn.set_comm(gloo.comm());
/// bn.forward(x, y);  // on every rank: statistics of all samples
/// @endcode
#pragma once

#include <hnorm/comm.h>

#include <gloo/allgather.h>
#include <gloo/context.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// Communication for layers over the processes of a connected Gloo context.
///
/// It must live as long as a layer uses it. One object can serve many layers, which run one after
/// the other.
class GlooComm {
public:
    /// What all_gather returns, and the error message of a call quotes.
    enum Failure : int {
        of_gloo = 1,  ///< Gloo has failed, or a process did not come before the deadline.
        broken = 2    ///< An earlier call has failed.
    };

    /// @param context   The processes. Messages of hnorm have tags from `first_tag` on.
    /// @param deadline  How long a call waits for the other processes.
    /// @param first_tag The tags of the program must be other ones.
    explicit GlooComm(std::shared_ptr<gloo::Context> context,
                      std::chrono::milliseconds deadline = std::chrono::minutes(10), std::uint32_t first_tag = 1U << 30)
        : context_(std::move(context)), deadline_(deadline), tag_(first_tag) {}
    GlooComm(const GlooComm &) = delete;
    GlooComm &operator=(const GlooComm &) = delete;

    /// For hnorm_layer_set_comm and Layer::set_comm.
    ///
    /// @param tag        A number of the layer, the same on all processes.
    /// @param gradients  How the gradients of gamma and beta are summed.
    hnorm_comm comm(std::int64_t tag = 0, hnorm_gradients gradients = HNORM_GRADIENTS_OF_ALL) {
        hnorm_comm result = hnorm_comm_of(context_->rank, context_->size, all_gather, this);
        result.tag = tag;
        result.gradients = gradients;
        return result;
    }

private:
    static int all_gather(void *argument, const void *mine, std::size_t bytes, void *all) noexcept {
        return static_cast<GlooComm *>(argument)->gather(mine, bytes, all);
    }
    int gather(const void *mine, std::size_t bytes, void *all) noexcept {
        if (broken_) {
            return broken;
        }
        try {
            gloo::AllgatherOptions options(context_);
            options.setInput(const_cast<char *>(static_cast<const char *>(mine)), bytes);
            options.setOutput(static_cast<char *>(all), bytes * static_cast<std::size_t>(context_->size));
            options.setTimeout(deadline_);
            options.setTag(tag_++);
            gloo::allgather(options);
            return 0;
        } catch (...) {
            broken_ = true;
            return of_gloo;
        }
    }

    const std::shared_ptr<gloo::Context> context_;
    const std::chrono::milliseconds deadline_;
    std::uint32_t tag_;
    bool broken_ = false;
};

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
