#include "exchange.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <new>

#include "../error.h"

namespace hnorm::detail {

namespace {

constexpr char kMagic[8] = {'h', 'n', 'o', 'r', 'm', '-', '0', '3'};

const char *operation_name(int operation) {
    switch (operation) {
    case kForwardOverRanks: return "a forward";
    case kBackwardOverRanks: return "a backward";
    case kForwardOverRanks + kOnDevice: return "a forward on a device";
    case kBackwardOverRanks + kOnDevice: return "a backward on a device";
    default: return "nothing";
    }
}

}  // namespace

Exchange::~Exchange() {
    delete[] calls_;
    delete[] starts_;
    delete[] cursors_;
    delete[] memory_;
}

hnorm_status Exchange::reserve(const char *function) {
    const auto ranks = static_cast<size_t>(comm_.ranks);
    calls_ = new (std::nothrow) RankCall[ranks]();
    starts_ = new (std::nothrow) int64_t[ranks + 1]();
    cursors_ = new (std::nothrow) int64_t[ranks]();
    return calls_ && starts_ && cursors_
               ? HNORM_OK
               : fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %d ranks", function, comm_.ranks);
}

hnorm_status Exchange::all_gather(const char *function, const void *mine, size_t bytes, void *all) const {
    int code;
    try {
        code = comm_.all_gather(comm_.argument, mine, bytes, all);
    } catch (...) {  // It may be C++; a caller in C cannot be unwound.
        failed_together_ = true;
        return fail(HNORM_COMM_ERROR, "%s: the all_gather of rank %d of %d has thrown an exception", function,
                    comm_.rank, comm_.ranks);
    }
    failed_together_ = code != 0;
    return code == 0 ? HNORM_OK
                     : fail(HNORM_COMM_ERROR, "%s: the all_gather of rank %d of %d has failed: it returned %d",
                            function, comm_.rank, comm_.ranks, code);
}

hnorm_status Exchange::failed(const char *function, int rank, hnorm_status status) const {
    failed_together_ = true;
    if (rank == comm_.rank) {
        return status;  // its sentence is told already
    }
    return fail(HNORM_COMM_ERROR, "%s: rank %d has failed with %s, so that no rank goes on", function, rank,
                hnorm_status_name(status));
}

hnorm_status Exchange::agree(const char *function, RankCall call) {
    std::memcpy(call.magic, kMagic, sizeof kMagic);
    call.tag = comm_.tag;
    call.measures = static_cast<int16_t>(measures_next_);
    if (call.status != HNORM_OK) {
        call.channels = call.samples = call.positions = 0;
    }
    HNORM_TRY(all_gather(function, &call, sizeof call, calls_));
    HNORM_TRY(compare_calls(function));
    HNORM_TRY(find_failure(function));
    return settle(function);
}

// Every rank finds the same: they compare with rank 0.
hnorm_status Exchange::compare_calls(const char *function) const {
    for (int r = 0; r < comm_.ranks; ++r) {
        const RankCall &call = calls_[r], &first = calls_[0];
        if (std::memcmp(call.magic, kMagic, sizeof kMagic) != 0) {
            return fail(HNORM_COMM_ERROR, "%s: what rank %d has sent is no message of this version of hnorm", function,
                        r);
        }
        if (call.tag != first.tag || call.step != first.step || call.operation != first.operation) {
            return fail(HNORM_COMM_ERROR,
                        "%s: rank %d calls %s of the layer with tag %" PRId64 ", its call %" PRId64
                        ", but rank 0 %s of tag %" PRId64 ", its call %" PRId64
                        ": all ranks must make the same calls in the same order",
                        function, r, operation_name(call.operation), call.tag, call.step,
                        operation_name(first.operation), first.tag, first.step);
        }
    }
    return HNORM_OK;
}

hnorm_status Exchange::find_failure(const char *function) const {
    for (int r = 0; r < comm_.ranks; ++r) {
        if (calls_[r].status != HNORM_OK) {
            return failed(function, r, static_cast<hnorm_status>(calls_[r].status));
        }
    }
    return HNORM_OK;
}

// What all ranks with samples must have alike.
hnorm_status Exchange::settle(const char *function) {
    int with_samples = -1, with_layout = -1;
    positions_ = 0;
    channels_last_ = false;
    measures_ = true;
    for (int r = 0; r < comm_.ranks; ++r) {
        const RankCall &call = calls_[r];
        starts_[r + 1] = starts_[r] + call.samples;
        measures_ = measures_ && call.measures != 0;
        if (call.channels != calls_[0].channels || call.type != calls_[0].type) {
            return fail(HNORM_COMM_ERROR,
                        "%s: x of rank %d has %" PRId64 " channels and type %d, but that of rank 0 %" PRId64
                        " and %d: they must be equal",
                        function, r, call.channels, call.type, calls_[0].channels, calls_[0].type);
        }
        if (call.residual != calls_[0].residual || call.slope != calls_[0].slope) {
            return fail(
                HNORM_COMM_ERROR,
                "%s: rank %d has %s residual and the activation's slope %g, but rank 0 has %s and %g: they must "
                "be equal",
                function, r, call.residual ? "a" : "no", static_cast<double>(call.slope),
                calls_[0].residual ? "one" : "none", static_cast<double>(calls_[0].slope));
        }
        if (call.samples == 0) {
            continue;
        }
        with_samples = with_samples < 0 ? r : with_samples;
        if (call.positions != calls_[with_samples].positions) {
            return fail(HNORM_COMM_ERROR,
                        "%s: x of rank %d has %" PRId64 " positions a plane, but that of rank %d %" PRId64
                        ": they must be equal",
                        function, r, call.positions, with_samples, calls_[with_samples].positions);
        }
        positions_ = call.positions;
        if (call.channels_last >= 0) {
            with_layout = with_layout < 0 ? r : with_layout;
            channels_last_ = call.channels_last == 1;
            if (call.channels_last != calls_[with_layout].channels_last) {
                return fail(HNORM_COMM_ERROR,
                            "%s: x of rank %d is channels-%s, but that of rank %d is not: their layouts must be equal",
                            function, r, call.channels_last ? "last" : "first", with_layout);
            }
        }
    }
    const int64_t channels = calls_[0].channels, all = all_samples();
    if (all > kMaxExtent || (channels > 0 && all > kMaxExtent / channels)) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: all ranks together have %" PRId64 " samples of %" PRId64 " channels: N*C of more than %" PRId64
                    " are not supported",
                    function, all, channels, kMaxExtent);
    }
    return HNORM_OK;
}

hnorm_status Exchange::reserve_round(const char *function, int64_t values) {
    values_ = values;
    const int64_t size = (1 + values) * (1 + static_cast<int64_t>(comm_.ranks));
    if (size <= capacity_) {
        std::fill_n(memory_, 1 + values, 0.0);
        return HNORM_OK;
    }
    // All ranks are here, because the sizes of all messages are the same on all of them.
    delete[] memory_;
    memory_ = new (std::nothrow) double[static_cast<size_t>(size)];
    capacity_ = memory_ ? size : 0;
    std::fill_n(memory_, memory_ ? 1 + values : 0, 0.0);
    return share_status(function, memory_
                                      ? HNORM_OK
                                      : fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " values of %d ranks",
                                             function, values, comm_.ranks));
}

hnorm_status Exchange::share_status(const char *function, hnorm_status status) {
    RankCall call = calls_[comm_.rank];
    call.status = static_cast<int16_t>(status);
    const hnorm_status shared = all_gather(function, &call, sizeof call, calls_);
    const hnorm_status found = shared == HNORM_OK ? find_failure(function) : shared;
    if (found != HNORM_OK) {  // of all ranks: they begin anew, as one
        delete[] memory_;
        memory_ = nullptr;
        capacity_ = 0;
    }
    return found;
}

hnorm_status Exchange::gather(const char *function, hnorm_status status) {
    memory_[0] = static_cast<double>(status);
    const int64_t size = 1 + values_;
    HNORM_TRY(all_gather(function, memory_, static_cast<size_t>(size) * sizeof(double), memory_ + size));
    for (int r = 0; r < comm_.ranks; ++r) {
        const auto its = static_cast<hnorm_status>(static_cast<int>(of(r)[-1]));
        if (its != HNORM_OK) {
            return failed(function, r, its);
        }
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
