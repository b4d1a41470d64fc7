// HNORM_LOG: the distinct calls of a program, with their number and time, as a list of shapes
// (docs/tuning.md).
#pragma once

#include <atomic>
#include <cstdint>

#include "tensor.h"

namespace hnorm::detail {

// What calls compute, without post-ops, by the names of bench/engine/operations.inc.
enum class Computes : uint8_t {
    kForward,
    kNormalize,
    kBackward,
    kMoments,
    kBackwardReduce,
    kBackwardApply,
    kNormalizeBackward,
    kActivationBackward
};
constexpr const char *kComputesNames[] = {
    "forward",         "normalize",      "backward",           "moments",
    "backward_reduce", "backward_apply", "normalize_backward", "activation_backward"};
constexpr const char *kTypeNames[] = {"f32", "f16", "bf16"};  // hnorm_type, in its order

// A call as the log tells calls apart. Operations (forward.h, backward_arguments.h) say which they
// are.
// Values and no pointers to the operation's: these would keep it out of registers.
struct CallKind {
    CallKind(Computes its_computes, const CheckedTensor &x, const char *its_written, const Grouping &grouping,
             bool has_activation = false, bool has_residual = false)
        : computes(its_computes),
          type(x.type),
          device(x.device),
          layout(x.layout),
          n(x.n),
          c(x.c),
          s(x.s),
          groups(grouping.by == HNORM_BATCH ? 0 : x.c / grouping.together),
          activation(has_activation),
          residual(has_residual),
          in_place(its_written == x.data),
          padded(x.span() != x.elements()) {}

    Computes computes;
    hnorm_type type;
    hnorm_device device;
    Layout layout;
    int64_t n, c, s;
    int64_t groups;  // of channels in a sample; 0: batch norm
    bool activation, residual, in_place, padded;
};

// Of the process: whether the environment was read, and what it says.
enum class LogState : int { kUnread, kOff, kOn };
extern std::atomic<LogState> log_state;

// A call that is logged, if calls are: counted once and, if it is one of those that are timed, with
// its time from then until it ends. It takes no lock and no memory.
class LoggedCall {
public:
    LoggedCall() = default;
    ~LoggedCall() {
        if (begin_ != 0) {
            end();
        }
    }
    LoggedCall(const LoggedCall &) = delete;
    LoggedCall &operator=(const LoggedCall &) = delete;

    void begin() {
        if (log_state.load(std::memory_order_acquire) != LogState::kOff) {
            start();
        }
    }
    bool is_on() const { return is_on_; }
    // The shape is that which the caller sees. Without it: samples, channels and positions.
    void shows(const hnorm_tensor &given) { given_ = &given; }
    // The first kind counts.
    void is_of(const CallKind &kind);

private:
    void start();
    void end();

    bool is_on_ = false;
    int64_t begin_ = 0;  // of a clock, in ns; 0: not timed
    const hnorm_tensor *given_ = nullptr;
    struct Counter *counter_ = nullptr;
    uint64_t stands_for_ = 0;
};

}  // namespace hnorm::detail
