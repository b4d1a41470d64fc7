// The cases of the tests of bits: shapes at every boundary, whose data, padding and affine change
// from case to case.
#pragma once

#include "calls.h"
#include "kernels.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace test {

struct Case {
    Shape shape;
    Padding padding;
    Recipe recipe;
    bool mixed = false;     // fill_mixed instead of the recipe
    float outlier = 0;      // an element of each plane, if it is not 0
    int64_t cancelled = 0;  // so many positions after it comes its negative, if it is not 0
    AffineKind affine = AffineKind::kChannel;
    Activation activation = {};
    bool residual = false;
    double eps = 1e-5;

    void fill(Tensor &x) const {
        if (mixed)
            fill_mixed(x, recipe.seed, true);
        else
            test::fill(x, recipe);
        for (int64_t n = 0; n < x.samples() && outlier != 0; n++) {
            for (int64_t c = 0; c < x.channels(); c++) {
                const int64_t s = cancelled ? 0 : (7 * n + c) % x.positions();
                x.at(n, c, s) = clamp_to_float(outlier);
                if (cancelled && cancelled < x.positions()) x.at(n, c, cancelled) = -x.at(n, c, s);
            }
        }
        if (outlier != 0) x.settle();
    }
    // For another tensor of the call.
    Padding other_padding() const { return {padding.c ? 0 : 3, padding.n + 5, !padding.at_end}; }
    std::string describe(const Tensor &x) const {
        std::string data = mixed ? "mixed data, seed " + std::to_string(recipe.seed) : recipe.describe();
        if (outlier != 0) data += ", outliers of " + std::to_string(outlier);
        return x.describe() + ", " + data + ", eps " + std::to_string(eps) + ", " + activation.describe() +
               (residual ? ", residual" : "");
    }
};

// The case number i of a list: kinds of data, ratios, padding and affine change from case to case.
inline Case varied(Shape shape, uint64_t i) {
    constexpr double kRatios[] = {0, 3, 1e3, 1e5};
    Case result;
    result.shape = std::move(shape);
    result.recipe = {kAllKinds[(i + i / kKinds) % kKinds], kRatios[(i / 3) % 4], 1, i + 1};
    result.mixed = i % 3 == 2;
    result.padding = {static_cast<int64_t>(i % 4 == 1 ? 1 + i % 7 : 0),
                      static_cast<int64_t>(i % 3 == 1 ? 1 + i % 19 : 0), i % 2 == 0};
    result.affine = kAffineKinds[i % 5];
    result.activation = kActivations[(i / 2) % 5];
    result.residual = i % 4 == 3;
    result.eps = i % 7 == 3 ? 0 : 1e-5;
    return result;
}

inline const std::vector<std::pair<int64_t, int64_t>> kSamplesAndChannels = {
    {1, 1},  {2, 3},  {3, 1},  {1, 5},   {5, 2},  {16, 1},  {17, 2}, {1, 33}, {33, 3}, {2, 64}, {64, 2},
    {65, 1}, {3, 65}, {70, 3}, {16, 17}, {1, 70}, {33, 16}, {5, 70}, {65, 5}, {1, 2},  {1, 3},  {70, 64}};

// Calls check(case) for each shape with each padding.
template <typename Check>
void check_padded(const std::vector<Shape> &shapes, const std::vector<Padding> &paddings, Check check) {
    uint64_t i = 0;
    for (const Shape &shape : shapes) {
        for (const Padding &padding : paddings) {
            Case test_case = varied(shape, i++);
            test_case.padding = padding;
            check(test_case);
        }
    }
}

// What a call remembers of the one before it on its thread, to sum groups with the scales that they
// will need, may change its speed alone. Calls check(case, dy_case) for each of these magnitudes
// after each other, and for mixed data.
struct Magnitudes {
    double of_x, of_dy;
    float outlier = 0;
    Kind kind_of_x = Kind::kNormal, kind_of_dy = Kind::kNormal;
    int64_t cancelled = 0;
};
template <typename Check>
void check_one_after_the_other(const std::vector<Magnitudes> &all, Check check) {
    uint64_t seed = 3000;
    for (const Shape &shape : std::vector<Shape>{{40, 9, 3}, {8, 9, 49}, {2, 5, 1100}, {70, 17}, {600, 3}}) {
        const auto check_next = [&](const Magnitudes &magnitudes, bool mixed) {
            Case test_case = varied(shape, seed++), dy_case;
            test_case.mixed = dy_case.mixed = mixed;
            test_case.recipe = {magnitudes.kind_of_x, 0, magnitudes.of_x, seed};
            test_case.outlier = magnitudes.outlier;
            test_case.cancelled = magnitudes.cancelled;
            dy_case.recipe = {magnitudes.kind_of_dy, 0, magnitudes.of_dy, seed + 1};
            check(test_case, dy_case);
        };
        // Each of them comes once after each, itself included, and mixed data after each.
        for (size_t i = 0; i < all.size(); i++) {
            check_next(all[i], false);
            check_next(all[i], false);
            for (size_t j = i + 1; j < all.size(); j++) {
                check_next(all[j], false);
                check_next(all[i], false);
            }
            check_next(all[i], true);
        }
    }
}

// Calls check(case) three times for each shape: mixed data, the last time with eps 0.
template <typename Check>
void check_mixed(const std::vector<Shape> &shapes, Check check) {
    uint64_t seed = 1000;
    for (const Shape &shape : shapes) {
        for (int i = 0; i < 3; i++) {
            Case test_case = varied(shape, seed++);
            test_case.mixed = true;
            test_case.eps = i == 2 ? 0 : 1e-5;
            check(test_case);
        }
    }
}

// Calls check(case) for each S with every (N, C) whose tensor stays under `most` elements, at most
// `cases` of them, others for the next S. Half as many of 16 bits, whose kernels differ from those
// of f32 in conversions alone.
template <typename Check>
void check_positions(const std::vector<int64_t> &list, int64_t most, int cases, Check check) {
    uint64_t i = 0;
    if (tensor_format().type != HNORM_F32) cases = (cases + 1) / 2;
    for (int64_t S : list) {
        int done = 0;
        for (size_t k = 0; k < kSamplesAndChannels.size() && done < cases; k++, i++) {
            const auto [N, C] = kSamplesAndChannels[(i * 5) % kSamplesAndChannels.size()];
            if (N * C * S > most) continue;
            check(varied({N, C, S}, i));
            done++;
        }
    }
}

// The classes of planes for which some shape has at least serial_below elements on every target, so
// that threads share it, and batch norm few groups (fewer than threads) or many (whole blocks of
// them for each).
enum class GroupCount { kFew, kMany };

inline std::set<int> classes_shared(const std::vector<Shape> &shapes, GroupCount count) {
    using namespace hnorm::detail;
    constexpr int64_t kMostThreads = 7;
    std::set<int> result;
    for (const Shape &shape : shapes) {
        const Tensor x(shape);
        bool all = count == GroupCount::kFew ? x.channels() < kMostThreads : x.channels() > 2 * kMostThreads;
        const auto look_at = [&](const Target &target) {
            for (const auto &operation : target.dispatch)
                for (const Dispatch &dispatch : operation) all = all && x.size() >= dispatch.serial_below;
        };
        for (int i = 0; i < hnorm_targets_count; i++) {
            look_at(hnorm_targets[i]);
            for (int k = 0; k < hnorm_targets[i].schedule_count; k++) look_at(hnorm_targets[i].schedules[k]);
        }
        if (all) result.insert(plane_class(x.positions()));
    }
    return result;
}

inline const std::set<int> kAllClasses = {hnorm::detail::kTiny, hnorm::detail::kSmall, hnorm::detail::kLarge};

}  // namespace test
