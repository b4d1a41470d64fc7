// What ranks tell each other (hnorm/comm.h). Every rank takes part in every round, also if it has
// failed: then the others learn of it and do not wait.
#pragma once

#include <hnorm/comm.h>

#include "../tensor.h"

namespace hnorm::detail {

// What a call is, as the first message of each rank says.
struct RankCall {
    char magic[8];
    int64_t tag, step, channels, samples, positions;
    int16_t operation, status, type;
    int16_t channels_last;  // 1, 0, or -1 if both layouts are the same
    int16_t residual;       // whether there is one
    int16_t measures;       // whether the rank's latest backward had to know magnitudes
    float slope;            // of the activation
};
static_assert(sizeof(RankCall) == 64);
// Added to for a layer on a device, whose messages are others.
constexpr int16_t kForwardOverRanks = 1, kBackwardOverRanks = 2, kOnDevice = 2;

// The ranks of a layer, and memory for their messages.
class Exchange {
public:
    explicit Exchange(const hnorm_comm &comm) : comm_(comm) {}
    ~Exchange();
    Exchange(const Exchange &) = delete;
    Exchange &operator=(const Exchange &) = delete;
    // Memory for what agree() needs, which may not fail.
    hnorm_status reserve(const char *function);

    const hnorm_comm &comm() const { return comm_; }
    int rank() const { return comm_.rank; }
    int ranks() const { return comm_.ranks; }

    // The first round of a call. Fails on every rank if ranks call different things, or if the
    // status of one is a failure. Otherwise samples() and the others below are known.
    hnorm_status agree(const char *function, RankCall call);
    int64_t samples(int rank) const { return calls_[rank].samples; }
    int64_t start(int rank) const { return starts_[rank]; }  // of its samples in the batch
    int64_t all_samples() const { return starts_[comm_.ranks]; }
    // Of ranks that have samples; 0 and false if none has.
    int64_t positions() const { return positions_; }
    bool channels_last() const { return channels_last_; }
    // Whether the ranks' latest backward had to know magnitudes, on all of them.
    bool measures() const { return measures_; }
    void set_measures(bool measures) { measures_next_ = measures; }

    // A round in which each rank gives so many doubles; all ranks give the same number here. Fails
    // on every rank if memory() does.
    hnorm_status reserve_round(const char *function, int64_t values);
    // Whether the latest failure was one of all ranks.
    bool failed_together() const { return failed_together_; }
    double *mine() { return memory_ + 1; }
    // Fails on every rank if `status` is a failure on one. Then of(rank) has what it gave.
    hnorm_status gather(const char *function, hnorm_status status);
    // For who reads messages from their begin on: where each rank's is read.
    int64_t &cursor(int rank) { return cursors_[rank]; }
    const double *of(int rank) const { return memory_ + (1 + rank) * (1 + values_) + 1; }

private:
    hnorm_status all_gather(const char *function, const void *mine, size_t bytes, void *all) const;
    hnorm_status share_status(const char *function, hnorm_status status);
    hnorm_status compare_calls(const char *function) const;
    hnorm_status find_failure(const char *function) const;
    hnorm_status failed(const char *function, int rank, hnorm_status status) const;
    hnorm_status settle(const char *function);

    const hnorm_comm comm_;
    RankCall *calls_ = nullptr;
    int64_t *starts_ = nullptr, *cursors_ = nullptr;
    int64_t positions_ = 0;
    bool channels_last_ = false, measures_ = false, measures_next_ = false;
    // A status and values: first mine, then those of all ranks.
    double *memory_ = nullptr;
    int64_t capacity_ = 0, values_ = 0;
    mutable bool failed_together_ = false;
};

}  // namespace hnorm::detail
