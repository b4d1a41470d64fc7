// A driver that only keeps account, for machines without one of CUDA's: it stands in for the real
// one (ld's --wrap of dlopen and dlsym). It computes nothing; results on GPUs are what the suite
// with HNORM_TEST_DEVICE=cuda tests.
#pragma once

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace cuda_stand_in {

struct Launch {
    void *context, *stream;
    bool takes_vectors;
};
// The driver's account. Contexts are any pointers; device memory is the CPU's.
inline std::vector<Launch> launches;
inline std::map<std::string, int> calls;
inline std::map<std::string, int> failing;           // the result of a function instead of its work
inline std::map<uintptr_t, void *> memory, modules;  // what there is, and its context
inline size_t capacity = SIZE_MAX;                   // pieces of memory
inline std::set<void *> destroyed;                   // contexts
inline int primary_is_active = 0;
inline thread_local std::vector<void *> current;  // the thread's stack of contexts
inline void *const kPrimary = reinterpret_cast<void *>(0x1000);
inline bool present = true;

// Calls of the driver before one fails, whichever it is; below 0: none does. Then the name of the
// one that did.
inline long left_to_go = -1;
inline std::string failed;

// The stream that is captured.
inline void *captured = nullptr;
inline bool capture_is_broken = false;

struct Data {
    static constexpr int64_t kN = 4, kC = 3, kS = 700;
    hnorm::DeviceArray<float> x{hnorm::Device::cuda, kN *kC *kS}, y{hnorm::Device::cuda, kN *kC *kS};
    hnorm::DeviceArray<double> mean{hnorm::Device::cuda, kC}, variance{hnorm::Device::cuda, kC},
        count{hnorm::Device::cuda, kC};
    static hnorm::Tensor tensor(const hnorm::DeviceArray<float> &array) {
        return hnorm::ncl(array.data(), {kN, kC, kS}).on(hnorm::Device::cuda);
    }
    hnorm_status forward() {
        return hnorm_forward(tensor(x).c(), HNORM_BATCH, nullptr, 1e-5, nullptr, tensor(y).c(), mean.data(),
                             variance.data());
    }
};

inline void *pointer(uintptr_t value) { return reinterpret_cast<void *>(value); }

inline size_t count_of(const std::map<uintptr_t, void *> &things, void *context) {
    return std::count_if(things.begin(), things.end(), [&](const auto &thing) { return thing.second == context; });
}

inline bool all_launched(void *context, void *stream) {
    return !launches.empty() && std::all_of(launches.begin(), launches.end(), [&](const Launch &launch) {
        return launch.context == context && launch.stream == stream;
    });
}

}  // namespace cuda_stand_in
