// Wisdom (hnorm/wisdom.h): no choice changes a bit, whatever its target and its values of dispatch.
#include "check_bits.h"

#include <hnorm/wisdom.h>

#include <algorithm>
#include <vector>

#include "wisdom.h"

namespace detail = hnorm::detail;
using namespace test;

namespace {

// Values from nothing to all, and odd ones.
detail::Plan odd_plan(uint64_t seed) {
    Random random(seed);
    detail::Plan plan;
    plan.threads = static_cast<int>(random.index(4));  // 0: all
    for (int i = 0; i < detail::kDispatchFields; i++) {
        const int64_t most = detail::hnorm_dispatch_fields[i].most;
        const int64_t values[] = {0, 1, 7, 97, 1023, 4099, 65'537, 1'000'003, most};
        plan.set |= 1u << i;
        plan.values[i] = std::min(values[random.index(9)], most);
    }
    return plan;
}

// While it lives, calls have the plan.
class Forced {
public:
    explicit Forced(const detail::Plan &plan) : before_(detail::hnorm_known_wisdom) { detail::hnorm_force_plan(&plan); }
    ~Forced() { detail::hnorm_known_wisdom = before_; }

private:
    const detail::Known *before_;
};

const std::vector<Shape> kShapes = {{3, 5, 41, 43}, {9, 20, 14, 14},  {40, 7, 3, 3},   {300, 3, 2, 2},
                                    {65, 130},      {1, 2, 200, 200}, {4, 70, 17, 16}, {2, 3, 512, 3}};

}  // namespace

TEST_CASE("whatever the values of dispatch, forward gives the transcription's bits") {
    hnorm_wisdom_note_count();  // the files are read before
    for (size_t i = 0; i < kShapes.size(); i++) {
        const detail::Plan plan = odd_plan(i);
        const Forced forced(plan);
        check_forward_bits(varied(kShapes[i], i + 40));
    }
}

TEST_CASE("whatever the values of dispatch, backward gives the transcription's bits") {
    hnorm_wisdom_note_count();
    for (size_t i = 0; i < kShapes.size(); i++) {
        const detail::Plan plan = odd_plan(i + 100);
        const Forced forced(plan);
        check_backward_bits(varied(kShapes[i], i + 60));
    }
}

TEST_CASE("whatever target and values are chosen, a call gives the same bits") {
    hnorm_wisdom_note_count();
    hnorm_set_num_threads(3);
    for (size_t i = 0; i < kShapes.size(); i++) {
        Tensor x(kShapes[i]), y(kShapes[i]);
        fill(x, {Kind::kNormal, 3, 1, i});
        const Affine affine(AffineKind::kNone, x, i);
        const auto call = [&] {
            y.clear();
            const MeanAndVariance found = forward(x, HNORM_BATCH, affine, 1e-5, y, {});
            std::vector<double> all = found.mean;
            all.insert(all.end(), found.variance.begin(), found.variance.end());
            for (const float value : y.values()) all.push_back(value);
            return all;
        };
        const std::vector<double> expected = call();
        for (int target = 0; target < detail::hnorm_targets_count; target++) {
            if (hnorm_target_unusable(target)) continue;
            detail::Plan plan = odd_plan(i + 200);
            plan.target = &detail::hnorm_targets[target];
            const Forced forced(plan);
            CHECK(call() == expected);
        }
    }
    hnorm_set_num_threads(0);
}
