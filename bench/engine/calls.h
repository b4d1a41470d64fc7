// The calls that are compared: hnorm's own functions, as a program makes them, on tensors of any
// shape, layout and type.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "case.h"
#include "copies.h"

namespace hnorm::bench {

// Bytes that start at a cache line, as the copies want them.
class Memory {
public:
    // Never less than there was; what it held is lost.
    void reserve(int64_t bytes) {
        const size_t lines = (bytes + sizeof(Line) - 1) / sizeof(Line);
        if (lines > lines_.size()) lines_ = std::vector<Line>(lines);
    }
    int64_t size() const { return static_cast<int64_t>(lines_.size() * sizeof(Line)); }
    uint8_t *data() { return lines_.data()->bytes; }
    const uint8_t *data() const { return lines_.data()->bytes; }

private:
    struct alignas(64) Line {
        uint8_t bytes[64];
    };
    std::vector<Line> lines_;
};

enum class Data {
    kPlain,  // of one magnitude, both signs
    kHard,   // by channel: plain, constant, huge, far from 0, and with a NaN
};

// The tensors and arrays of all cases, one case at a time.
class Calls {
public:
    // For all of these; the memory, which may move, stays enough for those before.
    void reserve(const std::vector<Case> &cases);
    // Fills the inputs; what the case writes gets a pattern.
    void prepare(const Case &c, Data data);
    // The same for the values of groups alone: for a case whose tensors are those of the one
    // before.
    void prepare_groups(const Case &c);
    // The call; it throws std::runtime_error with hnorm's reason. in_place: y is x, dx is dy.
    std::function<void()> call(const Case &c, bool in_place = false);
    std::function<void()> copy(Copy kind, const Case &c);
    // The copy floor: a copy; the sum of two tensors into a third where the call reads two; both
    // where it writes two.
    std::function<void()> floor(const Case &c);
    // Of the arrays by their names in Calls, on the CPU; null: no such.
    void *memory(const std::string &name);
    // The same where the calls take it.
    void *address(const std::string &name) { return placed(memory(name)); }
    // All arrays' names, bytes and memory.
    struct Array {
        std::string name;
        int64_t bytes;
        void *memory;
    };
    std::vector<Array> arrays();
    // Calls take arrays of the device: where(memory) instead of each one's memory.
    void place(hnorm_device device, std::function<void *(void *)> where);
    // The bytes of everything that the case may have written, every NaN made the same one.
    std::vector<uint8_t> results(const Case &c, bool in_place) const;

private:
    // The copies move floats, whatever the bytes stand for.
    float *floats(const char *name) { return static_cast<float *>(memory(name)); }
    hnorm_tensor tensor(uint8_t *data, const Case &c) const;
    template <typename T>
    T *placed(T *memory) const {
        return where_ && memory ? static_cast<T *>(where_(memory)) : memory;
    }

    hnorm_device device_ = HNORM_CPU;
    std::function<void *(void *)> where_;

    Memory x_, dy_, residual_, y_, dresidual_;
    std::vector<float> gamma_, beta_, dgamma_, dbeta_;
    std::vector<double> count_, mean_, variance_, sums_, more_sums_;
};

}  // namespace hnorm::bench
