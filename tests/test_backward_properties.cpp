// Properties of the gradients, whatever the data: compared bit for bit unless a case says
// otherwise.
#include "accuracy.h"
#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "machine.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace test;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One or more of each class, rank and way of sharing the work.
const std::vector<Shape> kShapes = {{70, 5},         {33, 4, 3},       {9, 6, 15},     {20, 5, 7, 7},
                                    {6, 4, 2, 5, 5}, {3, 3, 32, 32},   {2, 3, 1025},   {1, 2, 200, 201},
                                    {1, 4, 9},       {300, 2, 14, 14}, {2, 70, 20, 21}};

// The inputs of the gradients: x, dy, and what forward gave.
struct Data {
    Tensor x, dy, dx;
    hnorm_group group;
    MeanAndVariance saved;
    double eps;

    Data(const Shape &shape, hnorm_group its_group, const Recipe &x_recipe, const Recipe &dy_recipe, double its_eps)
        : x(shape), dy(shape), dx(shape), group(its_group), eps(its_eps) {
        fill(x, x_recipe);
        fill(dy, dy_recipe);
        update();
    }
    void update() { saved = forward(x, group, Affine(AffineKind::kNone, x), eps, dx); }
    // Into dx.
    ParameterGradients gradients(const Affine &affine, bool frozen = false) {
        return backward(&x, dy, group, saved.mean, saved.variance, affine, eps, frozen, &dx);
    }
    size_t group_index(int64_t n, int64_t c) const { return static_cast<size_t>(group_of(x, group, n, c)); }
};

const Recipe kX = {Kind::kNormal, 2, 1, 41}, kDy = {Kind::kNormal, 0.3, 1, 42};

// Calls check(data, where) for every shape, target, thread count 1 and 3, and group, with normal x
// and dy.
template <typename Check>
void for_each(double eps, Check check) {
    for (const Shape &shape : kShapes) {
        for (const std::string &target : targets_for_properties()) {
            for (int threads : {1, 3}) {
                const Machine machine(target, threads);
                for (hnorm_group group : kGroups) {
                    if (group_size(Tensor(shape), group) < 2) continue;
                    Data data(shape, group, kX, kDy, eps);
                    check(data, std::string(name(group)) + " " + to_string(shape) + ", " + machine.describe());
                }
            }
        }
    }
    SUCCEED();
}

void require_same(const std::string &difference, const std::string &where) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

void require_same(const ParameterGradients &actual, const ParameterGradients &expected, const std::string &where) {
    require_same(difference("dgamma", actual.dgamma, expected.dgamma), where);
    require_same(difference("dbeta", actual.dbeta, expected.dbeta), where);
}

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

// Samples [first, last) of x, dense.
Tensor samples(const Tensor &x, int64_t first, int64_t last) {
    Shape shape = x.shape();
    shape[0] = last - first;
    Tensor result(shape);
    for (int64_t n = first; n < last; n++)
        for (int64_t c = 0; c < x.channels(); c++)
            std::copy_n(x.plane(n, c), x.positions(), result.plane(n - first, c));
    return result;
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

TEST_CASE("backward is backward_reduce and backward_apply") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Sums sums = backward_reduce(data.x, data.dy, data.group, data.saved.mean);
        const std::vector<double> count(data.saved.mean.size(), static_cast<double>(group_size(data.x, data.group)));
        for (AffineKind kind : kAffineKinds) {
            if (kind == AffineKind::kSampleAndChannel && data.group == HNORM_BATCH) continue;  // apply refuses it
            const Affine affine(kind, data.x);
            data.gradients(affine);
            const std::vector<float> dx = elements(data.dx);
            backward_apply(data.x, data.dy, data.group, count, data.saved.mean, data.saved.variance, sums, affine,
                           data.eps, data.dx);
            require_same(difference(data.dx, dx), where + ", " + affine.describe());
        }
    });
}

// To within rounding: the chunks of the parts are others than those of the whole.
TEST_CASE("batch norm's sums over parts of the samples add up to the whole's, and give its dx") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        if (data.group != HNORM_BATCH || data.x.samples() < 2) return;
        const Affine affine(AffineKind::kChannel, data.x);
        const References statistics = references(data.x, data.group);
        const reference::Gradients expected =
            reference_gradients(data.x, data.dy, data.group, statistics, false, affine, data.eps);
        const int64_t N = data.x.samples(), cuts[] = {0, N / 3, N};
        const std::vector<double> count(data.saved.mean.size(), static_cast<double>(group_size(data.x, HNORM_BATCH)));
        Sums whole{std::vector<double>(count.size(), 0), std::vector<double>(count.size(), 0)};
        for (int part : {0, 1}) {
            if (cuts[part] == cuts[part + 1]) continue;
            const Sums sums =
                backward_reduce(samples(data.x, cuts[part], cuts[part + 1]),
                                samples(data.dy, cuts[part], cuts[part + 1]), HNORM_BATCH, data.saved.mean);
            for (size_t g = 0; g < count.size(); g++) {
                whole.dy[g] += sums.dy[g];
                whole.dy_xmu[g] += sums.dy_xmu[g];
            }
        }
        const Sums at_once = backward_reduce(data.x, data.dy, HNORM_BATCH, data.saved.mean);
        for (size_t g = 0; g < count.size(); g++) {
            INFO(where << ", group " << g);
            REQUIRE(std::fabs(whole.dy[g] - at_once.dy[g]) <= kGradientTolerance * expected.dbeta_size[g]);
            REQUIRE(std::fabs(whole.dy_xmu[g] - at_once.dy_xmu[g]) <=
                    kGradientTolerance * expected.dgamma_size[g] * std::sqrt(data.saved.variance[g] + data.eps));
        }
        for (int part : {0, 1}) {
            if (cuts[part] == cuts[part + 1]) continue;
            const Tensor part_x = samples(data.x, cuts[part], cuts[part + 1]);
            const Tensor part_dy = samples(data.dy, cuts[part], cuts[part + 1]);
            Tensor part_dx(part_x.shape());
            backward_apply(part_x, part_dy, HNORM_BATCH, count, data.saved.mean, data.saved.variance, whole, affine,
                           data.eps, part_dx);
            for (int64_t n = cuts[part]; n < cuts[part + 1]; n++)
                for (int64_t c = 0; c < part_x.channels(); c++)
                    std::copy_n(part_dx.plane(n - cuts[part], c), part_x.positions(), data.dx.plane(n, c));
        }
        const Worst worst = worst_dx(data.x, HNORM_BATCH, expected, data.dx);
        INFO(where << "\n" << worst.where);
        REQUIRE(worst.error <= kGradientTolerance);
    });
}

TEST_CASE("gradients of batch norm of one sample equal those of instance norm") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        if (data.group != HNORM_BATCH || data.x.samples() > 1) return;
        for (AffineKind kind : kAffineKinds) {
            const Affine affine(kind, data.x);
            for (bool frozen : {false, true}) {
                data.group = HNORM_BATCH;
                const ParameterGradients batch = data.gradients(affine, frozen);
                const std::vector<float> dx = elements(data.dx);
                data.group = HNORM_INSTANCE;
                const ParameterGradients instance = data.gradients(affine, frozen);
                require_same(difference(data.dx, dx), where + ", " + affine.describe());
                require_same(instance, batch, where + ", " + affine.describe());
            }
        }
    });
}

TEST_CASE("which gradients are wanted changes no bit of the others") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Affine affine(data.x.samples() % 2 ? AffineKind::kChannel : AffineKind::kSampleAndChannel, data.x);
        for (bool frozen : {false, true}) {
            const ParameterGradients all = data.gradients(affine, frozen);
            const std::vector<float> dx = elements(data.dx);
            for (Wanted wanted : {Wanted::kBoth, Wanted::kGamma, Wanted::kBeta, Wanted::kNeither}) {
                for (bool wants_dx : {true, false}) {
                    const ParameterGradients found =
                        backward(&data.x, data.dy, data.group, data.saved.mean, data.saved.variance, affine, data.eps,
                                 frozen, wants_dx ? &data.dx : nullptr, wanted);
                    if (wants_dx) require_same(difference(data.dx, dx), where);
                    if (!found.dgamma.empty()) require_same(difference("dgamma", found.dgamma, all.dgamma), where);
                    if (!found.dbeta.empty()) require_same(difference("dbeta", found.dbeta, all.dbeta), where);
                }
            }
            if (!frozen) continue;
            // x is not needed; dy in its place may change dbeta's last bits
            const ParameterGradients with_dy = backward(&data.dy, data.dy, data.group, data.saved.mean,
                                                        data.saved.variance, affine, data.eps, true, nullptr);
            const ParameterGradients without =
                backward(nullptr, data.dy, data.group, data.saved.mean, data.saved.variance, affine, data.eps, true,
                         &data.dx, Wanted::kBeta);
            require_same(difference(data.dx, dx), where + ", without x");
            require_same(difference("dbeta", without.dbeta, with_dy.dbeta), where + ", without x");
        }
    });
}
