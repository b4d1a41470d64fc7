// Failures of CUDA's driver, on machines without one (cuda_stand_in.h): each is said in the
// driver's words, and then all goes on and is released.
#include "../api.h"
#include "../catch.hpp"
#include "cuda_stand_in.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace cuda_stand_in;
using api::require_refused;

TEST_CASE("without a driver, and without a device, asking for CUDA is an error that says so") {
    present = false;
    require_refused(hnorm_use_cuda(nullptr, nullptr), HNORM_UNSUPPORTED, {"there is no CUDA driver", "cannot open"});
    present = true;
    failing["cuInit"] = 100;
    require_refused(hnorm_use_cuda(nullptr, nullptr), HNORM_UNSUPPORTED,
                    {"cuInit failed", "CUDA_ERROR_PRETENDED (100)", "the words of the driver"});
    failing.clear();
}

TEST_CASE("errors of CUDA's driver come back with its words, and the CPU's memory is refused") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    Data data;
    failing["cuLaunchKernel"] = 400;
    require_refused(data.forward(), HNORM_DEVICE_ERROR,
                    {"hnorm_forward", "CUDA_ERROR_INVALID_HANDLE", "cuLaunchKernel failed"});
    failing.clear();
    REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
    hnorm::use_cuda(pointer(0x2000), pointer(0x77));
    failing["cuMemAlloc_v2"] = 2;
    require_refused(data.forward(), HNORM_OUT_OF_MEMORY,
                    {"hnorm_forward", "cuMemAlloc failed", "the words of the driver"});
    failing.clear();
    std::vector<float> host(Data::kN * Data::kC * Data::kS);
    hnorm::Tensor wrong = hnorm::ncl(host.data(), {Data::kN, Data::kC, Data::kS}).on(hnorm::Device::cuda);
    require_refused(hnorm_forward(wrong.c(), HNORM_BATCH, nullptr, 1e-5, nullptr, wrong.c(), nullptr, nullptr),
                    HNORM_INVALID_ARGUMENT, {"x.data", "must be memory of the device"});
}

TEST_CASE("whichever call of CUDA's driver fails, that is said, and all goes on and is released") {
    // What a function does without. Halide's runtime enters the context once more after a launch,
    // to note that its module is free.
    const std::set<std::string> ignored = {"cuDeviceGetAttribute", "cuMemFree_v2", "cuModuleUnload",
                                           "cuCtxPushCurrent_v2"};
    uintptr_t context = 0x500000;
    long failures = 0;
    struct Step {
        const char *name;
        std::function<hnorm_status(Data &, hnorm_layer *)> call;
    };
    const auto x = [](Data &data) { return Data::tensor(data.x); };
    const auto y = [](Data &data) { return Data::tensor(data.y); };
    std::vector<float> host(Data::kN * Data::kC * Data::kS);
    const size_t bytes = host.size() * sizeof(float);
    const Step steps[] = {
        {"hnorm_forward", [&](Data &data, hnorm_layer *) { return data.forward(); }},
        {"hnorm_moments",
         [&](Data &data, hnorm_layer *) {
             return hnorm_moments(x(data).c(), HNORM_BATCH, data.count.data(), data.mean.data(), data.variance.data());
         }},
        {"hnorm_backward",
         [&](Data &data, hnorm_layer *) {
             return hnorm_backward(x(data).c(), y(data).c(), HNORM_BATCH, data.mean.data(), data.variance.data(),
                                   nullptr, 1e-5, nullptr, y(data).c(), nullptr, nullptr);
         }},
        {"hnorm_layer_to",
         [&](Data &, hnorm_layer *layer) {
             const hnorm_status there = hnorm_layer_to(layer, HNORM_CPU);
             return there == HNORM_OK ? hnorm_layer_to(layer, HNORM_CUDA) : there;
         }},
        {"hnorm_layer_forward",
         [&](Data &data, hnorm_layer *layer) { return hnorm_layer_forward(layer, x(data).c(), y(data).c()); }},
        {"hnorm_layer_backward",
         [&](Data &data, hnorm_layer *layer) {
             const hnorm_status there = hnorm_layer_forward(layer, x(data).c(), y(data).c());
             return there == HNORM_OK ? hnorm_layer_backward(layer, x(data).c(), y(data).c(), y(data).c()) : there;
         }},
        {"hnorm_layer_zero_grad", [&](Data &, hnorm_layer *layer) { return hnorm_layer_zero_grad(layer); }},
        {"hnorm_device_copy_in",
         [&](Data &data, hnorm_layer *) {
             return hnorm_device_copy_in(HNORM_CUDA, data.x.data(), host.data(), bytes);
         }},
        {"hnorm_device_copy",
         [&](Data &data, hnorm_layer *) { return hnorm_device_copy(HNORM_CUDA, data.x.data(), data.y.data(), bytes); }},
        {"hnorm_device_copy_out",
         [&](Data &data, hnorm_layer *) {
             return hnorm_device_copy_out(HNORM_CUDA, host.data(), data.x.data(), bytes);
         }},
        {"hnorm_device_synchronize", [&](Data &, hnorm_layer *) { return hnorm_device_synchronize(HNORM_CUDA); }},
    };
    for (const Step &step : steps) {
        for (long at = 0;; at++) {
            context += 0x100;
            hnorm::use_cuda(pointer(context));
            hnorm_layer *layer = nullptr;
            {
                Data data;
                REQUIRE(hnorm_layer_create(Data::kC, nullptr, &layer) == HNORM_OK);
                REQUIRE(hnorm_layer_to(layer, HNORM_CUDA) == HNORM_OK);
                failed = "";
                left_to_go = at;
                const hnorm_status status = step.call(data, layer);
                left_to_go = -1;
                INFO(step.name << ": call " << at << ", " << failed << ": " << hnorm_status_name(status) << ": "
                               << hnorm_last_error());
                failures += failed.empty() ? 0 : 1;
                const bool may_succeed = failed.empty() || ignored.count(failed) == 1;
                REQUIRE((status == HNORM_DEVICE_ERROR || status == HNORM_OUT_OF_MEMORY ||
                         (status == HNORM_OK && may_succeed)));
                const std::string reason = status == HNORM_OK ? "hnorm_, CUDA_ERROR" : hnorm_last_error();
                REQUIRE(reason.find("hnorm_") == 0);
                REQUIRE(reason.find("CUDA_ERROR") != std::string::npos);
                REQUIRE(current.empty());
                REQUIRE(step.call(data, layer) == HNORM_OK);
                hnorm_layer_destroy(layer);
            }
            REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
            INFO(step.name << ": call " << at << ", " << failed);
            REQUIRE((count_of(memory, pointer(context)) == 0 || ignored.count(failed) == 1));
            REQUIRE((count_of(modules, pointer(context)) == 0 || ignored.count(failed) == 1));
            if (failed.empty()) break;
        }
    }
    REQUIRE(failures > 50);
}

TEST_CASE("after a failure of the device all is released, and the failure is the result") {
    hnorm::use_cuda(pointer(0x9000), pointer(0x77));
    void *of_program;
    {
        Data data;
        REQUIRE(data.forward() == HNORM_OK);
        REQUIRE(hnorm_device_allocate(HNORM_CUDA, 8, &of_program) == HNORM_OK);
        failing["cuCtxSynchronize"] = failing["cuStreamSynchronize"] = 700;
    }
    require_refused(hnorm_device_free(HNORM_CUDA, of_program), HNORM_DEVICE_ERROR,
                    {"hnorm_device_free", "cuCtxSynchronize failed", "(700)"});
    require_refused(hnorm_device_release(HNORM_CUDA), HNORM_DEVICE_ERROR,
                    {"hnorm_device_release", "cuCtxSynchronize failed", "(700)"});
    failing.clear();
    REQUIRE(count_of(memory, pointer(0x9000)) == 0);
    REQUIRE(count_of(modules, pointer(0x9000)) == 0);
    require_refused(hnorm_device_synchronize(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_use_cuda"});
}

TEST_CASE("a failure of the driver is not taken for memory of the CPU") {
    hnorm::use_cuda(pointer(0x2000));
    Data data;
    failing["cuPointerGetAttribute"] = 700;
    const hnorm_status status = data.forward();
    failing.clear();
    require_refused(status, HNORM_DEVICE_ERROR, {"hnorm_forward", "cuPointerGetAttribute failed", "(700)"});
}
