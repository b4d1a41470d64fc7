// The order of docs/order.md itself, before any kernel: its transcription's sums of the gradients
// are accurate.
#include "accuracy.h"
#include "catch.hpp"
#include "planes.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace test;

namespace {

// The sums of dy and dy*(x - mean) against long double, in units of the sums of their magnitudes.
// Returns whether the group was scaled.
bool check_gradient_sums(const Planes &planes, const std::vector<float> &x, const std::vector<float> &dy, double mean,
                         const std::string &data) {
    bool is_scaled = false;
    const transcription::GradientSums found =
        transcription::gradient_sums(planes.group(x), planes.group(dy), mean, &is_scaled);
    long double of_dy = 0, size_of_dy = 0, of_both = 0, size_of_both = 0, greatest_x = 0, greatest_dy = 0;
    for (size_t i = 0; i < x.size(); i++) {
        const long double d = x[i] - static_cast<long double>(mean), g = dy[i];
        of_dy += g;
        size_of_dy += std::fabs(g);
        of_both += g * d;
        size_of_both += std::fabs(g * d);
        greatest_x = std::max(greatest_x, std::fabs(d));
        greatest_dy = std::max(greatest_dy, std::fabs(g));
    }
    INFO(planes.describe() << ", " << data << ": sums " << found.dy << " of " << static_cast<double>(of_dy) << ", "
                           << found.dy_xmu << " of " << static_cast<double>(of_both) << (is_scaled ? ", scaled" : ""));
    CHECK(std::fabs(found.dy - of_dy) <= kGradientTolerance * size_of_dy);
    // Products that are far smaller than the greatest dy times the greatest x - mean may leave
    // float's range: nothing for dx.
    CHECK(std::fabs(found.dy_xmu - of_both) <= kGradientTolerance * size_of_both + 0x1p-60L * greatest_x * greatest_dy);
    return is_scaled;
}

}  // namespace

TEST_CASE("the sums of the gradients are right at every magnitude of x and dy") {
    bool any_as_they_are = false, any_scaled = false;
    for (const Planes &planes : kPlanes) {
        std::vector<float> x(planes.size()), dy(planes.size());
        Random random(planes.size());
        const auto fill_with = [&](std::vector<float> &list, double scale) {
            for (float &value : list) value = static_cast<float>(scale * random.normal() / 2);
        };
        for (double scale_x : {1e38, 1e30, 1e15, 1.0, 1e-15, 1e-30, 1e-38, 1e-43, 0.0}) {
            for (double scale_dy : {1e38, 1e33, 1e30, 1e15, 1.0, 1e-15, 1e-30, 1e-38, 1e-43, 0.0}) {
                fill_with(x, scale_x);
                fill_with(dy, scale_dy);
                const std::string data = "x " + std::to_string(scale_x) + ", dy " + std::to_string(scale_dy);
                const double mean = static_cast<double>(Reference(x).mean);
                const bool is_scaled = check_gradient_sums(planes, x, dy, mean, data);
                any_as_they_are = any_as_they_are || !is_scaled;
                any_scaled = any_scaled || is_scaled;
                if (scale_x == 1 && scale_dy == 1) CHECK_FALSE(is_scaled);
                // Frozen statistics, far from the data.
                for (double far : {1.0, 1e3, 1e7})
                    if (scale_x * far < 1e38)
                        check_gradient_sums(planes, x, dy, mean + scale_x * far, data + ", frozen");
                for (double far : {1e38, -1e38, 1e-38, 1.0})
                    check_gradient_sums(planes, x, dy, far, data + ", mean " + std::to_string(far));
                // dy where there is one in 16, and of both signs by turns, so that it is orthogonal
                // to x in pairs.
                for (size_t i = 0; i < x.size(); i++)
                    if (i % 16 != 3) dy[i] = 0;
                check_gradient_sums(planes, x, dy, mean, data + ", sparse dy");
                for (size_t i = 0; i < x.size(); i++) {
                    dy[i] = static_cast<float>(i % 4 == 0 || i % 4 == 3 ? scale_dy : -scale_dy);
                    x[i] = static_cast<float>(i % 2 ? scale_x : -scale_x);
                }
                check_gradient_sums(planes, x, dy, static_cast<double>(Reference(x).mean),
                                    data + ", dy orthogonal to x");
            }
        }
        // Elements that the probe does not show.
        const std::vector<bool> probed = transcription::positions_probed(planes.S, planes.N, planes.last);
        const size_t apart = static_cast<size_t>(std::find(probed.begin(), probed.end(), false) - probed.begin());
        for (float of_x : {1.0f, 1e31f, 3e38f, 1e-30f}) {
            for (float of_dy : {1.0f, 1e31f, 3e38f, 1e-38f, 0.0f}) {
                if (apart == x.size()) continue;
                fill_with(x, 1);
                fill_with(dy, 1);
                x[apart] = of_x;
                dy[apart] = of_dy;
                check_gradient_sums(planes, x, dy, static_cast<double>(Reference(x).mean),
                                    "x " + std::to_string(of_x) + ", dy " + std::to_string(of_dy) + " in normal data");
                // Frozen statistics leave the others as they are, whatever this one is.
                const bool with_frozen = check_gradient_sums(
                    planes, x, dy, 0.25, "x " + std::to_string(of_x) + ", dy " + std::to_string(of_dy) + ", frozen");
                CHECK(with_frozen == (std::fabs(of_x - 0.25f) * of_dy > 1e30f));
                // None of dy but there.
                std::fill(dy.begin(), dy.end(), 0.0f);
                dy[apart] = of_dy;
                check_gradient_sums(planes, x, dy, 0.25,
                                    "x " + std::to_string(of_x) + ", dy 0 but one " + std::to_string(of_dy));
            }
        }
        // Constant x of any size: nothing but dy is left.
        for (float constant : {0.0f, 1e9f, 3e38f, 1e-40f}) {
            std::fill(x.begin(), x.end(), constant);
            for (double scale_dy : {1e38, 1e33, 1.0, 1e-38}) {
                fill_with(dy, scale_dy);
                const std::string data = "x of " + std::to_string(constant) + ", dy " + std::to_string(scale_dy);
                check_gradient_sums(planes, x, dy, constant, data);
                CHECK(transcription::gradient_sums(planes.group(x), planes.group(dy), constant).dy_xmu == 0);
            }
        }
    }
    CHECK((any_as_they_are && any_scaled));
}
