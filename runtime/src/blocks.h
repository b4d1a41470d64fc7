// How threads share the work on the groups of a tensor. There are two ways:
// - Each thread computes blocks of groups, from the sums to the stores, while a block is in its
//   cache. Threads wait for each other once, at the end.
// - All groups are computed at once, and the threads share each group.
#pragma once

#include <algorithm>

#include "call.h"
#include "error.h"
#include "threads.h"

namespace hnorm::detail {

class Blocks {
public:
    // A block holds whole groups. read: how many tensors like x the work reads.
    Blocks(const CpuCall &on, const CheckedTensor &x, const Grouping &grouping, int read = 1)
        : x_(x),
          dispatch_(on.dispatch(x.type)),
          channels_(x.c),
          samples_(x.n),
          serial_(on.is_serial(x.type, x.elements())) {
        const hnorm_group group = grouping.by;
        const bool batch = group == HNORM_BATCH;
        // Channels that lie side by side are not divided: pieces of a line or two are no stream.
        // Those of a few elements each are an exception: their values take more memory.
        const bool adjacent =
            (x.s == 1 || x.layout == Layout::kChannelsLast) && (batch || (x.n == 1 && x.s <= kFewElements));
        if (adjacent && x.n * x.s > kFewElements) {
            return;
        }
        // Vectors of up to 16 floats run across groups of small planes. With four blocks a thread,
        // one thread can make up for another that is late. Neither depends on the target.
        constexpr int64_t kVectors = 16, kBlocksPerThread = 4;
        const int64_t of_group = x.group_size(group), groups = x.groups(group);
        const int64_t elements = batch ? dispatch_.batch_block_elements : dispatch_.block_elements;
        const int64_t least = batch ? least_of_many_samples(x) : 1;
        // The values of a block's groups stay in cache as well.
        int64_t together = std::clamp<int64_t>(elements / read / of_group, least,
                                               std::max({dispatch_.block_elements / kFloatsOfGroup, kVectors, least}));
        if (!serial_) {
            const int64_t balanced = groups / (kBlocksPerThread * on.threads);
            together =
                std::min(together, std::max({balanced, std::min(least, ceil_div(groups, on.threads)), int64_t(1)}));
        }
        if (x.layout == Layout::kChannelsLast && !adjacent) {  // whole samples
            samples_ = std::clamp<int64_t>(together / x.c, 1, x.n);
            shared_ = !serial_ && x.c * x.s > dispatch_.sample_elements;
        } else {
            if (least > 1) {
                together = ceil_div(x.c, std::max<int64_t>(x.c / together, 1));  // even blocks
            } else if (together >= kVectors && x.s <= 1024) {
                together -= together % kVectors;
            }
            const int64_t whole = grouping.together;
            channels_ = std::min(ceil_div(together, whole) * whole, x.c);
            samples_ = batch ? x.n : std::clamp<int64_t>(together / x.c, 1, x.n);
        }
        const int64_t threads = on.threads, rounds = ceil_div(count(), threads);
        if (!serial_ && !shared_ && 100 * count() < dispatch_.least_busy_percent * rounds * threads) {
            channels_ = x.c;
            samples_ = x.n;
            few_ = true;
        }
    }

    // Calls compute(slice) for each block. The error message of a failure becomes that of the
    // calling thread.
    template <typename Compute>
    hnorm_status for_each(const char *function, const Compute &compute) const {
        if (Witness *const asked = witness()) {
            asked->chose_blocks({sharing(), count(), channels_, samples_, &dispatch_, x_.elements()});
        }
        if (count() == 1 || serial_ || shared_) {
            const SerialScope serial(serial_);
            for (int64_t i = 0; i < count(); ++i) {
                HNORM_TRY(compute(slice(i)));
            }
            return HNORM_OK;
        }
        return parallel_for(function, count(), [&](int64_t i) { return compute(slice(i)); });
    }

private:
    // Sums, coefficients and statistics of a group take as much memory as so many elements.
    static constexpr int64_t kFloatsOfGroup = 20;
    // Groups of so few elements are shorter than their values.
    static constexpr int64_t kFewElements = 16;

    // A block of batch norm has a piece of each sample. Of many samples short pieces are slow,
    // whatever fits in a cache: each is another page, and vectors that run across groups are partly
    // empty (docs/performance.md, "Many samples").
    static constexpr int64_t kManySamples = 256, kLeastPiece = 1024;
    static int64_t least_of_many_samples(const CheckedTensor &x) {
        const bool many = x.n > kManySamples && x.layout == Layout::kChannelsFirst;
        return many ? std::min(ceil_div(kLeastPiece, x.s), x.c) : 1;
    }

    static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

    int64_t of_channels() const { return ceil_div(x_.c, channels_); }
    int64_t count() const { return of_channels() * ceil_div(x_.n, samples_); }
    Slice slice(int64_t i) const {
        const int64_t n = i / of_channels() * samples_, c = i % of_channels() * channels_;
        return {n, std::min(n + samples_, x_.n), c, std::min(c + channels_, x_.c)};
    }

    Sharing sharing() const {
        return serial_        ? Sharing::kSerial
               : shared_      ? Sharing::kSamples
               : few_         ? Sharing::kFewBlocks
               : count() == 1 ? Sharing::kGroups
                              : Sharing::kBlocks;
    }

    const CheckedTensor &x_;
    const Dispatch &dispatch_;
    int64_t channels_, samples_;  // of a block
    bool serial_, shared_ = false, few_ = false;
};

}  // namespace hnorm::detail
