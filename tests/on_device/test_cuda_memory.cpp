// Contexts of CUDA and their memory, on machines without a driver (cuda_stand_in.h): what is kept
// for a stream, when it is freed, and that nothing is freed twice or in another context.
#include "../api.h"
#include "../catch.hpp"
#include "cuda_stand_in.h"

#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

using namespace cuda_stand_in;
using api::require_refused;

namespace {

// With all that is in it.
void destroy(void *context) {
    for (auto *things : {&memory, &modules}) {
        for (auto at = things->begin(); at != things->end();) at = at->second == context ? things->erase(at) : ++at;
    }
    destroyed.insert(context);
}

}  // namespace

TEST_CASE("working memory of one stream is not given to another before its work is done") {
    Data *data;
    hnorm::use_cuda(pointer(0x2000), pointer(0x101));
    data = new Data;
    REQUIRE(data->forward() == HNORM_OK);
    calls.clear();
    hnorm::use_cuda(pointer(0x2000), pointer(0x102));
    REQUIRE(data->forward() == HNORM_OK);
    REQUIRE(calls["cuMemAlloc_v2"] > 0);
    calls.clear();
    hnorm::use_cuda(pointer(0x2000), pointer(0x101));
    REQUIRE(data->forward() == HNORM_OK);
    REQUIRE(calls["cuMemAlloc_v2"] == 0);
    delete data;
}

TEST_CASE("releasing a context frees all that was kept for it, and no more") {
    hnorm::use_cuda(pointer(0x9000), pointer(0x77));
    const size_t before = memory.size();
    {
        Data data;
        REQUIRE(data.forward() == HNORM_OK);
    }
    REQUIRE(memory.size() > before);
    calls.clear();
    REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
    REQUIRE(memory.size() == before);
    REQUIRE(calls["cuModuleUnload"] > 0);
    require_refused(hnorm_device_synchronize(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_use_cuda"});
}

TEST_CASE("releasing a context unloads all of its modules, among those of many contexts, and again") {
    const auto context = [](int i) { return pointer(0x100000 + 0x100 * static_cast<uintptr_t>(i)); };
    const int contexts = 50;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < contexts; i++) {
            hnorm::use_cuda(context(i));
            Data data;
            REQUIRE(data.forward() == HNORM_OK);
            REQUIRE(count_of(modules, context(i)) > 1);
        }
        for (int i = 0; i < contexts; i++) {
            for (int again = 0; again < 5; again++) {  // then there is nothing to unload
                hnorm::use_cuda(context(i));
                REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
            }
            REQUIRE(count_of(modules, context(i)) == 0);
            REQUIRE(count_of(memory, context(i)) == 0);
        }
    }
}

TEST_CASE("nothing of a context that is destroyed is freed in another, or used in a later one of its handle") {
    void *const context = pointer(0xa000), *const other = pointer(0x3000);
    hnorm::use_cuda(context);
    auto *const data = new Data;
    REQUIRE(data->forward() == HNORM_OK);
    destroy(context);
    current.push_back(other);
    calls.clear();
    delete data;
    require_refused(hnorm_device_release(HNORM_CUDA), HNORM_DEVICE_ERROR,
                    {"hnorm_device_release", "cuCtxPushCurrent failed", "(201)"});
    REQUIRE(calls["cuMemFree_v2"] == 0);
    REQUIRE(calls["cuModuleUnload"] == 0);
    REQUIRE(current == std::vector<void *>{other});
    current.clear();
    destroyed.clear();
    hnorm::use_cuda(context);
    {
        Data again;
        REQUIRE(again.forward() == HNORM_OK);
    }
    REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
    REQUIRE(count_of(memory, context) == 0);
    REQUIRE(count_of(modules, context) == 0);
}

TEST_CASE("memory is freed by any thread, once, and only what hnorm gave") {
    hnorm::use_cuda(pointer(0x2000));
    void *given;
    REQUIRE(hnorm_device_allocate(HNORM_CUDA, 8, &given) == HNORM_OK);
    const size_t before = memory.size();
    std::thread([&] { REQUIRE(hnorm_device_free(HNORM_CUDA, given) == HNORM_OK); }).join();
    REQUIRE(memory.size() == before - 1);
    char text[32];
    std::snprintf(text, sizeof text, "memory is %p", given);
    require_refused(hnorm_device_free(HNORM_CUDA, given), HNORM_INVALID_ARGUMENT, {"hnorm_device_free", text});
    require_refused(hnorm_device_free(HNORM_CUDA, text), HNORM_INVALID_ARGUMENT,
                    {"must be what hnorm_device_allocate gave"});
    require_refused(hnorm_device_free(HNORM_CPU, given), HNORM_INVALID_ARGUMENT, {"device is HNORM_CPU"});
}

TEST_CASE("working memory that is unused makes room for what a program allocates") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x201));
    Data data;
    REQUIRE(data.forward() == HNORM_OK);
    capacity = memory.size();
    void *given = nullptr;
    const hnorm_status status = hnorm_device_allocate(HNORM_CUDA, 8, &given);
    capacity = SIZE_MAX;
    REQUIRE(status == HNORM_OK);
    REQUIRE(hnorm_device_free(HNORM_CUDA, given) == HNORM_OK);
}

TEST_CASE("a thread has no part in the memory of an earlier thread's own stream") {
    const auto run = [&] {
        std::thread([&] {
            hnorm::use_cuda(pointer(0x2000), pointer(2));  // CU_STREAM_PER_THREAD
            Data data;
            REQUIRE(data.forward() == HNORM_OK);
            calls.clear();
            REQUIRE(data.forward() == HNORM_OK);
            REQUIRE(calls["cuMemAlloc_v2"] == 0);
        }).join();
    };
    hnorm::use_cuda(pointer(0x2000), pointer(2));
    for (int i = 0; i < 3; i++) {
        const size_t before = memory.size();
        run();
        REQUIRE(memory.size() > before);
    }
}

TEST_CASE("the primary context is retained once, and again after the device is reset") {
    hnorm::use_cuda();
    calls.clear();
    hnorm::use_cuda();
    REQUIRE(calls["cuDevicePrimaryCtxRetain"] == 0);
    primary_is_active = 0;
    hnorm::use_cuda();
    REQUIRE(calls["cuDevicePrimaryCtxRetain"] == 1);
}
