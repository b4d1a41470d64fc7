// What hnorm asks of CUDA's driver, on machines without one (cuda_stand_in.h): where kernels run,
// and which are launched, for each call.
#include "../api.h"
#include "../catch.hpp"
#include "cuda_stand_in.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace cuda_stand_in;
using api::require_refused;

TEST_CASE("kernels run in the context and on the stream that the thread gave, for each call") {
    hnorm::use_cuda();  // no context is current: the primary one, and the default stream
    Data data;
    launches.clear();
    REQUIRE(data.forward() == HNORM_OK);
    REQUIRE(all_launched(kPrimary, nullptr));
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    launches.clear();
    REQUIRE(data.forward() == HNORM_OK);
    REQUIRE(all_launched(pointer(0x2000), pointer(0x77)));
    current.push_back(pointer(0x3000));  // the thread's own, which stays its current one
    hnorm::use_cuda(nullptr, pointer(0x78));
    launches.clear();
    REQUIRE(data.forward() == HNORM_OK);
    REQUIRE(all_launched(pointer(0x3000), pointer(0x78)));
    REQUIRE(current == std::vector<void *>{pointer(0x3000)});
    current.clear();
    std::thread([&] {
        require_refused(data.forward(), HNORM_UNSUPPORTED, {"x.device is HNORM_CUDA", "hnorm_use_cuda"});
    }).join();
    REQUIRE(calls["others"] == 0);
}

TEST_CASE("in a steady state CUDA's driver is asked for nothing but launches") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    Data data;
    hnorm::BatchNorm bn(Data::kC, hnorm::Options().relu());
    bn.to(hnorm::Device::cuda);
    const auto step = [&] {
        bn.train();
        bn.forward(Data::tensor(data.x), Data::tensor(data.y));
        bn.backward(Data::tensor(data.x), Data::tensor(data.y), Data::tensor(data.y));
        bn.eval();
        bn.forward(Data::tensor(data.x), Data::tensor(data.y));
    };
    step();
    calls.clear();
    step();
    const std::set<std::string> allowed = {"cuLaunchKernel",     "cuModuleGetFunction",   "cuCtxPushCurrent_v2",
                                           "cuCtxPopCurrent_v2", "cuPointerGetAttribute", "cuStreamIsCapturing"};
    for (const auto &[name, times] : calls) {
        INFO(name << ": " << times);
        REQUIRE(allowed.count(name) == 1);
    }
    REQUIRE(calls["cuLaunchKernel"] > 5);
    REQUIRE(current.empty());
}

TEST_CASE("groups that fit a block of the device are one launch, others three, and a layer's step is no more") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    struct Size {
        int64_t n, c, h, w;
        bool last, batch, instance;  // the layout, and whether groups fit
        int otherwise = 3;           // launches where they do not
    };
    constexpr Size kSizes[] = {
        {1, 16, 3, 3, false, true, true},       {2, 64, 7, 7, false, true, true},
        {2, 64, 7, 7, true, true, true},        {4, 128, 28, 28, false, true, true},
        {4, 128, 28, 28, true, false, true},  // a block has 16 channels: too large for one
        {32, 512, 7, 7, false, true, false},  // so many short groups that their barriers would take longer
        {32, 512, 7, 7, true, true, true},      {64, 3, 64, 64, false, false, false},
        {64, 3, 64, 64, true, false, false, 4},  // large planes; and few channels, whose parts' runs are added apart
    };
    for (const Size &size : kSizes) {
        INFO(size.n << "," << size.c << "," << size.h << "," << size.w << (size.last ? " channels-last" : ""));
        const auto elements = static_cast<size_t>(size.n * size.c * size.h * size.w);
        hnorm::DeviceArray<float> x(hnorm::Device::cuda, elements), y(hnorm::Device::cuda, elements);
        const auto tensor = [&](hnorm::DeviceArray<float> &array) {
            return (size.last ? hnorm::channels_last(array.data(), {size.n, size.c, size.h, size.w})
                              : hnorm::nchw(array.data(), {size.n, size.c, size.h, size.w}))
                .on(hnorm::Device::cuda);
        };
        // Launches of a call after the first of its kind.
        const auto launches_of = [&](const auto &call) {
            call();
            calls.clear();
            call();
            REQUIRE(calls["cuMemAlloc_v2"] == 0);
            return calls["cuLaunchKernel"];
        };
        const auto check = [&](auto &&layer, bool fits, int more) {
            const int expected = (fits ? 1 : size.otherwise) + more;
            layer.to(hnorm::Device::cuda);
            REQUIRE(launches_of([&] { layer.forward_add(tensor(x), tensor(y), tensor(y)); }) == expected);
            REQUIRE(launches_of([&] { layer.forward(tensor(x), tensor(y)); }) == expected);
            REQUIRE(launches_of([&] { layer.backward(tensor(x), tensor(y), tensor(y)); }) == expected);
        };
        check(hnorm::BatchNorm(size.c, hnorm::Options().relu()), size.batch, 0);
        check(hnorm::InstanceNorm(size.c), size.instance, 0);
        // Samples share parameters and running statistics: what adds theirs is a launch of its own.
        const int more = size.n > 1 ? 1 : 0;
        check(hnorm::InstanceNorm(size.c, hnorm::Options().affine(true).track_running_stats(true)), size.instance,
              more);
    }
}

TEST_CASE("threads take 16 bytes at once of tensors whose rows begin at multiples of 16 bytes") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    constexpr int64_t kN = 4, kMost = kN * 64 * 40 * 40;
    hnorm::DeviceArray<float> x(hnorm::Device::cuda, kMost + 4), y(hnorm::Device::cuda, kMost + 4);
    hnorm::DeviceArray<float> residual(hnorm::Device::cuda, kMost + 4);
    // Whether some, and whether all programs of a step take vectors.
    struct Taken {
        bool some, all;
    };
    const auto taken = [&](int64_t c, int64_t side, bool last, hnorm_type type, int64_t at_x, int64_t at_residual) {
        const auto tensor = [&](hnorm::DeviceArray<float> &array, int64_t at) {
            void *const data = reinterpret_cast<char *>(array.data()) + at * (type == HNORM_F32 ? 4 : 2);
            const hnorm::Layout layout = last ? hnorm::Layout::channels_last : hnorm::Layout::channels_first;
            const int64_t shape[] = {kN, c, side, side};
            return hnorm::Tensor(data, static_cast<hnorm::Type>(type), layout, shape).on(hnorm::Device::cuda);
        };
        hnorm::BatchNorm layer(c, hnorm::Options().relu());
        layer.to(hnorm::Device::cuda);
        launches.clear();
        layer.forward_add(tensor(x, at_x), tensor(residual, at_residual), tensor(y, 0));
        layer.forward(tensor(x, at_x), tensor(y, 0));
        layer.backward(tensor(x, at_x), tensor(y, 0), tensor(y, 0));
        const auto takes = [](const Launch &launch) { return launch.takes_vectors; };
        return Taken{std::any_of(launches.begin(), launches.end(), takes),
                     std::all_of(launches.begin(), launches.end(), takes)};
    };
    for (const hnorm_type type : {HNORM_F32, HNORM_F16, HNORM_BF16}) {
        const int64_t at_once = type == HNORM_F32 ? 4 : 8;
        for (const bool last : {false, true})
            for (const int64_t side : {4, 40}) {  // in one launch and, channels-first, in three
                INFO(side << (last ? " channels-last" : "") << " type " << type);
                REQUIRE(taken(64, side, last, type, 0, 0).all);
                REQUIRE(taken(64, side, last, type, at_once, 2 * at_once).all);
                REQUIRE_FALSE(taken(64, side, last, type, 1, 0).some);
                REQUIRE_FALSE(taken(64, side, last, type, at_once / 2, 0).some);
            }
        REQUIRE_FALSE(taken(64, 5, false, type, 0, 0).some);
        REQUIRE_FALSE(taken(64 + at_once / 2, 8, true, type, 0, 0).some);
        // A residual apart: what reads it does not, and the sums do.
        const Taken apart = taken(64, 40, false, type, 0, 1);
        REQUIRE(apart.some);
        REQUIRE_FALSE(apart.all);
    }
}
