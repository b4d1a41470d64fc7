#include "record.h"

#include "kernel_rows.h"

namespace hnorm::tools {
namespace {

std::string kernel_name(const void *row) {
    for (const KernelRow &known : kKernelRows) {
        if (known.row == row) {
            return known.name;
        }
    }
    return "unknown";
}

}  // namespace

void Record::calls_kernel(const void *row, hnorm_type, detail::PlaneClass planes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Kernel kernel = {kernel_name(row), planes};
    const auto known = std::find_if(kernels_.begin(), kernels_.end(), [&](const auto &k) { return k.first == kernel; });
    known == kernels_.end() ? kernels_.emplace_back(kernel, 1) : (++known->second, *known);
}

void Record::begins_loop(int tasks, int threads) {
    const std::lock_guard<std::mutex> lock(mutex_);
    loops_.emplace_back(tasks, threads);
}

void Record::takes_memory(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    memory_ += static_cast<int64_t>(bytes);
    most_memory_ = std::max(most_memory_, memory_);
}

void Record::gives_memory(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    memory_ -= static_cast<int64_t>(bytes);
}

void Record::record(const std::function<void()> &call) {
    detail::hnorm_witness = this;
    try {
        call();
    } catch (...) {
        detail::hnorm_witness = nullptr;
        throw;
    }
    detail::hnorm_witness = nullptr;
}

}  // namespace hnorm::tools
