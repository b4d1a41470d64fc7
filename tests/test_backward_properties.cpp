// Properties of the gradients, whatever the data: compared bit for bit unless a case says
// otherwise.
#include "accuracy.h"
#include "backward_properties.h"

#include <cmath>
#include <limits>

using namespace test;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void multiply(Tensor &x, float factor) {
    for (int64_t n = 0; n < x.samples(); n++)
        for (int64_t c = 0; c < x.channels(); c++)
            for (int64_t s = 0; s < x.positions(); s++) x.at(n, c, s) *= factor;
}

template <typename T>
std::vector<T> times(std::vector<T> values, T factor) {
    for (T &value : values) value *= factor;
    return values;
}

}  // namespace

TEST_CASE("constant channels give finite gradients: dgamma 0, dx the deviations of dy") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kChannel, data.x);
        for (float number : {0.1f, 16'777'217.0f, -1e30f, 1e-42f}) {
            const float value = rounded(clamp_to_float(number));
            for (int64_t n = 0; n < data.x.samples(); n++)
                for (int64_t c = 0; c < data.x.channels(); c++)
                    std::fill_n(data.x.plane(n, c), data.x.positions(), value);
            data.update();
            const ParameterGradients found = data.gradients(affine);
            const References statistics = references(data.x, data.group);
            const reference::Gradients expected =
                reference_gradients(data.x, data.dy, data.group, statistics, false, affine, data.eps);
            INFO(where << ", value " << value);
            const Worst worst = worst_dx(data.x, data.group, expected, data.dx);  // infinite where dx is not finite
            INFO(worst.where);
            REQUIRE(worst.error <= kGradientTolerance);
            REQUIRE(found.dgamma == std::vector<float>(found.dgamma.size(), 0.0f));
            REQUIRE(worst_dbeta(found.dbeta, expected).error <= kGradientTolerance);
        }
    });
}

TEST_CASE("constant channels without eps have no gradients but dbeta") {
    for_each(0, [](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kChannel, data.x);
        for (int64_t n = 0; n < data.x.samples(); n++)
            for (int64_t c = 0; c < data.x.channels(); c++) std::fill_n(data.x.plane(n, c), data.x.positions(), 0.5f);
        data.update();
        const ParameterGradients found = data.gradients(affine);
        INFO(where);
        const std::vector<float> dx = elements(data.dx);
        REQUIRE(std::all_of(dx.begin(), dx.end(), [](float value) { return value == 0; }));
        REQUIRE(found.dgamma == std::vector<float>(found.dgamma.size(), 0.0f));
        REQUIRE(std::any_of(found.dbeta.begin(), found.dbeta.end(), [](float value) { return value != 0; }));
    });
}

// To within the gradients' accuracy and the rounding of dx. y does not change when x is shifted or,
// with eps 0, scaled: dx has no such part.
TEST_CASE("dx of each group sums to 0 and is orthogonal to xhat") {
    for_each(0, [](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kSampleAndChannel, data.x);
        data.gradients(affine);
        const References statistics = references(data.x, data.group);
        const reference::Gradients expected =
            reference_gradients(data.x, data.dy, data.group, statistics, false, affine, data.eps);
        for (size_t g = 0; g < statistics.size(); g++) {
            long double sum = 0, product = 0, allowed_sum = 0, allowed_product = 0;
            reference::for_each_in_group(
                data.x, data.group, static_cast<int64_t>(g), [&](int64_t n, int64_t c, int64_t s) {
                    const long double xhat =
                        (data.x.at(n, c, s) - statistics[g].mean) / std::sqrt(statistics[g].variance);
                    sum += data.dx.at(n, c, s);
                    product += data.dx.at(n, c, s) * xhat;
                    const long double allowed =
                        std::max(kGradientTolerance * expected.greatest[g], last_place(data.dx.at(n, c, s)));
                    allowed_sum += allowed;
                    allowed_product += allowed * std::fabs(xhat);
                });
            INFO(where << ", group " << g);
            REQUIRE(std::fabs(sum) <= allowed_sum);
            REQUIRE(std::fabs(product) <= allowed_product);
        }
    });
}

TEST_CASE("scaling dy by a power of two scales every gradient by it") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kChannel, data.x);
        const ParameterGradients before = data.gradients(affine);
        const std::vector<float> dx = elements(data.dx);
        const Sums sums = backward_reduce(data.x, data.dy, data.group, data.saved.mean);
        float scale = 1;
        // f16 has no room for others: some of dx is small, and rounded as nothing but its sign is
        // scaled
        const std::vector<float> factors =
            data.x.format().type == HNORM_F16 ? std::vector<float>{-1} : std::vector<float>{0x1p-20f, 0x1p50f, -1};
        for (float factor : factors) {
            multiply(data.dy, factor);
            scale *= factor;
            const std::string place = where + ", factor " + std::to_string(scale);
            const ParameterGradients found = data.gradients(affine);
            require_same(difference(data.dx, times(dx, scale)), place);
            require_same(found, {times(before.dgamma, scale), times(before.dbeta, scale)}, place);
            const Sums scaled = backward_reduce(data.x, data.dy, data.group, data.saved.mean);
            require_same(difference("sum of dy", scaled.dy, times<double>(sums.dy, scale)), place);
            require_same(difference("sum of dy*(x - mean)", scaled.dy_xmu, times<double>(sums.dy_xmu, scale)), place);
        }
    });
}

TEST_CASE("a NaN or an infinity in x or dy spoils its group's gradients and no others") {
    Random random(17);
    for_each(1e-5, [&](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kChannel, data.x);
        const ParameterGradients clean = data.gradients(affine);
        const std::vector<float> clean_dx = elements(data.dx);
        for (bool in_x : {true, false}) {
            for (float value : {kNaN, kInfinity, -kInfinity}) {
                Tensor &hit = in_x ? data.x : data.dy;
                const int64_t n0 = random.index(hit.samples()), c0 = random.index(hit.channels()),
                              s0 = random.index(hit.positions());
                const float before = hit.at(n0, c0, s0);
                hit.at(n0, c0, s0) = value;
                data.update();
                const ParameterGradients found = data.gradients(affine);
                hit.at(n0, c0, s0) = before;
                INFO(where << ", " << value << " in " << (in_x ? "x" : "dy") << " at (n " << n0 << ", c " << c0
                           << ", position " << s0 << ")");
                size_t i = 0;
                for (int64_t n = 0; n < hit.samples(); n++)
                    for (int64_t c = 0; c < hit.channels(); c++)
                        for (int64_t s = 0; s < hit.positions(); s++, i++)
                            if (data.group_index(n, c) == data.group_index(n0, c0)
                                    ? std::isfinite(data.dx.at(n, c, s))
                                    : !same_bits(data.dx.at(n, c, s), clean_dx[i]))
                                FAIL("dx at (n " << n << ", c " << c << ", position " << s
                                                 << "): " << data.dx.at(n, c, s) << ", clean " << clean_dx[i]);
                for (size_t c = 0; c < found.dgamma.size(); c++) {
                    const bool spoilt = c == static_cast<size_t>(c0);
                    INFO("channel " << c << ": dgamma " << found.dgamma[c] << ", dbeta " << found.dbeta[c]);
                    REQUIRE((spoilt ? !std::isfinite(found.dgamma[c]) : found.dgamma[c] == clean.dgamma[c]));
                    if (!spoilt || !in_x)  // dbeta does not depend on x, but for its last bits
                        REQUIRE((spoilt ? !std::isfinite(found.dbeta[c]) : found.dbeta[c] == clean.dbeta[c]));
                }
            }
        }
    });
}

TEST_CASE("with frozen statistics a NaN or an infinity in dy stays where it is in dx") {
    for_each(1e-5, [&](Data &data, const std::string &where) {
        const Affine affine(AffineKind::kChannel, data.x);
        data.gradients(affine, true);
        std::vector<float> expected = elements(data.dx);
        size_t i = 0;
        for (int64_t n = 0; n < data.x.samples(); n++) {
            for (int64_t c = 0; c < data.x.channels(); c++) {
                for (int64_t s = 0; s < data.x.positions(); s++, i++) {
                    if (i % 7 == 1) data.x.at(n, c, s) = kNaN;  // x has no part in it
                    if (i % 5) continue;
                    const float values[] = {kNaN, kInfinity, -kInfinity};
                    data.dy.at(n, c, s) = values[i / 5 % 3];
                    expected[i] = values[i / 5 % 3] * affine.gamma(n, c);  // gamma is not 0
                }
            }
        }
        data.gradients(affine, true);
        require_same(difference(data.dx, expected), where);
    });
}
