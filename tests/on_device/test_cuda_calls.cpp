// What hnorm asks of CUDA's driver, on machines without one: a driver that only keeps account
// stands in for it (ld's --wrap of dlopen and dlsym). It computes nothing; results on GPUs are what
// the suite with HNORM_TEST_DEVICE=cuda tests.
#include "../api.h"
#include "../catch.hpp"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using api::require_refused;

struct Launch {
    void *context, *stream;
    bool takes_vectors;
};
// The driver's account. Contexts are any pointers; device memory is the CPU's.
std::vector<Launch> launches;
std::map<std::string, int> calls;
std::map<std::string, int> failing;           // the result of a function instead of its work
std::map<uintptr_t, void *> memory, modules;  // what there is, and its context
std::set<uintptr_t> of_vectors;               // modules whose threads load several elements at once
std::map<uintptr_t, size_t> sizes;            // of memory
size_t capacity = SIZE_MAX;                   // pieces of memory
std::set<void *> destroyed;                   // contexts
int primary_is_active = 0;
thread_local std::vector<void *> current;  // the thread's stack of contexts
void *const kPrimary = reinterpret_cast<void *>(0x1000);
bool present = true;

// As the process ends Halide's runtime unloads what it has, after all of this is gone: the driver
// is, too, by then.
bool process_ends = false;
struct AtEnd {
    ~AtEnd() { process_ends = true; }
} at_end;

// Calls of the driver before one fails, whichever it is; below 0: none does. Then the name of the
// one that did.
long left_to_go = -1;
std::string failed;
const std::set<std::string> kTellNoFailure = {"cuGetErrorName", "cuGetErrorString", "cuCtxPopCurrent_v2"};

// The stream that is captured. What CUDA permits meanwhile; all else ends the capture with an
// error.
void *captured = nullptr;
bool capture_is_broken = false;
const std::set<std::string> kPermittedInCapture = {
    "cuGetErrorName",      "cuGetErrorString",   "cuCtxGetCurrent",      "cuCtxGetDevice",
    "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuDeviceGetAttribute", "cuPointerGetAttribute",
    "cuStreamIsCapturing", "cuLaunchKernel",     "cuModuleGetFunction",  "cuMemcpyDtoDAsync_v2"};

// Counts the call; false where it is to fail.
bool count(const char *name, int *result) {
    calls[name]++;
    if (captured && kPermittedInCapture.count(name) == 0) {
        capture_is_broken = true;
        *result = 900;  // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        return false;
    }
    if (left_to_go >= 0 && kTellNoFailure.count(name) == 0 && left_to_go-- == 0) {
        failed = name;
        *result = 719;
        return false;
    }
    const auto found = failing.find(name);
    *result = found == failing.end() ? 0 : found->second;
    return *result == 0;
}
#define FAKE(name, parameters, work)     \
    int name parameters {                \
        if (process_ends) return 4;      \
        int result;                      \
        if (count(#name, &result)) work; \
        return result;                   \
    }
using Address = uintptr_t;
FAKE(cuInit, (unsigned), {})
FAKE(cuGetErrorName, (int, const char **text), *text = "CUDA_ERROR_PRETENDED")
FAKE(cuGetErrorString, (int, const char **text), *text = "the words of the driver")
FAKE(cuDeviceGet, (int *device, int), *device = 0)
FAKE(cuDeviceGetAttribute, (int *value, int, int), *value = 0)
FAKE(cuDevicePrimaryCtxGetState, (int, unsigned *, int *active), *active = primary_is_active)
FAKE(cuDevicePrimaryCtxRetain, (void **context, int), {
    *context = kPrimary;
    primary_is_active = 1;
})
FAKE(cuCtxGetCurrent, (void **context), *context = current.empty() ? nullptr : current.back())
FAKE(cuCtxGetDevice, (int *device), *device = 0)
FAKE(cuCtxSynchronize, (), REQUIRE(!current.empty()))
FAKE(cuCtxPushCurrent_v2, (void *context), {
    if (destroyed.count(context)) return 201;
    current.push_back(context);
})
FAKE(cuCtxPopCurrent_v2, (void **context), (*context = current.back(), current.pop_back()))
FAKE(cuMemAlloc_v2, (Address * at, size_t bytes), {
    if (memory.size() >= capacity) return 2;
    *at = reinterpret_cast<Address>(std::calloc(bytes, 1));
    memory[*at] = current.back();
    sizes[*at] = bytes;
})
FAKE(cuMemFree_v2, (Address at), {
    REQUIRE(memory.at(at) == current.back());
    memory.erase(at);
    std::free(reinterpret_cast<void *>(at));
})
FAKE(cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t bytes, void *),
     std::memcpy(reinterpret_cast<void *>(to), from, bytes))
FAKE(cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t bytes, void *),
     std::memcpy(to, reinterpret_cast<void *>(from), bytes))
FAKE(cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, void *),
     std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes))
FAKE(cuStreamSynchronize, (void *), {})
FAKE(cuStreamIsCapturing, (void *stream, int *state), *state = captured && stream == captured)
FAKE(cuPointerGetAttribute, (void *value, int, Address at), {
    const auto after = memory.upper_bound(at);
    const bool is_known = after != memory.begin() && at - std::prev(after)->first < sizes[std::prev(after)->first];
    result = is_known ? 0 : 1;
    *static_cast<unsigned *>(value) = 2;
})
FAKE(cuModuleLoadDataEx, (void **module, const void *image, unsigned given, int *options, void **values), {
    static uintptr_t last = 0;
    *module = reinterpret_cast<void *>(++last);
    modules[last] = current.back();
    const bool vectors = std::strstr(static_cast<const char *>(image), "ld.global.nc.v") != nullptr;
    if (vectors) of_vectors.insert(last);
    REQUIRE((given == 1 && options[0] == 0));  // CU_JIT_MAX_REGISTERS
    REQUIRE(reinterpret_cast<uintptr_t>(values[0]) == (vectors ? 128 : 64));
})
FAKE(cuModuleUnload, (void *module), {
    REQUIRE(modules.at(reinterpret_cast<uintptr_t>(module)) == current.back());
    modules.erase(reinterpret_cast<uintptr_t>(module));
})
FAKE(cuModuleGetFunction, (void **function, void *module, const char *), {
    REQUIRE(modules.at(reinterpret_cast<uintptr_t>(module)) == current.back());
    *function = module;
})
FAKE(cuLaunchKernel,
     (void *function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y, unsigned threads_z,
      unsigned, void *stream, void **, void **),
     {
         REQUIRE((x > 0 && y > 0 && z > 0 && y <= 65535 && z <= 65535));
         const bool takes_vectors = of_vectors.count(reinterpret_cast<uintptr_t>(function)) == 1;
         // A block has 65536 registers.
         REQUIRE(threads_x * threads_y * threads_z <= (takes_vectors ? 512 : 1024));
         launches.push_back({current.empty() ? nullptr : current.back(), stream, takes_vectors});
     })
// What Halide's runtime looks for and hnorm must not need.
int not_to_be_called() {
    calls["others"]++;
    return 999;
}

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

void *pointer(uintptr_t value) { return reinterpret_cast<void *>(value); }

size_t count_of(const std::map<uintptr_t, void *> &things, void *context) {
    return std::count_if(things.begin(), things.end(), [&](const auto &thing) { return thing.second == context; });
}

// With all that is in it.
void destroy(void *context) {
    for (auto *things : {&memory, &modules}) {
        for (auto at = things->begin(); at != things->end();) at = at->second == context ? things->erase(at) : ++at;
    }
    destroyed.insert(context);
}

bool all_launched(void *context, void *stream) {
    return !launches.empty() && std::all_of(launches.begin(), launches.end(), [&](const Launch &launch) {
        return launch.context == context && launch.stream == stream;
    });
}

}  // namespace

extern "C" {
void *__real_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlopen(const char *name, int flags) {
    if (name && std::strstr(name, "libcuda.so"))
        return present ? &memory : __real_dlopen("libcuda.of.nobody.so", flags);
    return __real_dlopen(name, flags);
}
void *__wrap_dlsym(void *library, const char *name) {
    if (library != &memory) return std::strncmp(name, "cu", 2) == 0 ? nullptr : __real_dlsym(library, name);
    const std::map<std::string, void *> functions = {
#define KNOWN(name) {#name, reinterpret_cast<void *>(name)}
        KNOWN(cuInit),
        KNOWN(cuGetErrorName),
        KNOWN(cuGetErrorString),
        KNOWN(cuDeviceGet),
        KNOWN(cuDeviceGetAttribute),
        KNOWN(cuDevicePrimaryCtxGetState),
        KNOWN(cuDevicePrimaryCtxRetain),
        KNOWN(cuCtxGetCurrent),
        KNOWN(cuCtxGetDevice),
        KNOWN(cuCtxSynchronize),
        KNOWN(cuCtxPushCurrent_v2),
        KNOWN(cuCtxPopCurrent_v2),
        KNOWN(cuMemAlloc_v2),
        KNOWN(cuMemFree_v2),
        KNOWN(cuMemcpyHtoDAsync_v2),
        KNOWN(cuMemcpyDtoHAsync_v2),
        KNOWN(cuMemcpyDtoDAsync_v2),
        KNOWN(cuStreamSynchronize),
        KNOWN(cuStreamIsCapturing),
        KNOWN(cuPointerGetAttribute),
        KNOWN(cuModuleLoadDataEx),
        KNOWN(cuModuleUnload),
        KNOWN(cuModuleGetFunction),
        KNOWN(cuLaunchKernel)};
    const auto found = functions.find(name);
    return found == functions.end() ? reinterpret_cast<void *>(not_to_be_called) : found->second;
}
}

TEST_CASE("without a driver, and without a device, asking for CUDA is an error that says so") {
    present = false;
    require_refused(hnorm_use_cuda(nullptr, nullptr), HNORM_UNSUPPORTED, {"there is no CUDA driver", "cannot open"});
    present = true;
    failing["cuInit"] = 100;
    require_refused(hnorm_use_cuda(nullptr, nullptr), HNORM_UNSUPPORTED,
                    {"cuInit failed", "CUDA_ERROR_PRETENDED (100)", "the words of the driver"});
    failing.clear();
}

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

TEST_CASE("a failure of the driver is not taken for memory of the CPU") {
    hnorm::use_cuda(pointer(0x2000));
    Data data;
    failing["cuPointerGetAttribute"] = 700;
    const hnorm_status status = data.forward();
    failing.clear();
    require_refused(status, HNORM_DEVICE_ERROR, {"hnorm_forward", "cuPointerGetAttribute failed", "(700)"});
}

// Calls of all kinds, by what they need of the driver: each layout, 16-bit elements, groups of
// channels, post-ops, a layer.
struct Work {
    static constexpr int64_t kN = 4, kC = 6, kS = 700;
    static constexpr size_t kElements = kN * kC * kS, kGroups = kN * kC;
    template <typename T>
    using Array = hnorm::DeviceArray<T>;
    static constexpr hnorm::Device kCuda = hnorm::Device::cuda;
    Array<float> x{kCuda, kElements}, dy{kCuda, kElements}, y{kCuda, kElements}, residual{kCuda, kElements};
    Array<float> dresidual{kCuda, kElements}, dx{kCuda, kElements};
    Array<double> mean{kCuda, kGroups}, variance{kCuda, kGroups}, count{kCuda, kGroups};
    Array<double> sums{kCuda, kGroups}, more_sums{kCuda, kGroups};
    hnorm::BatchNorm bn{kC, hnorm::Options().relu()};
    hnorm_type type = HNORM_F32;
    int channels_last = 0;

    Work() { bn.to(kCuda); }
    hnorm_tensor tensor(Array<float> &array) const {
        const int64_t shape[] = {kN, kC, kS};
        hnorm_tensor t = hnorm_dense(array.data(), type, channels_last, 3, shape);
        t.device = HNORM_CUDA;
        return t;
    }
    void functions(hnorm_group group) {
        const hnorm_tensor in = tensor(x), out = tensor(y), added = tensor(residual), gradient = tensor(dy);
        const hnorm_tensor to_in = tensor(dx), to_added = tensor(dresidual);
        const hnorm_post_ops post{sizeof post, HNORM_RELU, 0, &added};
        const hnorm_post_ops_gradient back{sizeof back, HNORM_RELU, 0, &added, &to_added};
        double *const m = mean.data(), *const v = variance.data();
        REQUIRE(hnorm_moments(&in, group, count.data(), m, v) == HNORM_OK);
        REQUIRE(hnorm_forward(&in, group, nullptr, 1e-5, &post, &out, m, v) == HNORM_OK);
        REQUIRE(hnorm_normalize(&in, group, m, v, nullptr, 1e-5, nullptr, &out) == HNORM_OK);
        REQUIRE(hnorm_backward(&in, &gradient, group, m, v, nullptr, 1e-5, nullptr, &to_in, nullptr, nullptr) ==
                HNORM_OK);
        REQUIRE(hnorm_backward(&in, &gradient, group, m, v, nullptr, 1e-5, &back, &to_in, nullptr, nullptr) ==
                HNORM_OK);
        if (group >= HNORM_GROUPS) return;  // the sums of groups of channels are not for their own use
        REQUIRE(hnorm_backward_reduce(&in, &gradient, group, m, sums.data(), more_sums.data()) == HNORM_OK);
        REQUIRE(hnorm_backward_apply(&in, &gradient, group, count.data(), m, v, sums.data(), more_sums.data(), nullptr,
                                     1e-5, &to_in) == HNORM_OK);
    }
    void training_step() {
        const hnorm_tensor in = tensor(x), out = tensor(y), gradient = tensor(dy), to_in = tensor(dx);
        bn.zero_grad();
        REQUIRE(hnorm_layer_forward(bn.c(), &in, &out) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(bn.c(), &in, &gradient, &to_in) == HNORM_OK);
    }
    void all() {
        for (const hnorm_type one : {HNORM_F32, HNORM_BF16}) {
            for (const int last : {0, 1}) {
                type = one, channels_last = last;
                for (const hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE, hnorm_groups(2)}) functions(group);
                training_step();
            }
        }
    }
};

// All calls while it lives are captured, on this stream.
struct Capture {
    explicit Capture(void *stream) { captured = stream, capture_is_broken = false; }
    ~Capture() { captured = nullptr; }
};

TEST_CASE("calls that have run once with a shape can be captured for a CUDA graph") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x301));
    Work work;
    work.all();
    launches.clear();
    work.all();
    const size_t expected = launches.size();
    launches.clear();
    {
        const Capture capture(pointer(0x301));
        work.all();
    }
    REQUIRE(!capture_is_broken);
    REQUIRE(launches.size() == expected);
    REQUIRE(all_launched(pointer(0x2000), pointer(0x301)));
}

TEST_CASE("what a capture forbids is refused before CUDA's driver is asked, and the capture goes on") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x302));
    Data data;
    std::vector<float> host(1);
    const hnorm_status first = [&] {
        const Capture capture(pointer(0x302));
        require_refused(hnorm_device_copy_in(HNORM_CUDA, data.x.data(), host.data(), 4), HNORM_UNSUPPORTED,
                        {"hnorm_device_copy_in", "captured for a CUDA graph", "before or after the capture"});
        require_refused(hnorm_device_copy_out(HNORM_CUDA, host.data(), data.x.data(), 4), HNORM_UNSUPPORTED,
                        {"hnorm_device_copy_out", "before or after the capture"});
        require_refused(hnorm_device_synchronize(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_device_synchronize"});
        require_refused(hnorm_device_release(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_device_release", "freed"});
        require_refused(hnorm_device_free(HNORM_CUDA, data.x.data()), HNORM_UNSUPPORTED, {"hnorm_device_free"});
        return data.forward();  // no call has left working memory on this stream
    }();
    require_refused(first, HNORM_UNSUPPORTED, {"make the same call once, on the same stream, before the capture"});
    REQUIRE(!capture_is_broken);
    REQUIRE(data.forward() == HNORM_OK);
}

TEST_CASE("memory that a CUDA graph may use is not freed where memory runs out, but with the context's") {
    void *const context = pointer(0xb000), *const stream = pointer(0x303);
    hnorm::use_cuda(context, stream);
    {
        Data data;
        REQUIRE(data.forward() == HNORM_OK);
        {
            const Capture capture(stream);
            REQUIRE(data.forward() == HNORM_OK);
        }
        const size_t before = memory.size();
        void *given = nullptr;
        capacity = 0;
        const hnorm_status status = hnorm_device_allocate(HNORM_CUDA, 8, &given);
        capacity = SIZE_MAX;
        REQUIRE(status == HNORM_OUT_OF_MEMORY);
        REQUIRE(memory.size() == before);
    }
    REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
    REQUIRE(count_of(memory, context) == 0);
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
