// The latest blocks that kernels gave back are kept, 64 MiB at most in a process. The C library returns blocks of that size to
// the system, and the next call's page faults cost more than what they are for: the results of a large tensor's chunks are
// some 3 MB, whose faults were a tenth of channels-last moments at 32, 64, 112, 112.
#include "kernel_memory.h"

#include <HalideRuntime.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace hnorm::detail {

namespace {

// What lies before a block; Halide wants blocks aligned to as much.
struct alignas(128) Header {
    void *memory;  // as the C library gave it
    size_t size;   // of the block
};

constexpr size_t kLeastKept = size_t(64) << 10, kMostKept = size_t(64) << 20;

void give_back(Header *block) {
    if (block) {
        std::free(block->memory);
    }
}

// Of the process rather than of each thread: threads come and go, and what many keep adds up. Without locks, which a child of fork()
// could find held, and without destructors, for a thread may outlive what a program destroys as it ends.
class KeptBlocks {
public:
    // A block that holds `size` without wasting more than as much, or null.
    Header *take(size_t size) {
        for (std::atomic<Header *> &place : places_) {
            Header *block = take_from(place);
            if (block && block->size >= size && block->size / 2 <= size) {
                return block;
            }
            if (block && !put_into(place, block)) {
                keep(block);
            }
        }
        return nullptr;
    }

    // Where there is room, or in place of another; then others go until what is kept is within its bound.
    void keep(Header *block) {
        const unsigned first = next_++;
        bool kept = false;
        for (unsigned i = 0; i < kBlocks && !kept; ++i) {
            kept = put_into(places_[(first + i) % kBlocks], block);
        }
        if (!kept) {
            size_ += block->size;
            drop(places_[first % kBlocks].exchange(block));
        }
        for (unsigned i = 1; i < kBlocks && size_ > kMostKept; ++i) {
            give_back(take_from(places_[(first + i) % kBlocks]));
        }
    }

    void give_back_all() {
        for (std::atomic<Header *> &place : places_) {
            give_back(take_from(place));
        }
    }

private:
    Header *take_from(std::atomic<Header *> &place) {
        Header *const block = place.load(std::memory_order_relaxed) ? place.exchange(nullptr) : nullptr;
        if (block) {
            size_ -= block->size;
        }
        return block;
    }
    bool put_into(std::atomic<Header *> &place, Header *block) {
        Header *none = nullptr;
        size_ += block->size;
        const bool was_free = place.compare_exchange_strong(none, block);
        if (!was_free) {
            size_ -= block->size;
        }
        return was_free;
    }
    void drop(Header *block) {
        if (block) {
            size_ -= block->size;
        }
        give_back(block);
    }

    static constexpr unsigned kBlocks = 64;
    std::atomic<Header *> places_[kBlocks] = {};
    std::atomic<unsigned> next_{0};
    std::atomic<size_t> size_{0};  // of all
};

KeptBlocks kept_blocks;

// As the plug-in with hnorm inside is unloaded.
__attribute__((destructor(101))) void unload() { kept_blocks.give_back_all(); }

void *allocate(void *, size_t size) {
    Header *header = size < kLeastKept ? nullptr : kept_blocks.take(size);
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
    if (header->size < kLeastKept || header->size > kMostKept / 4) {
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

void give_back_kernel_memory() { kept_blocks.give_back_all(); }

}  // namespace hnorm::detail
