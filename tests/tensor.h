// Test tensors (N, C, spatial...): owned memory between inaccessible pages, padding filled with sentinels.
//
// A kernel that reads or writes beyond the tensor's ends crashes; one that writes into the padding between planes, or
// leaves an element of its output unwritten, is found by the sentinels.
#pragma once

#include <hnorm/hnorm.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace test {

using Shape = std::vector<int64_t>;

inline uint32_t bits(float value) {
    uint32_t result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

inline uint64_t bits(double value) {
    uint64_t result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

constexpr uint32_t kSentinelBits = 0x7fc5a5a5;  // a quiet NaN that no arithmetic makes: reading it shows too

inline float sentinel() {
    float value;
    std::memcpy(&value, &kSentinelBits, sizeof value);
    return value;
}

inline std::string to_string(const Shape &list) {
    std::ostringstream out;
    for (size_t i = 0; i < list.size(); i++) out << (i ? "," : "(") << list[i];
    out << ")";
    return out.str();
}

// Memory with an inaccessible page before and after; the usable part ends (or starts) exactly at such a page.
class GuardedMemory {
public:
    GuardedMemory(size_t floats, bool at_end) : floats_(floats) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        inner_ = (floats * sizeof(float) / page + 1) * page;
        mapped_ = inner_ + 2 * page;
        void *memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<char *>(memory);
        if (mprotect(base_ + page, inner_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
        begin_ = reinterpret_cast<float *>(base_ + page);
        end_ = reinterpret_cast<float *>(base_ + page + inner_);
        data_ = at_end ? end_ - floats : begin_;
        clear();
    }
    ~GuardedMemory() { munmap(base_, mapped_); }
    GuardedMemory(const GuardedMemory &) = delete;
    GuardedMemory &operator=(const GuardedMemory &) = delete;

    void clear() {
        for (float *p = begin_; p < end_; p++) std::memcpy(p, &kSentinelBits, sizeof *p);
    }
    float *data() const { return data_; }
    const float *begin() const { return begin_; }  // of all that can be accessed, data() and what rounds it up to pages
    const float *end() const { return end_; }

private:
    size_t floats_, inner_, mapped_;
    char *base_;
    float *begin_, *end_, *data_;
};

// Elements between planes and between samples beyond the dense layout, and which end of the tensor touches the guard page.
struct Padding {
    int64_t c = 0;
    int64_t n = 0;
    bool at_end = true;
};

class Tensor {
public:
    explicit Tensor(Shape shape, Padding padding = {})
        : shape_(std::move(shape)), padding_(padding), positions_(1), stride_c_(0), stride_n_(0) {
        for (size_t i = 2; i < shape_.size(); i++) positions_ *= shape_[i];
        stride_c_ = positions_ + padding_.c;
        stride_n_ = channels() * stride_c_ + padding_.n;
        const int64_t planes = samples() * channels();
        extent_ = planes && positions_ ? (samples() - 1) * stride_n_ + (channels() - 1) * stride_c_ + positions_ : 0;
        memory_ = new GuardedMemory(static_cast<size_t>(extent_), padding_.at_end);
    }
    Tensor(const Tensor &other) : Tensor(other.shape_, other.padding_) { copy_elements(other); }
    Tensor &operator=(const Tensor &) = delete;
    ~Tensor() { delete memory_; }

    int64_t samples() const { return shape_[0]; }
    int64_t channels() const { return shape_[1]; }
    int64_t positions() const { return positions_; }
    int64_t size() const { return samples() * channels() * positions_; }
    int64_t stride_n() const { return stride_n_; }
    int64_t stride_c() const { return stride_c_; }
    const Shape &shape() const { return shape_; }
    const Padding &padding() const { return padding_; }

    float *data() const { return memory_->data(); }
    float *plane(int64_t n, int64_t c) const { return data() + n * stride_n_ + c * stride_c_; }
    float &at(int64_t n, int64_t c, int64_t s) { return plane(n, c)[s]; }
    float at(int64_t n, int64_t c, int64_t s) const { return plane(n, c)[s]; }

    hnorm_tensor view() const {
        hnorm_tensor result = hnorm_channels_first(data(), static_cast<int>(shape_.size()), shape_.data());
        result.strides[0] = stride_n_;
        result.strides[1] = stride_c_;
        return result;
    }

    // Everything, elements too, becomes the sentinel.
    void clear() { memory_->clear(); }

    // Same shape; padding may differ.
    void copy_elements(const Tensor &other) {
        for (int64_t n = 0; n < samples(); n++)
            for (int64_t c = 0; c < channels(); c++)
                if (positions_)
                    std::memcpy(plane(n, c), other.plane(n, c), sizeof(float) * static_cast<size_t>(positions_));
    }

    // From dense values.
    void set_elements(const std::vector<float> &values) {
        for (int64_t n = 0, i = 0; n < samples(); n++)
            for (int64_t c = 0; c < channels(); c++, i += positions_)
                if (positions_)
                    std::memcpy(plane(n, c), &values[static_cast<size_t>(i)],
                                sizeof(float) * static_cast<size_t>(positions_));
    }

    // Empty if nothing outside the elements was written.
    std::string damage() const {
        const float *cursor = memory_->begin();
        for (int64_t n = 0; n < samples(); n++) {
            for (int64_t c = 0; c < channels() && positions_; c++) {
                for (; cursor < plane(n, c); cursor++)
                    if (bits(*cursor) != kSentinelBits) return damage_at(cursor);
                cursor += positions_;
            }
        }
        for (; cursor < memory_->end(); cursor++)
            if (bits(*cursor) != kSentinelBits) return damage_at(cursor);
        return "";
    }

    std::string describe() const {
        std::ostringstream out;
        out << to_string(shape_) << " strides (" << stride_n_ << "," << stride_c_ << ") "
            << (padding_.at_end ? "ending" : "starting") << " at a page";
        return out.str();
    }

private:
    std::string damage_at(const float *where) const {
        std::ostringstream out;
        out << "written outside the tensor, at element offset " << where - data() << ": " << *where;
        return out.str();
    }

    Shape shape_;
    Padding padding_;
    int64_t positions_, stride_c_, stride_n_, extent_;
    GuardedMemory *memory_;
};

}  // namespace test
