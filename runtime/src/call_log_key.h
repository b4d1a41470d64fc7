// A call as the key of its counter in the log: equal calls have equal keys.
#pragma once

#include <hnorm/hnorm.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "call_log.h"

namespace hnorm::detail {

// In words, since reading back together what was just written in parts would wait for the memory.
struct CallKey {
    int64_t shape[HNORM_MAX_RANK];
    int64_t groups;  // of channels in a sample; 0: batch norm
    struct What {
        uint64_t computes : 8, rank : 8, type : 8, device : 8;
        uint64_t last : 1, activation : 1, residual : 1, in_place : 1, padded : 1, : 27;
    } what;

    bool operator==(const CallKey &other) const {
        uint64_t differ = (bits() ^ other.bits()) | static_cast<uint64_t>(groups ^ other.groups);
        for (int i = 0; i < HNORM_MAX_RANK; ++i) {
            differ |= static_cast<uint64_t>(shape[i] ^ other.shape[i]);
        }
        return differ == 0;
    }
    // Products that do not wait for each other.
    size_t hash() const {
        constexpr uint64_t kOdd = 0x9e3779b97f4a7c15U;
        uint64_t factor = kOdd, sum = mixed(bits()) + mixed(static_cast<uint64_t>(groups)) * (kOdd << 1 | 1);
        for (const int64_t extent : shape) {
            factor *= kOdd;
            sum += mixed(static_cast<uint64_t>(extent)) * factor;
        }
        return static_cast<size_t>(mixed(sum * kOdd));
    }

private:
    static uint64_t mixed(uint64_t word) { return word ^ word >> 32; }
    uint64_t bits() const {
        uint64_t word = 0;
        std::memcpy(&word, &what, sizeof word);
        return word;
    }
};
static_assert(sizeof(CallKey::What) == sizeof(uint64_t));

// given: the tensor that the caller sees, or null.
inline CallKey key_of(const CallKind &kind, const hnorm_tensor *given) {
    CallKey key = {};
    if (given) {
        for (int i = 0; i < HNORM_MAX_RANK; ++i) {
            key.shape[i] = i < given->rank ? given->shape[i] : 0;
        }
    } else {
        key.shape[0] = kind.n;
        key.shape[1] = kind.c;
        key.shape[2] = kind.s;
    }
    key.groups = kind.groups;
    key.what.computes = static_cast<uint64_t>(kind.computes);
    key.what.rank = given ? static_cast<uint64_t>(given->rank) : 3;
    key.what.type = static_cast<uint64_t>(kind.type);
    key.what.device = static_cast<uint64_t>(kind.device);
    key.what.last = kind.layout == Layout::kChannelsLast;
    key.what.activation = kind.activation;
    key.what.residual = kind.residual;
    key.what.in_place = kind.in_place;
    key.what.padded = kind.padded;
    return key;
}

}  // namespace hnorm::detail
