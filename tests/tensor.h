// Test tensors (N, C, spatial...) of the run's format: memory between inaccessible pages, padding
// filled with sentinels, and the elements' values as floats beside it.
//
// A kernel that reads or writes beyond the tensor's ends crashes; one that writes into the padding,
// or leaves an element of its output unwritten, is found by the sentinels.
#pragma once

#include "format.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

using Shape = std::vector<int64_t>;

inline std::string to_string(const Shape &list) {
    std::ostringstream out;
    for (size_t i = 0; i < list.size(); i++) out << (i ? "," : "(") << list[i];
    out << ")";
    return out.str();
}

// Memory with an inaccessible page before and after; the usable part ends (or starts) exactly at
// such a page.
class GuardedMemory {
public:
    GuardedMemory(size_t bytes, bool at_end) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t inner = (bytes / page + 1) * page;
        mapped_ = inner + 2 * page;
        void *memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<char *>(memory);
        if (mprotect(base_ + page, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
        begin_ = base_ + page;
        end_ = begin_ + inner;
        data_ = at_end ? end_ - bytes : begin_;
    }
    ~GuardedMemory() { munmap(base_, mapped_); }
    GuardedMemory(const GuardedMemory &) = delete;
    GuardedMemory &operator=(const GuardedMemory &) = delete;

    char *data() const { return data_; }
    char *begin() const { return begin_; }  // of all that can be accessed, data() and what rounds it up to pages
    char *end() const { return end_; }

private:
    size_t mapped_;
    char *base_, *begin_, *end_, *data_;
};

// Elements between runs of adjacent ones (planes, or channels-last positions) and between samples
// beyond the dense layout, and which end of the tensor touches the guard page. after: elements
// between its last one and that page.
struct Padding {
    int64_t c = 0;
    int64_t n = 0;
    bool at_end = true;
    int64_t after = 0;
};

class Tensor {
public:
    explicit Tensor(Shape shape, Padding padding = {}) : shape_(std::move(shape)), padding_(padding), positions_(1) {
        for (size_t i = 2; i < shape_.size(); i++) positions_ *= shape_[i];
        // One channel without padding is channels-first, whatever it is called.
        if (format_.channels_last && channels() == 1) padding_.c = std::max<int64_t>(padding_.c, 1);
        if (format_.channels_last) {
            stride_c_ = 1;
            stride_s_ = channels() + padding_.c;
            stride_n_ = positions_ * stride_s_ + padding_.n;
        } else {
            stride_s_ = 1;
            stride_c_ = positions_ + padding_.c;
            stride_n_ = channels() * stride_c_ + padding_.n;
        }
        const int64_t extent = size() ? offset(samples() - 1, channels() - 1, positions_ - 1) + 1 : 0;
        memory_ = std::make_unique<GuardedMemory>(static_cast<size_t>(extent + padding_.after) * format_.element_size(),
                                                  padding_.at_end);
        values_.resize(static_cast<size_t>(size()));
        clear();
    }
    Tensor(const Tensor &other) : Tensor(other.shape_, other.padding_) { copy_elements(other); }
    Tensor &operator=(const Tensor &) = delete;

    int64_t samples() const { return shape_[0]; }
    int64_t channels() const { return shape_[1]; }
    int64_t positions() const { return positions_; }
    int64_t size() const { return samples() * channels() * positions_; }
    const Shape &shape() const { return shape_; }
    const Padding &padding() const { return padding_; }
    const TensorFormat &format() const { return format_; }
    // Of the memory, in elements.
    int64_t stride_n() const { return stride_n_; }
    int64_t stride_c() const { return stride_c_; }
    int64_t stride_s() const { return stride_s_; }

    // Values, dense: plane (n, c) is followed by (n, c + 1). What is written here must be something
    // that an element can be: rounded(), or settle() afterwards.
    float *plane(int64_t n, int64_t c) const { return values_.data() + (n * channels() + c) * positions_; }
    float &at(int64_t n, int64_t c, int64_t s) { return plane(n, c)[s]; }
    float at(int64_t n, int64_t c, int64_t s) const { return plane(n, c)[s]; }
    const std::vector<float> &values() const { return values_; }
    void settle() {
        for (float &value : values_)
            if (bits(value) != kSentinelBits) value = rounded(value, format_);
    }

    // Writes the values into memory, and reads them from it.
    char *store() const {
        each_element([](float &value, auto *element, const TensorFormat &format) {
            encode(value, format, element);
            const float stored = test::decode(element, format);
            if (bits(stored) != bits(value) && stored == stored)
                throw std::logic_error("a value that the type cannot hold: settle() the tensor");
        });
        return memory_->data();
    }
    void load() const {
        each_element(
            [](float &value, auto *element, const TensorFormat &format) { value = test::decode(element, format); });
    }

    // The memory as an argument, with the values stored in it.
    hnorm_tensor view() const {
        hnorm_tensor result = {};
        result.size = sizeof result;
        result.data = store();
        result.type = format_.type;
        result.device = HNORM_CPU;
        result.rank = static_cast<int>(shape_.size());
        int64_t stride = stride_s_;
        for (size_t axis = shape_.size(); axis-- > 0;) {
            result.shape[axis] = shape_[axis];
            result.strides[axis] = axis == 0 ? stride_n_ : axis == 1 ? stride_c_ : stride;
            if (axis >= 2) stride *= shape_[axis];
        }
        return result;
    }

    // Everything, elements too, becomes the sentinel.
    void clear() {
        if (format_.type == HNORM_F32)
            std::fill(memory_begin<uint32_t>(), memory_end<uint32_t>(), kSentinelBits);
        else
            std::fill(memory_begin<uint16_t>(), memory_end<uint16_t>(), kSentinelHalf);
        std::fill(values_.begin(), values_.end(), sentinel());
    }

    // Same shape; padding may differ.
    void copy_elements(const Tensor &other) { values_ = other.values_; }
    // From dense values that are to be read here only: they may be such as no element can be.
    void set_exact(const std::vector<float> &values) { values_ = values; }
    // From dense values, rounded.
    void set_elements(const std::vector<float> &values) {
        values_ = values;
        settle();
    }

    // Empty if nothing outside the elements was written: what is not the sentinel in memory are
    // elements.
    std::string damage() const { return format_.type == HNORM_F32 ? damage(kSentinelBits) : damage(kSentinelHalf); }

    std::string describe() const {
        std::ostringstream out;
        out << format_.name() << " " << to_string(shape_) << " strides (" << stride_n_ << "," << stride_c_ << ","
            << stride_s_ << ") " << (padding_.at_end ? "ending" : "starting") << " at a page";
        return out.str();
    }

private:
    int64_t offset(int64_t n, int64_t c, int64_t s) const { return n * stride_n_ + c * stride_c_ + s * stride_s_; }

    template <typename Raw>
    Raw *memory_begin() const {
        return reinterpret_cast<Raw *>(memory_->begin());
    }
    template <typename Raw>
    Raw *memory_end() const {
        return reinterpret_cast<Raw *>(memory_->end());
    }

    // call(value, element, format) with elements of type Raw.
    template <typename Raw, typename Call>
    void each_element_of(Call call, const TensorFormat &format) const {
        float *value = values_.data();
        Raw *memory = reinterpret_cast<Raw *>(memory_->data());
        for (int64_t n = 0; n < samples(); n++) {
            for (int64_t c = 0; c < channels(); c++) {
                Raw *element = memory + offset(n, c, 0);
                for (int64_t s = 0; s < positions_; s++, element += stride_s_) call(*value++, element, format);
            }
        }
    }
    template <typename Call>
    void each_element(Call call) const {
        // Constants, so that the loop knows them.
        if (format_.type == HNORM_F32)
            each_element_of<uint32_t>(call, TensorFormat{false, HNORM_F32});
        else if (format_.type == HNORM_F16)
            each_element_of<uint16_t>(call, TensorFormat{false, HNORM_F16});
        else
            each_element_of<uint16_t>(call, TensorFormat{false, HNORM_BF16});
    }

    template <typename Raw>
    std::string damage(Raw unwritten) const {
        const Raw *begin = memory_begin<Raw>(), *end = memory_end<Raw>();
        const auto written = [=](Raw element) { return element != unwritten; };
        int64_t elements = 0;
        each_element_of<Raw>([&](float &, Raw *element, const TensorFormat &) { elements += written(*element); },
                             format_);
        if (std::count_if(begin, end, written) == elements) return "";
        std::vector<bool> inside(static_cast<size_t>(end - begin));
        each_element_of<Raw>(
            [&](float &, Raw *element, const TensorFormat &) { inside[static_cast<size_t>(element - begin)] = true; },
            format_);
        const Raw *where = begin;
        while (inside[static_cast<size_t>(where - begin)] || !written(*where)) where++;
        std::ostringstream out;
        out << "written outside the tensor, at element offset " << where - reinterpret_cast<Raw *>(memory_->data())
            << ": " << test::decode(where, format_);
        return out.str();
    }

    TensorFormat format_ = tensor_format();
    Shape shape_;
    Padding padding_;
    int64_t positions_, stride_c_, stride_n_, stride_s_;
    std::unique_ptr<GuardedMemory> memory_;
    mutable std::vector<float> values_;
};

}  // namespace test
