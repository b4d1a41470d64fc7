// A C++ program over the installed library for devices: a layer in training on OpenCL, against the
// CPU's bits.
#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <vector>

int main() {
    std::vector<float> x(2 * 3 * 50), y(x.size());
    for (size_t i = 0; i < x.size(); i++) x[i] = float(i * 2654435761u % 1000) / 100;
    hnorm::BatchNorm1d expected(3), bn(3);
    expected.forward(hnorm::ncl(x.data(), {2, 3, 50}), hnorm::ncl(y.data(), {2, 3, 50}));
    try {
        hnorm::use_opencl();
    } catch (const hnorm::Error &error) {
        std::printf("C++, OpenCL: %s\n", error.what());
        return error.status() == HNORM_UNSUPPORTED ? 0 : 1;
    }
    const auto device = hnorm::Device::opencl;
    hnorm::DeviceArray<float> on_device(device, x);
    bn.to(device);
    const hnorm::Tensor tensor = hnorm::ncl(on_device.data(), {2, 3, 50}).on(device);
    bn.forward(tensor, tensor);
    if (on_device.copy_out() != y) return 1;
    bn.to(hnorm::Device::cpu);
    if (bn.running_var()[2] != expected.running_var()[2]) return 1;
    std::printf("C++, OpenCL: right\n");
    return 0;
}
