// Instance norm of one picture of two channels, in place.
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <vector>

int main() {
    std::vector<float> picture = {1, 2, 3, 4, 50, 60, 70, 80};
    hnorm::Tensor x = hnorm::nchw(picture.data(), {1, 2, 2, 2});
    hnorm::InstanceNorm(2).forward(x, x);
    for (float value : picture) std::printf("%.2f ", value);
    std::printf("\n");
}
