// What hnorm asks of OpenCL's driver, whose functions are counted on their way (ld's --wrap=dlsym),
// and what comes back where one fails.
#include "opencl.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace opencl;
using api::require_refused;

namespace {

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
