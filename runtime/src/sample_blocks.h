// Instance norm of tensors whose kernels do not work group by group (channels-last): in blocks of samples that stay in cache
// between the sums and what follows from them.
#pragma once

#include <algorithm>

#include "compute.h"
#include "threads.h"

namespace hnorm::detail {

// Calls compute(range) for each block. Small samples are each a thread's own from beginning to end, so that threads wait for each
// other once, not in every kernel; on a large one all threads work together.
template <typename Compute>
hnorm_status for_blocks_of_samples(const char *function, const Machine &machine, const Planes &x,
                                   const Compute &compute) {
    constexpr int64_t kElementsInCache = 1 << 18, kBlocksPerThread = 4;
    struct Blocks {
        const Planes &x;
        const Compute &compute;
        int64_t samples;

        int64_t count() const { return (x.n + samples - 1) / samples; }
        hnorm_status run(int64_t i) const {
            return compute(Range{i * samples, std::min((i + 1) * samples, x.n), 0, x.c});
        }
    };
    const int64_t elements = x.c * x.s, in_cache = std::clamp<int64_t>(kElementsInCache / elements, 1, x.n);
    const int64_t balanced = x.n / (kBlocksPerThread * machine.threads);
    Blocks blocks = {x, compute, in_cache};
    if (runs_serially(machine, x) || elements > kElementsInCache || balanced == 0) {
        for (int64_t i = 0; i < blocks.count(); ++i) {
            HNORM_TRY(blocks.run(i));
        }
        return HNORM_OK;
    }
    blocks.samples = std::min(in_cache, balanced);
    return parallel_for(
        function, blocks.count(),
        [](void *argument, int64_t i) {
            const SerialScope serial(true);
            return static_cast<const Blocks *>(argument)->run(i);
        },
        &blocks);
}

}  // namespace hnorm::detail
