// The latest blocks that calls gave back are kept, 64 MiB at most in a process. The C library
// returns large blocks to the system, and small ones that lie on the end of its heap. The next
// call's page faults cost more than what the blocks are for: the results of a large tensor's chunks
// are some 3 MB, whose faults were a tenth of channels-last moments at 32, 64, 112, 112. Those of
// some blocks of 30 KB together were a third of backward at 500, 8, 4.
#include "scratch_memory.h"

#include <HalideRuntime.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "context.h"
#include "witness.h"

namespace hnorm::detail {

namespace {

// What lies before a block; Halide wants blocks aligned to as much.
struct alignas(128) Header {
    void *memory;                                      // as the allocator gave it
    size_t size;                                       // of the block
    void (*deallocate)(void *argument, void *memory);  // of the caller's allocator; null: free
    void *argument;
};

constexpr int kLeastClass = 12, kMostClass = 24;  // powers of two, of bytes
constexpr size_t kLeastKept = size_t(1) << kLeastClass, kMostKept = size_t(64) << 20;

// The power of two that is at most the size.
int class_of(size_t size) { return 63 - __builtin_clzll(size); }

void give_back(Header *block) {
    if (block == nullptr) {
        return;
    }
    if (block->deallocate) {
        block->deallocate(block->argument, block->memory);
    } else {
        std::free(block->memory);
    }
}

// Of the process rather than of each thread: threads come and go, and what many keep adds up.
// Without locks, which a child of fork() could find held, and without destructors, for a thread may
// outlive what a program destroys as it ends.
class KeptBlocks {
public:
    // A block that holds `size` without wasting more than as much, or null.
    Header *take(size_t size) {
        const int least = class_of(size);
        for (int i = least; i <= std::min(least + 1, kMostClass); ++i) {
            for (std::atomic<Header *> &place : places_of(i)) {
                Header *block = take_from(place);
                if (block && block->size >= size && block->size / 2 <= size) {
                    return block;
                }
                if (block && !put_into(place, block)) {
                    keep(block);
                }
            }
        }
        return nullptr;
    }

    // Where there is room, or in place of another of its class; then others go until what is kept
    // is within its bound, large ones first.
    void keep(Header *block) {
        const int of_block = class_of(block->size);
        Places &places = places_of(of_block);
        const bool kept =
            std::any_of(places.begin(), places.end(), [&](auto &place) { return put_into(place, block); });
        if (!kept) {
            size_ += block->size;
            drop(places[next_++ % kPlaces].exchange(block));
        }
        for (int i = kMostClass; i >= kLeastClass && size_ > kMostKept; --i) {
            for (std::atomic<Header *> &place : places_of(i)) {
                if (size_ > kMostKept) {
                    give_back(take_from(place));
                }
            }
        }
    }

    void give_back_all() {
        for (Places &places : places_) {
            for (std::atomic<Header *> &place : places) {
                give_back(take_from(place));
            }
        }
    }

private:
    static constexpr unsigned kPlaces = 16;
    using Places = std::array<std::atomic<Header *>, kPlaces>;

    Places &places_of(int of_class) { return places_[of_class - kLeastClass]; }
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

    Places places_[kMostClass - kLeastClass + 1] = {};  // of each class
    std::atomic<unsigned> next_{0};
    std::atomic<size_t> size_{0};  // of all
};

KeptBlocks kept_blocks;

// As the plug-in with hnorm inside is unloaded.
__attribute__((destructor(101))) void unload() { kept_blocks.give_back_all(); }

void *allocate_bytes(const hnorm_allocator &allocator, size_t bytes) {
    if (allocator.allocate == nullptr) {
        return std::malloc(bytes);
    }
    try {
        return allocator.allocate(allocator.argument, bytes);
    } catch (...) {  // It may be C++; a kernel's frames cannot be unwound.
        return nullptr;
    }
}

}  // namespace

void *allocate_scratch(size_t size) {
    const hnorm_allocator &allocator = current_context().allocator;
    const bool keeps = allocator.allocate == nullptr && kLeastKept <= size && size <= kMostKept / 4;
    Header *header = keeps ? kept_blocks.take(size) : nullptr;
    if (header == nullptr) {
        constexpr size_t kMore = sizeof(Header) + alignof(Header) - 1;
        void *const memory = size > SIZE_MAX - kMore ? nullptr : allocate_bytes(allocator, size + kMore);
        if (memory == nullptr) {
            return nullptr;
        }
        const auto aligned =
            (reinterpret_cast<uintptr_t>(memory) + alignof(Header) - 1) / alignof(Header) * alignof(Header);
        header = reinterpret_cast<Header *>(aligned);
        *header = {memory, size, allocator.deallocate, allocator.argument};
    }
    if (Witness *const asked = witness()) {
        asked->takes_memory(header->size);
    }
    return header + 1;
}

void free_scratch(void *block) {
    if (block == nullptr) {
        return;
    }
    Header *header = static_cast<Header *>(block) - 1;
    if (Witness *const asked = witness()) {
        asked->gives_memory(header->size);
    }
    if (header->deallocate || header->size < kLeastKept || header->size > kMostKept / 4) {
        give_back(header);
    } else {
        kept_blocks.keep(header);
    }
}

void install_scratch_memory() {
    halide_set_custom_malloc([](void *, size_t size) { return allocate_scratch(size); });
    halide_set_custom_free([](void *, void *block) { free_scratch(block); });
}

void give_back_scratch_memory() { kept_blocks.give_back_all(); }

}  // namespace hnorm::detail
