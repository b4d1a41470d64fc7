// The reference of the gradients itself, against finite differences of the definition of y.
#include "accuracy.h"
#include "catch.hpp"

#include <functional>
#include <string>
#include <vector>

using namespace test;

namespace {

constexpr float kStep = 0x1p-12f;  // x is a multiple of 1/8, so that x + kStep and x - kStep are floats
constexpr double kEps = 1e-3;

// A loss with the gradient dy at y: the sum of dy * y.
long double loss(const Tensor &x, const Tensor &dy, hnorm_group group, const References &statistics,
                 const Affine &affine) {
    long double sum = 0;
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const reference::Statistics &of_group = statistics[static_cast<size_t>(group_of(x, group, n, c))];
            const long double deviation = std::sqrt(of_group.variance + static_cast<long double>(kEps));
            for (int64_t s = 0; s < x.positions(); s++)
                sum += dy.at(n, c, s) *
                       (affine.gamma(n, c) * ((x.at(n, c, s) - of_group.mean) / deviation) + affine.beta(n, c));
        }
    }
    return sum;
}

void check(const Shape &shape, hnorm_group group, AffineKind kind, bool frozen, double ratio) {
    Tensor x(shape), dy(shape);
    fill(x, {Kind::kQuantised, ratio, 1, 3});
    fill(dy, {Kind::kNormal, 0.5, 1, 4});
    Affine affine(kind, x, 5);
    const References given =
        frozen ? References(static_cast<size_t>(group_count(x, group)), {0, 0.3L, 1.7L}) : References();
    const auto of_x = [&] { return frozen ? given : references(x, group); };
    const References start = of_x();
    // central: exact but for the third derivative, times kStep^2 / 6
    const auto slope = [&](float &value, bool moves_statistics) {
        const float before = value;
        value = before + kStep;
        const long double above = loss(x, dy, group, moves_statistics ? of_x() : start, affine);
        value = before - kStep;
        const long double below = loss(x, dy, group, moves_statistics ? of_x() : start, affine);
        value = before;
        return (above - below) / (2 * static_cast<long double>(kStep));
    };
    References statistics = start;
    for (size_t g = 0; g < statistics.size(); g++) statistics[g].count = group_size(x, group);
    const reference::Gradients found = reference_gradients(x, dy, group, statistics, frozen, affine, kEps);

    INFO(name(group) << " " << x.describe() << ", " << affine.describe() << ", " << (frozen ? "frozen" : "training")
                     << ", |mean|/sigma " << ratio);
    size_t i = 0;
    for (int64_t n = 0; n < x.samples(); n++)
        for (int64_t c = 0; c < x.channels(); c++)
            for (int64_t s = 0; s < x.positions(); s++, i++) {
                const long double unit = found.greatest[static_cast<size_t>(group_of(x, group, n, c))];
                CHECK(std::fabs(found.dx[i] - slope(x.at(n, c, s), true)) <= 1e-6L * unit);
            }
    // The loss is linear in gamma and beta, but a step from any float is a little more or less than
    // kStep.
    for (size_t p = 0; p < affine.parameters(x); p++) {
        CHECK(std::fabs(found.dgamma[p] - slope(affine.gammas[p], false)) <= 1e-3L * found.dgamma_size[p]);
        CHECK(std::fabs(found.dbeta[p] - slope(affine.betas[p], false)) <= 1e-3L * found.dbeta_size[p]);
    }
}

}  // namespace

TEST_CASE("the reference of the gradients agrees with finite differences") {
    for (const Shape &shape : std::vector<Shape>{{4, 3}, {3, 2, 5}, {2, 3, 3, 3}, {1, 2, 20}}) {
        for (hnorm_group group : kGroups) {
            if (group_size(Tensor(shape), group) < 2) continue;
            for (AffineKind kind : {AffineKind::kChannel, AffineKind::kSampleAndChannel})
                for (bool frozen : {false, true})
                    for (double ratio : {0.0, 30.0}) check(shape, group, kind, frozen, ratio);
        }
    }
}
