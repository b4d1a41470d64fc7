// Each thread keeps the latest blocks that kernels on it gave back, 16 MiB at most. The C library returns blocks of that size
// to the system, and the next call's page faults cost more than what they are for: the results of a large tensor's chunks are
// some 3 MB, whose faults were a tenth of channels-last moments at 32, 64, 112, 112.
#include "kernel_memory.h"

#include <HalideRuntime.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

namespace hnorm::detail {

namespace {

// What lies before a block; Halide wants blocks aligned to as much.
struct alignas(128) Header {
    void *memory;  // as the C library gave it
    size_t size;   // of the block
};

constexpr size_t kLeastKept = size_t(64) << 10, kMostKept = size_t(16) << 20;

void give_back(Header *block) {
    if (block) {
        std::free(block->memory);
    }
}

// Whether the thread's blocks are gone: what is destroyed after them, as a static object, may still call hnorm.
thread_local bool thread_ends = false;

class KeptBlocks {
public:
    ~KeptBlocks() {
        thread_ends = true;
        for (Header *&block : blocks_) give_back(std::exchange(block, nullptr));
    }

    // A block that holds `size` without wasting more than as much, or null.
    Header *take(size_t size) {
        for (Header *&block : blocks_) {
            if (block && block->size >= size && block->size / 2 <= size) {
                kept_ -= block->size;
                return std::exchange(block, nullptr);
            }
        }
        return nullptr;
    }

    // In place of the oldest, if need be.
    void keep(Header *block) {
        if (block->size > kMostKept) {
            give_back(block);
            return;
        }
        kept_ += block->size;
        do {
            next_ = (next_ + 1) % kBlocks;
            if (blocks_[next_]) kept_ -= blocks_[next_]->size;
            give_back(std::exchange(blocks_[next_], nullptr));
        } while (kept_ > kMostKept);
        blocks_[next_] = block;
    }

private:
    static constexpr int kBlocks = 4;
    Header *blocks_[kBlocks] = {};
    int next_ = 0;
    size_t kept_ = 0;
};

thread_local KeptBlocks kept_blocks;

void *allocate(void *, size_t size) {
    Header *header = size < kLeastKept || thread_ends ? nullptr : kept_blocks.take(size);
    if (header == nullptr) {
        constexpr size_t kMore = sizeof(Header) + alignof(Header) - 1;
        void *const memory = size > SIZE_MAX - kMore ? nullptr : std::malloc(size + kMore);
        if (memory == nullptr) {
            return nullptr;
        }
        const auto aligned =
            (reinterpret_cast<uintptr_t>(memory) + alignof(Header) - 1) / alignof(Header) * alignof(Header);
        header = reinterpret_cast<Header *>(aligned);
        *header = {memory, size};
    }
    return header + 1;
}

void release(void *, void *block) {
    if (block == nullptr) {
        return;
    }
    Header *header = static_cast<Header *>(block) - 1;
    if (header->size < kLeastKept || thread_ends) {
        give_back(header);
    } else {
        kept_blocks.keep(header);
    }
}

}  // namespace

void install_kernel_memory() {
    halide_set_custom_malloc(allocate);
    halide_set_custom_free(release);
}

}  // namespace hnorm::detail
