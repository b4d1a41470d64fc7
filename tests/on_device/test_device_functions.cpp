// What gpu.h promises besides results, which the suite on devices tests: what is refused, and what
// is kept. On OpenCL, but for what no driver has a part in.
#include "opencl.h"

#include <thread>
#include <utility>
#include <vector>

using namespace opencl;
using api::require_refused;

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
