// Batch norm forward and backward on device pointers, in a stream of the program's own: everything
// between the copies in and out is queued, and the program waits once. Says whether the results
// have the CPU's bits; without a GPU, why there are none.
#include "driver.h"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace {

constexpr int64_t kN = 32, kC = 64, kH = 56, kW = 56;
constexpr size_t kElements = kN * kC * kH * kW, kBytes = kElements * sizeof(float);

struct Results {
    std::vector<float> y, dx;
    Results() : y(kElements), dx(kElements) {}
};

hnorm::Tensor tensor(const void *data) {
    return hnorm::nchw(static_cast<float *>(const_cast<void *>(data)), {kN, kC, kH, kW});
}

Results on_cpu(const std::vector<float> &x, const std::vector<float> &dy) {
    Results results;
    hnorm::BatchNorm2d bn(kC, hnorm::Options().relu());
    bn.forward(tensor(x.data()), tensor(results.y.data()));
    bn.backward(tensor(x.data()), tensor(dy.data()), tensor(results.dx.data()));
    return results;
}

Results on_gpu(const Driver &cuda, const std::vector<float> &x, const std::vector<float> &dy) {
    const Stream stream = cuda.make_stream();
    void *const x_gpu = cuda.allocate(kBytes), *const dy_gpu = cuda.allocate(kBytes);
    void *const y_gpu = cuda.allocate(kBytes), *const dx_gpu = cuda.allocate(kBytes);

    // What this thread calls from now on goes to that stream.
    hnorm::use_cuda(cuda.context(), stream);
    hnorm::BatchNorm2d bn(kC, hnorm::Options().relu());
    bn.to(hnorm::Device::cuda);
    const auto gpu = [](void *data) { return tensor(data).on(hnorm::Device::cuda); };

    Results results;
    cuda.copy_in(x_gpu, x.data(), kBytes, stream);
    cuda.copy_in(dy_gpu, dy.data(), kBytes, stream);
    bn.forward(gpu(x_gpu), gpu(y_gpu));
    bn.backward(gpu(x_gpu), gpu(dy_gpu), gpu(dx_gpu));
    cuda.copy_out(results.y.data(), y_gpu, kBytes, stream);
    cuda.copy_out(results.dx.data(), dx_gpu, kBytes, stream);
    cuda.synchronize(stream);

    for (void *memory : {x_gpu, dy_gpu, y_gpu, dx_gpu}) cuda.free(memory);
    cuda.destroy_stream(stream);
    return results;
}

const char *compared(const std::vector<float> &a, const std::vector<float> &b) {
    return std::memcmp(a.data(), b.data(), kBytes) == 0 ? "the CPU's bits" : "OTHER BITS than the CPU's";
}

}  // namespace

int main() {
    try {
        const Driver cuda;
        std::vector<float> x(kElements), dy(kElements);
        for (size_t i = 0; i < kElements; i++) {
            x[i] = static_cast<float>(i * 2654435761U % 1000) / 100;
            dy[i] = static_cast<float>(i * 40503U % 777) / 300 - 1;
        }
        const Results expected = on_cpu(x, dy), results = on_gpu(cuda, x, dy);
        std::printf("batch norm with ReLU of %ld x %ld x %ld x %ld on the GPU, in a stream: y has %s, dx has %s\n",
                    long(kN), long(kC), long(kH), long(kW), compared(results.y, expected.y),
                    compared(results.dx, expected.dx));
        return results.y == expected.y && results.dx == expected.dx ? 0 : 1;
    } catch (const hnorm::Error &error) {
        std::printf("hnorm: %s: %s\n", hnorm_status_name(error.status()), error.what());
        return error.status() == HNORM_UNSUPPORTED ? 0 : 1;
    } catch (const std::runtime_error &error) {
        std::printf("nothing to show: %s\n", error.what());
        return 0;
    }
}
