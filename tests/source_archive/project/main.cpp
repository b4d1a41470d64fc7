#include <hnorm/hnorm.hpp>

#include <cstdio>

int main() {
    float x[] = {1, 2, 3, 4};
    const hnorm::Tensor tensor = hnorm::nchw(x, {1, 1, 2, 2});
    hnorm::BatchNorm bn(1);
    bn.forward(tensor, tensor);
    std::printf("hnorm %s: %g %g %g %g\n", hnorm_version(), x[0], x[1], x[2], x[3]);
}
