// Properties that hold exactly, whatever the data: each is compared bit for bit unless it says
// otherwise.
#include "properties.h"

#include <limits>
#include <numeric>

using namespace test;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// to = from, element for element, with sample n of `to` taken from samples[n] and channel c from
// channels[c]
void permute(const Tensor &from, const std::vector<int64_t> &samples, const std::vector<int64_t> &channels,
             Tensor &to) {
    for (int64_t n = 0; n < from.samples(); n++)
        for (int64_t c = 0; c < from.channels(); c++)
            std::copy_n(from.plane(samples[static_cast<size_t>(n)], channels[static_cast<size_t>(c)]), from.positions(),
                        to.plane(n, c));
}

// 0, 1, ... reversed and rotated, so that nothing stays with its neighbours
std::vector<int64_t> permutation(int64_t count, bool identity) {
    std::vector<int64_t> result(static_cast<size_t>(count));
    std::iota(result.begin(), result.end(), 0);
    if (!identity) {
        std::reverse(result.begin(), result.end());
        std::rotate(result.begin(), result.begin() + count / 3, result.end());
    }
    return result;
}

}  // namespace

TEST_CASE("constant channels give exactly beta, whatever eps is") {
    for (float number : {0.0f, 1.0f, 0.1f, -7.3f, 16'777'217.0f, 1e30f, -3e38f, 1e-30f, 1e-42f}) {
        const float value = rounded(clamp_to_float(number));
        for (const Shape &shape : kShapes) {
            Tensor x(shape), y(shape);
            for (int64_t n = 0; n < x.samples(); n++)
                for (int64_t c = 0; c < x.channels(); c++) std::fill_n(x.plane(n, c), x.positions(), value);
            const Affine affine(AffineKind::kSampleAndChannel, x);
            for_each_group(shape, [&](hnorm_group group, const std::string &where) {
                for (double eps : {1e-5, 1e-80, 0.0}) {
                    const MeanAndVariance saved = forward(x, group, affine, eps, y);
                    for (int64_t n = 0; n < x.samples(); n++)
                        for (int64_t c = 0; c < x.channels(); c++)
                            for (int64_t s = 0; s < x.positions(); s++)
                                if (y.at(n, c, s) != rounded(affine.beta(n, c)))
                                    FAIL(where << ", value " << value << ", eps " << eps << ": y " << y.at(n, c, s)
                                               << ", beta " << affine.beta(n, c));
                    for (size_t g = 0; g < saved.mean.size(); g++) {
                        if (saved.mean[g] != value || saved.variance[g] != 0)
                            FAIL(where << ", value " << value << ": mean " << saved.mean[g] << ", variance "
                                       << saved.variance[g]);
                    }
                }
            });
        }
    }
}

TEST_CASE("permuting samples permutes the output of instance norm") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), permuted(shape), y(shape), of_permuted(shape), expected(shape);
        fill_mixed(x, 11);
        const std::vector<int64_t> samples = permutation(x.samples(), false),
                                   channels = permutation(x.channels(), true);
        permute(x, samples, channels, permuted);
        const Affine none(AffineKind::kNone, x);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            if (group != HNORM_INSTANCE) return;
            forward(x, group, none, 1e-5, y);
            forward(permuted, group, none, 1e-5, of_permuted);
            permute(y, samples, channels, expected);
            require_same(difference(of_permuted, elements(expected)), where);
        });
    }
}

TEST_CASE("permuting channels permutes the output of batch and instance norm") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), permuted(shape), y(shape), of_permuted(shape), expected(shape);
        fill_mixed(x, 12);
        const std::vector<int64_t> samples = permutation(x.samples(), true),
                                   channels = permutation(x.channels(), false);
        permute(x, samples, channels, permuted);
        const Affine none(AffineKind::kNone, x);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            forward(x, group, none, 1e-5, y);
            forward(permuted, group, none, 1e-5, of_permuted);
            permute(y, samples, channels, expected);
            require_same(difference(of_permuted, elements(expected)), where);
        });
    }
}

TEST_CASE("scaling by a power of two changes nothing with eps 0") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), scaled(shape), y(shape);
        fill(x, {Kind::kNormal, 5, 1, 13});
        const Affine affine(AffineKind::kChannel, x);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            forward(x, group, affine, 0, y);
            const std::vector<float> expected = elements(y);
            // f16 has so much room, and only upwards
            const bool f16 = x.format().type == HNORM_F16;
            for (float factor : {f16 ? 0x1p8f : 0x1p-30f, f16 ? 2.0f : 0.5f, f16 ? 0x1p12f : 0x1p40f}) {
                for (int64_t n = 0; n < x.samples(); n++)
                    for (int64_t c = 0; c < x.channels(); c++)
                        for (int64_t s = 0; s < x.positions(); s++) scaled.at(n, c, s) = x.at(n, c, s) * factor;
                forward(scaled, group, affine, 0, y);
                require_same(difference(y, expected), where + ", factor " + std::to_string(factor));
            }
        });
    }
}

TEST_CASE("a NaN or an infinity makes its whole group NaN and leaves the others alone") {
    Random random(17);
    for (const Shape &shape : kShapes) {
        Tensor clean(shape), y(shape);
        fill(clean, {Kind::kNormal, 1, 1, 18});
        const Affine affine(AffineKind::kChannel, clean);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            forward(clean, group, affine, 1e-5, y);
            const std::vector<float> clean_y = elements(y);
            // the group's first and last element, a chunk's ends, and anywhere
            for (int64_t position : {int64_t(0), clean.positions() - 1, std::min<int64_t>(4096, clean.positions() - 1),
                                     random.index(clean.positions())}) {
                for (float value : {kNaN, kInfinity, -kInfinity}) {
                    Tensor x(clean);
                    const int64_t hit_n = position ? random.index(x.samples()) : 0, hit_c = random.index(x.channels());
                    x.at(hit_n, hit_c, position) = value;
                    forward(x, group, affine, 1e-5, y);
                    std::vector<float> expected = clean_y;
                    for (int64_t n = 0, i = 0; n < x.samples(); n++)
                        for (int64_t c = 0; c < x.channels(); c++)
                            for (int64_t s = 0; s < x.positions(); s++, i++)
                                if (group_of(x, group, n, c) == group_of(x, group, hit_n, hit_c))
                                    expected[static_cast<size_t>(i)] = kNaN;
                    require_same(difference(y, expected), where + ", " + std::to_string(value) + " at (n " +
                                                              std::to_string(hit_n) + ", c " + std::to_string(hit_c) +
                                                              ", position " + std::to_string(position) + ")");
                }
            }
        });
    }
}

TEST_CASE("two infinities of either sign make their group NaN") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), y(shape);
        const Affine none(AffineKind::kNone, x);
        for (float first : {kInfinity, -kInfinity}) {
            fill(x, {Kind::kNormal, 1, 1, 18});
            for (int64_t n = 0; n < x.samples(); n++) {
                for (int64_t c = 0; c < x.channels(); c++) {
                    x.at(n, c, 0) = first;
                    x.at(n, c, x.positions() - 1) = kInfinity;
                }
            }
            for_each_group(shape, [&](hnorm_group group, const std::string &where) {
                forward(x, group, none, 1e-5, y);
                require_same(difference(y, std::vector<float>(static_cast<size_t>(x.size()), kNaN)), where);
            });
        }
    }
}

TEST_CASE("normalize keeps NaN and infinities where they are, and only there") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), y(shape);
        fill(x, {Kind::kNormal, 1, 1, 19});
        const Affine affine(AffineKind::kChannel, x);
        std::vector<float> special = {kNaN, kInfinity, -kInfinity};
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            const size_t groups = static_cast<size_t>(group_count(x, group));
            const std::vector<double> mean(groups, 0.25), variance(groups, 2.0);
            fill(x, {Kind::kNormal, 1, 1, 19});
            normalize(x, group, mean, variance, affine, 1e-5, y);
            std::vector<float> expected = elements(y);
            for (int64_t n = 0, i = 0; n < x.samples(); n++) {
                for (int64_t c = 0; c < x.channels(); c++) {
                    for (int64_t s = 0; s < x.positions(); s++, i++) {
                        if (i % 5) continue;
                        const float value = special[static_cast<size_t>(i / 5 % 3)];
                        x.at(n, c, s) = value;
                        expected[static_cast<size_t>(i)] = value * affine.gamma(n, c);  // gamma is not 0
                    }
                }
            }
            normalize(x, group, mean, variance, affine, 1e-5, y);
            require_same(difference(y, expected), where);
        });
    }
}

TEST_CASE("an empty tensor gives zero moments and writes nothing") {
    for (const Shape &shape :
         std::vector<Shape>{{0, 3}, {3, 0}, {0, 3, 4, 4}, {2, 3, 0}, {2, 3, 4, 0, 5}, {0, 0}, {2, 0, 9}}) {
        Tensor x(shape), y(shape);
        const Affine none(AffineKind::kNone, x);
        for (const std::string &target : targets_for_properties()) {
            const Machine machine(target);
            for (hnorm_group group : kGroups) {
                INFO(name(group) << " " << x.describe() << ", " << machine.describe());
                const Statistics found = moments(x, group);  // checks that nothing lies beyond the last group
                const std::vector<double> zeros(static_cast<size_t>(group_count(x, group)), 0);
                CHECK(found.count == zeros);
                CHECK(found.mean == zeros);
                CHECK(found.m2 == zeros);
                normalize(x, group, zeros, zeros, none, 1e-5, y);
                forward(x, group, none, 1e-5, y);
            }
        }
    }
}
