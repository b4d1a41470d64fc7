// What gpu.h promises besides results, which the suite on devices tests: on OpenCL, whose driver's
// functions are counted on their way (ld's --wrap=dlsym).
#include "../api.h"
#include "../catch.hpp"
#include "driver_that_aborts.h"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

using api::require_refused;
using hnorm::Device;
using hnorm::DeviceArray;

constexpr Device kDevice = Device::opencl;

// Calls of the driver, and the error that one of them is to give instead.
std::atomic<int> launches{0}, waits{0}, copies{0}, allocations{0};
int launch_error = 0, allocation_error = 0, wait_error = 0, doubles_error = 0;
unsigned devices = 1;

void *real_finish, *real_read, *real_write, *real_buffer, *real_launch, *real_context_info, *real_device_info;

int finish(void *queue) {
    waits++;
    if (wait_error) return wait_error;
    return reinterpret_cast<int (*)(void *)>(real_finish)(queue);
}
int read_buffer(void *queue, void *from, unsigned wait, size_t offset, size_t bytes, void *to, unsigned n, void *list,
                void *event) {
    copies++;
    return reinterpret_cast<decltype(&read_buffer)>(real_read)(queue, from, wait, offset, bytes, to, n, list, event);
}
int write_buffer(void *queue, void *to, unsigned wait, size_t offset, size_t bytes, const void *from, unsigned n,
                 void *list, void *event) {
    copies++;
    return reinterpret_cast<decltype(&write_buffer)>(real_write)(queue, to, wait, offset, bytes, from, n, list, event);
}
void *buffer(void *context, uint64_t flags, size_t bytes, void *host, int *error) {
    allocations++;
    if (allocation_error) return *error = allocation_error, nullptr;
    return reinterpret_cast<decltype(&buffer)>(real_buffer)(context, flags, bytes, host, error);
}
int launch(void *queue, void *kernel, unsigned dims, const size_t *offset, const size_t *global, const size_t *local,
           unsigned n, void *list, void *event) {
    launches++;
    if (launch_error) return launch_error;
    return reinterpret_cast<decltype(&launch)>(real_launch)(queue, kernel, dims, offset, global, local, n, list, event);
}

int context_info(void *context, unsigned what, size_t bytes, void *value, size_t *size) {
    if (what == 0x1083 && devices != 1) return *static_cast<unsigned *>(value) = devices, 0;  // CL_CONTEXT_NUM_DEVICES
    return reinterpret_cast<decltype(&context_info)>(real_context_info)(context, what, bytes, value, size);
}
int device_info(void *device, unsigned what, size_t bytes, void *value, size_t *size) {
    if (what == 0x1032 && doubles_error) return doubles_error;  // CL_DEVICE_DOUBLE_FP_CONFIG
    return reinterpret_cast<decltype(&device_info)>(real_device_info)(device, what, bytes, value, size);
}

// hnorm's own queue; the program ends where there is no OpenCL, as skipped.
void use() {
    on_device::skip_where_driver_aborts([] { hnorm_use_opencl(nullptr, nullptr); });
    const hnorm_status status = hnorm_use_opencl(nullptr, nullptr);
    if (status == HNORM_UNSUPPORTED) {
        std::printf("skipped: no driver: %s\n", hnorm_last_error());  // ctest takes this line for a reason to skip
        std::exit(0);
    }
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
}

struct Data {
    static constexpr int64_t kN = 4, kC = 3, kS = 700;
    std::vector<float> values;
    DeviceArray<float> x, y, dx;
    explicit Data(uint32_t seed = 1)
        : values(kN * kC * kS), x(kDevice, values.size()), y(kDevice, values.size()), dx(kDevice, values.size()) {
        api::fill(values, seed);
        x.copy_in(values);
    }
    static hnorm::Tensor tensor(const DeviceArray<float> &array) {
        return hnorm::ncl(array.data(), {kN, kC, kS}).on(kDevice);
    }
};

}  // namespace

extern "C" {
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name) {
    void *const real = __real_dlsym(library, name);
    const auto counted = [&](void **place, auto *function) {
        return *place = real, reinterpret_cast<void *>(function);
    };
    const std::string function = name;
    if (real == nullptr) return nullptr;
    if (function == "clFinish") return counted(&real_finish, finish);
    if (function == "clEnqueueReadBuffer") return counted(&real_read, read_buffer);
    if (function == "clEnqueueWriteBuffer") return counted(&real_write, write_buffer);
    if (function == "clCreateBuffer") return counted(&real_buffer, buffer);
    if (function == "clEnqueueNDRangeKernel") return counted(&real_launch, launch);
    if (function == "clGetContextInfo") return counted(&real_context_info, context_info);
    if (function == "clGetDeviceInfo") return counted(&real_device_info, device_info);
    return real;
}
}

TEST_CASE("a device that the thread has not asked for is refused, and the call that asks is named") {
    float value = 0;
    double mean[2];
    const int64_t shape[] = {1, 2, 3};
    hnorm_tensor x = hnorm_channels_first(&value, 3, shape);
    for (const auto &[device, asks] :
         {std::pair(HNORM_CUDA, "hnorm_use_cuda"), std::pair(HNORM_OPENCL, "hnorm_use_opencl")}) {
        x.device = device;
        std::thread([&, device = device, asks = asks] {
            const auto status = hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, mean, nullptr);
            require_refused(status, HNORM_UNSUPPORTED, {"x.device", asks, "hnorm_gpu"});
            require_refused(hnorm_device_synchronize(device), HNORM_UNSUPPORTED, {"hnorm_device_synchronize", asks});
            hnorm_layer *layer = nullptr;
            REQUIRE(hnorm_layer_create(2, nullptr, &layer) == HNORM_OK);
            require_refused(hnorm_layer_to(layer, device), HNORM_UNSUPPORTED, {"layer.device", asks});
            hnorm_layer_destroy(layer);
        }).join();
    }
    x.device = static_cast<hnorm_device>(7);
    require_refused(hnorm_moments(&x, HNORM_BATCH, mean, mean, mean), HNORM_UNSUPPORTED,
                    {"x.device is 7", "HNORM_OPENCL"});
}

TEST_CASE("CUDA is refused in the driver's words where it is not") {
    if (hnorm_use_cuda(nullptr, nullptr) == HNORM_OK) return;
    require_refused(hnorm_use_cuda(nullptr, nullptr), HNORM_UNSUPPORTED, {"hnorm_use_cuda", "CUDA"});
    require_refused(hnorm_device_synchronize(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_use_cuda"});
}

TEST_CASE("the tensors of a call, and the layer, lie on one device") {
    use();
    Data data;
    const hnorm::Tensor x = Data::tensor(data.x), y = Data::tensor(data.y);
    const hnorm::Tensor host = hnorm::ncl(data.values.data(), {Data::kN, Data::kC, Data::kS});
    require_refused(hnorm_forward(x.c(), HNORM_BATCH, nullptr, 1e-5, nullptr, host.c(), nullptr, nullptr),
                    HNORM_INVALID_ARGUMENT, {"y.device is HNORM_CPU", "x.device is HNORM_OPENCL"});
    hnorm::BatchNorm bn(Data::kC);
    require_refused(hnorm_layer_forward(bn.c(), x.c(), y.c()), HNORM_INVALID_ARGUMENT,
                    {"x.device is HNORM_OPENCL", "the layer is on HNORM_CPU", "hnorm_layer_to"});
    bn.to(kDevice);
    REQUIRE(bn.device() == kDevice);
    require_refused(hnorm_layer_forward(bn.c(), host.c(), host.c()), HNORM_INVALID_ARGUMENT,
                    {"x.device is HNORM_CPU", "the layer is on HNORM_OPENCL"});
    REQUIRE_THROWS_AS(hnorm::moments(x, hnorm::Group::batch), hnorm::Error);
}

TEST_CASE("memory that is too small or of another context is refused, and so are arrays that are one") {
    use();
    Data data;
    const hnorm::Tensor x = Data::tensor(data.x), y = Data::tensor(data.y);
    DeviceArray<double> few(kDevice, 1), mean(kDevice, Data::kC);
    const auto forward = [&](const hnorm::Tensor &to, double *means, double *variances) {
        return hnorm_forward(x.c(), HNORM_BATCH, nullptr, 1e-5, nullptr, to.c(), means, variances);
    };
    require_refused(forward(y, few.data(), nullptr), HNORM_INVALID_ARGUMENT, {"mean", "8 bytes", "24"});
    DeviceArray<float> little(kDevice, 10);
    require_refused(forward(Data::tensor(little), nullptr, nullptr), HNORM_INVALID_ARGUMENT, {"y.data", "40 bytes"});
    require_refused(forward(y, mean.data(), mean.data()), HNORM_INVALID_ARGUMENT, {"mean", "overlaps variance"});
    require_refused(forward(y, reinterpret_cast<double *>(data.y.data()), nullptr), HNORM_INVALID_ARGUMENT,
                    {"mean", "overlaps y"});
    std::vector<float> values(11);
    require_refused(hnorm_device_copy_in(HNORM_OPENCL, little.data(), values.data(), 44), HNORM_INVALID_ARGUMENT,
                    {"to", "40 bytes", "44"});
}

TEST_CASE("in a steady state training neither waits nor copies nor allocates") {
    use();
    Data data;
    const hnorm::Tensor x = Data::tensor(data.x), y = Data::tensor(data.y), dx = Data::tensor(data.dx);
    hnorm::BatchNorm bn(Data::kC, hnorm::Options().relu());
    bn.to(kDevice);
    hnorm::InstanceNorm in(Data::kC, hnorm::Options().affine(true).track_running_stats(true));
    in.to(kDevice);
    const auto step = [&] {
        for (hnorm::header::Layer *layer :
             {static_cast<hnorm::header::Layer *>(&bn), static_cast<hnorm::header::Layer *>(&in)}) {
            layer->train();
            layer->forward(x, y);
            layer->zero_grad();
            layer->backward(x, y, dx);
            layer->eval();
            layer->forward(x, y);
            layer->backward(x, y, dx);
            layer->forward_add(x, dx, y);
            layer->backward_add(x, y, y, dx);
        }
    };
    step();
    hnorm::synchronize(kDevice);
    launches = waits = copies = allocations = 0;
    step();
    REQUIRE(launches > 20);
    REQUIRE(waits == 0);
    REQUIRE(copies == 0);
    REQUIRE(allocations == 0);
    hnorm::synchronize(kDevice);
    REQUIRE(waits == 1);
}

TEST_CASE("what the driver refuses comes back as a status with its words") {
    use();
    Data data;
    const hnorm::Tensor x = Data::tensor(data.x), y = Data::tensor(data.y);
    const auto forward = [&] {
        return hnorm_forward(x.c(), HNORM_BATCH, nullptr, 1e-5, nullptr, y.c(), nullptr, nullptr);
    };
    launch_error = -36;
    const hnorm_status launched = forward();
    launch_error = 0;
    require_refused(launched, HNORM_DEVICE_ERROR, {"hnorm_forward", "CL_INVALID_COMMAND_QUEUE"});
    REQUIRE(hnorm_device_release(HNORM_OPENCL) == HNORM_OK);  // what it kept would serve
    use();
    allocation_error = -4;
    const hnorm_status allocated = forward();
    allocation_error = 0;
    require_refused(allocated, HNORM_OUT_OF_MEMORY,
                    {"hnorm_forward", "clCreateBuffer", "CL_MEM_OBJECT_ALLOCATION_FAILURE"});
    REQUIRE(forward() == HNORM_OK);
    void *memory = nullptr;
    allocation_error = -5;
    const hnorm_status refused = hnorm_device_allocate(HNORM_OPENCL, 8, &memory);
    allocation_error = 0;
    require_refused(refused, HNORM_OUT_OF_MEMORY, {"clCreateBuffer", "CL_OUT_OF_RESOURCES"});
    wait_error = -5;
    const hnorm_status waited = hnorm_device_synchronize(HNORM_OPENCL);
    require_refused(waited, HNORM_DEVICE_ERROR, {"clFinish", "CL_OUT_OF_RESOURCES"});
    const hnorm_status released = hnorm_device_release(HNORM_OPENCL);
    wait_error = 0;
    require_refused(released, HNORM_DEVICE_ERROR, {"hnorm_device_release", "clFinish"});
    require_refused(hnorm_device_synchronize(HNORM_OPENCL), HNORM_UNSUPPORTED, {"hnorm_use_opencl"});
    use();
    REQUIRE(forward() == HNORM_OK);
}

TEST_CASE("a context of several devices, and a device without doubles, are refused each time") {
    use();
    devices = 2;
    const hnorm_status several = hnorm_use_opencl(nullptr, nullptr);
    devices = 1;
    require_refused(several, HNORM_UNSUPPORTED, {"hnorm_use_opencl", "2 devices", "one"});
    doubles_error = -30;
    const hnorm_status without = hnorm_use_opencl(nullptr, nullptr);
    doubles_error = 0;
    require_refused(without, HNORM_UNSUPPORTED, {"no double precision"});
    use();
}

TEST_CASE("a layer keeps its state on the way to a device and back") {
    use();
    hnorm::BatchNorm bn(3);
    bn.gamma()[1] = 2.5f;
    bn.running_mean()[2] = -1;
    *bn.num_batches_tracked().begin() = 4;
    bn.to(kDevice);
    std::vector<float> gamma(3);
    hnorm::header::require_ok(hnorm_device_copy_out(HNORM_OPENCL, gamma.data(), bn.gamma().data(), 12));
    REQUIRE(gamma == std::vector<float>{1, 2.5f, 1});
    bn.reset_running_stats();
    bn.running_var();
    bn.to(Device::cpu);
    REQUIRE(bn.gamma()[1] == 2.5f);
    REQUIRE(bn.running_mean()[2] == 0);
    REQUIRE(bn.running_var()[2] == 1);
    REQUIRE(bn.num_batches_tracked()[0] == 0);
}

TEST_CASE("threads have queues of their own, and what one releases another does not miss") {
    use();
    Data data;
    hnorm::forward(Data::tensor(data.x), hnorm::Group::batch, {}, 1e-5, Data::tensor(data.y));
    const std::vector<float> expected = data.y.copy_out();
    std::vector<std::vector<float>> results(4);
    std::vector<std::thread> threads;
    for (auto &result : results) {
        threads.emplace_back([&result] {
            hnorm::use_opencl();
            Data own;
            for (int i = 0; i < 20; i++)
                hnorm::forward(Data::tensor(own.x), hnorm::Group::batch, {}, 1e-5, Data::tensor(own.y));
            result = own.y.copy_out();
        });
    }
    for (std::thread &thread : threads) thread.join();
    for (const auto &result : results) REQUIRE(api::same_bits(result, expected));
    require_refused(hnorm_use_opencl(&results, nullptr), HNORM_INVALID_ARGUMENT, {"queue is null"});
}

TEST_CASE("copies go in, within and out, and the one within is queued") {
    use();
    const std::vector<float> values = {1, 2, 3, 4, 5};
    DeviceArray<float> from(kDevice, values), to(kDevice, std::vector<float>(5, 0.0f));
    waits = copies = 0;
    REQUIRE(hnorm_device_copy(HNORM_OPENCL, to.data(), from.data(), 12) == HNORM_OK);
    REQUIRE((waits == 0 && copies == 0));
    REQUIRE(to.copy_out() == std::vector<float>{1, 2, 3, 0, 0});
    require_refused(hnorm_device_copy(HNORM_OPENCL, to.data(), from.data(), 24), HNORM_INVALID_ARGUMENT, {"20 bytes"});
}

TEST_CASE("functions that take no device, and bad sizes, are refused") {
    use();
    void *memory = nullptr;
    require_refused(hnorm_device_allocate(HNORM_CPU, 8, &memory), HNORM_INVALID_ARGUMENT, {"device is HNORM_CPU"});
    require_refused(hnorm_device_allocate(HNORM_OPENCL, 8, nullptr), HNORM_INVALID_ARGUMENT, {"memory is null"});
    require_refused(hnorm_device_copy_out(HNORM_OPENCL, nullptr, nullptr, 8), HNORM_INVALID_ARGUMENT, {"from is null"});
    REQUIRE(hnorm_device_free(HNORM_OPENCL, nullptr) == HNORM_OK);
    // the kernels of devices count in 32 bits
    DeviceArray<float> some(kDevice, 4);
    const int64_t shape[] = {50000, 1000, 50};
    hnorm_tensor x = hnorm_channels_first(some.data(), 3, shape);
    x.device = HNORM_OPENCL;
    require_refused(hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, nullptr, nullptr), HNORM_UNSUPPORTED,
                    {"x spans 2500000000 elements", "2147483647"});
}
