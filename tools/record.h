// What one call decides, as the library says where it decides (runtime/src/witness.h).
#pragma once

#include <hnorm/hnorm.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "witness.h"

namespace hnorm::tools {

class Record : public detail::Witness {
public:
    using Kernel = std::pair<std::string, detail::PlaneClass>;

    void obeys_wisdom(const detail::Target &target, int threads) override {
        target_ = target.name;
        threads_ = threads;
    }
    void chose_blocks(const detail::BlocksMade &blocks) override { blocks_.push_back(blocks); }
    void chose_stores(detail::PastCache choice, int64_t bytes, int64_t limit) override {
        stores_.push_back({choice, bytes, limit});
    }
    void calls_kernel(const void *row, hnorm_type type, detail::PlaneClass planes) override;
    void begins_loop(int tasks, int threads) override;
    void takes_memory(size_t bytes) override;
    void gives_memory(size_t bytes) override;

    // Makes the call, and records it alone.
    void record(const std::function<void()> &call);

    struct Stores {
        detail::PastCache choice;
        int64_t bytes, limit;
    };
    // Of wisdom; "": it has nothing for the call.
    const std::string &target() const { return target_; }
    int threads() const { return threads_; }
    const std::vector<detail::BlocksMade> &blocks() const { return blocks_; }
    const std::vector<Stores> &stores() const { return stores_; }
    // In the order of their first calls.
    const std::vector<std::pair<Kernel, int>> &kernels() const { return kernels_; }
    bool has(const Kernel &kernel) const {
        return std::any_of(kernels_.begin(), kernels_.end(), [&](const auto &k) { return k.first == kernel; });
    }
    const std::vector<std::pair<int, int>> &loops() const { return loops_; }
    int64_t most_memory() const { return most_memory_; }

private:
    std::mutex mutex_;
    std::string target_;
    int threads_ = hnorm_get_num_threads();
    std::vector<detail::BlocksMade> blocks_;
    std::vector<Stores> stores_;
    std::vector<std::pair<Kernel, int>> kernels_;
    std::vector<std::pair<int, int>> loops_;
    int64_t memory_ = 0, most_memory_ = 0;
};

}  // namespace hnorm::tools
