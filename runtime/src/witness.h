// What a call on the CPU decides, told where it is decided: `hnorm info --call` shows it. In other
// programs nobody asks, and each place costs a load and a branch.
#pragma once

#include <atomic>

#include "kernels.h"
#include "tensor.h"

namespace hnorm::detail {

// How the groups of a tensor are shared among threads (blocks.h).
enum class Sharing {
    kSerial,     // all on the calling thread
    kGroups,     // threads share each group: it has pieces in every sample, or they are too far apart for blocks
    kSamples,    // samples are so large that threads share each of them
    kFewBlocks,  // threads share each group, because blocks would leave threads without work
    kBlocks      // each thread computes blocks
};
struct BlocksMade {
    Sharing sharing;
    int64_t count, channels, samples;  // of blocks, and in a block
    const Dispatch *dispatch;
    int64_t elements;  // of the tensor
};

// Whether an output goes past the cache (past_cache.h), and why.
enum class PastCache { kNever, kAmongInputs, kFits, kNoLines, kGoes };

class Witness {
public:
    // The target and the number of threads that wisdom chose (wisdom.h).
    virtual void obeys_wisdom(const Target &target, int threads) = 0;
    virtual void chose_blocks(const BlocksMade &blocks) = 0;
    // bytes: what the output and its inputs take. limit: how much must be exceeded to go past the
    // cache.
    virtual void chose_stores(PastCache choice, int64_t bytes, int64_t limit) = 0;
    // row: the kernel's row of the table, as hnorm_kernels_probe. Many threads may call this
    // function and the following ones.
    virtual void calls_kernel(const void *row, hnorm_type type, PlaneClass planes) = 0;
    virtual void begins_loop(int tasks, int threads) = 0;
    virtual void takes_memory(size_t bytes) = 0;
    virtual void gives_memory(size_t bytes) = 0;

protected:
    ~Witness() = default;
};

// Null: nobody asks. It has a C name for the program hnorm.
extern "C" std::atomic<Witness *> hnorm_witness;
inline Witness *witness() { return hnorm_witness.load(std::memory_order_relaxed); }

}  // namespace hnorm::detail
