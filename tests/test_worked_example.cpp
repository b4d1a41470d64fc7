// A published example of batch normalization in training: BatchNorm2d(2), gamma 1, beta 0, eps
// 1e-5, input (2,2,2,3). Input and output are printed with four digits, which is why the output
// agrees to 2e-4 only; the reference agrees to 5e-7. Rounded to 16 bits, input and output may be as
// much farther away as follows from the rounding.
#include "accuracy.h"
#include "catch.hpp"
#include "machine.h"

#include <cmath>
#include <vector>

using namespace test;

namespace {

const std::vector<float> kInput = {0.0242f, -0.4434f, 0.0058f,  -0.2674f, 1.8737f,  1.8069f, -0.3274f, -0.7689f,
                                   0.3982f, 0.7088f,  -0.4982f, 1.3230f,  -2.0022f, 1.2179f, 1.0144f,  -0.0057f,
                                   0.3186f, 0.4562f,  0.3482f,  -0.0875f, -1.1406f, 1.5080f, 0.8830f,  0.0946f};
const std::vector<float> kPublished = {-0.3023f, -0.7597f, -0.3203f, -0.5875f, 1.5068f,  1.4414f, -0.6781f, -1.2420f,
                                       0.2489f,  0.6456f,  -0.8962f, 1.4301f,  -2.2844f, 0.8653f, 0.6663f,  -0.3316f,
                                       -0.0144f, 0.1203f,  0.1849f,  -0.3717f, -1.7169f, 1.6665f, 0.8681f,  -0.1391f};

Tensor example() {
    Tensor x({2, 2, 2, 3});
    std::copy(kInput.begin(), kInput.end(), x.plane(0, 0));
    x.settle();
    return x;
}

// The greatest relative error of an element's rounding, and what it changes of x. The mean and
// sigma change by no more.
double rounding() {
    const TensorFormat &format = tensor_format();
    return format.type == HNORM_F32 ? 0 : std::ldexp(1.0, -format.digits());
}
double change_of_x() { return 2.0022 * rounding(); }

}  // namespace

TEST_CASE("the published batch norm example comes out as published") {
    const Tensor x = example();
    const Affine affine(AffineKind::kNone, x);
    for (const std::string &target : usable_targets()) {
        const Machine machine(target);
        Tensor y(x.shape());
        const MeanAndVariance saved = forward(x, HNORM_BATCH, affine, 1e-5, y);
        const std::vector<float> output = elements(y);
        for (size_t i = 0; i < output.size(); i++) {
            INFO(machine.describe() << ", element " << i);
            const double size = std::fabs(kPublished[i]), sigma = std::sqrt(saved.variance[i / 6 % 2]);
            const double rounded = (2 + size) * change_of_x() / sigma + (size + 1) * rounding();
            CHECK(std::fabs(output[i] - kPublished[i]) <= 2e-4 + rounded);
        }
        CHECK(std::fabs(saved.mean[0] - 0.3332) <= 1e-4 + change_of_x());
        CHECK(std::fabs(std::sqrt(saved.variance[0]) - std::sqrt(1.0452)) <= 5e-5 + change_of_x());
        const Worst worst = worst_y(x, HNORM_BATCH, references(x, HNORM_BATCH), affine, 1e-5, y);
        INFO(machine.describe() << " " << worst.where);
        CHECK(worst.error <= kTolerance);
    }
}

TEST_CASE("instance norm of the published example normalizes each sample's channel on its own") {
    const Tensor x = example();
    const Affine affine(AffineKind::kNone, x);
    for (const std::string &target : usable_targets()) {
        const Machine machine(target);
        INFO(machine.describe());
        Tensor y(x.shape());
        forward(x, HNORM_INSTANCE, affine, 1e-5, y);
        const Worst worst = worst_y(x, HNORM_INSTANCE, references(x, HNORM_INSTANCE), affine, 1e-5, y);
        INFO(worst.where);
        CHECK(worst.error <= kTolerance);
        for (int64_t n = 0; n < 2; n++) {
            for (int64_t c = 0; c < 2; c++) {
                double sum = 0, squares = 0;
                for (int64_t s = 0; s < 6; s++) {
                    sum += y.at(n, c, s);
                    squares += static_cast<double>(y.at(n, c, s)) * y.at(n, c, s);
                }
                CHECK(std::fabs(sum / 6) <= 1e-6 + rounding());
                // eps takes 1e-5 over the least variance, 0.31
                CHECK(std::fabs(squares / 6 - 1) <= 1e-4 + 2.1 * rounding());
            }
        }
    }
}
