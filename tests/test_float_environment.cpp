// The caller's floating-point environment has no say in results, and is after a call what it was
// before.
#include "environments.h"
#include "problems.h"

#include <limits>

using namespace api;
using namespace problems;
using test::Environment;
using test::kEnvironments;

namespace {

// Back to the default one, whatever a test did.
struct Restored {
    ~Restored() { std::fesetenv(FE_DFL_ENV); }
};

}  // namespace

// In ctest each case is a process of its own: the pool's threads begin here.
TEST_CASE("threads that begin while the caller flushes subnormal numbers compute with them afterwards") {
    const Restored restored;
    const Given given = {{8, 64, 28, 28}, HNORM_BATCH, 0, 1e-40f};
    Calls calls(given);
    for (const Environment &environment : kEnvironments) environment.enter();
    calls.run(4);
    std::fesetenv(FE_DFL_ENV);
    const Results expected = calls.run(1);
    for (int i = 0; i < 20; i++) REQUIRE(calls.run(4) == expected);
    REQUIRE(calls.status() == HNORM_OK);
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
}

TEST_CASE("results are the same in every floating-point environment, which a call leaves as it was") {
    const Restored restored;
    for (const Given &given : kGiven) {
        Calls calls(given);
        for (int threads : {1, 3}) {
            const Results expected = calls.run(threads);
            for (const Environment &environment : kEnvironments) {
                environment.enter();
                std::feclearexcept(FE_ALL_EXCEPT);
                const int rounding = std::fegetround();
                const Results found = calls.run(threads);
                const int rounding_after = std::fegetround(), raised = std::fetestexcept(FE_ALL_EXCEPT);
                std::fesetenv(FE_DFL_ENV);
                INFO(environment.name << ", " << given.shape[0] << "x" << given.shape[1] << ", last " << given.last
                                      << ", scale " << given.scale << ", threads " << threads);
                CHECK(calls.status() == HNORM_OK);
                CHECK(rounding_after == rounding);
                CHECK((raised & (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW)) == 0);
                CHECK(found == expected);
            }
        }
    }
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
}

TEST_CASE("arguments are what they are in every floating-point environment") {
    const Restored restored;
    Pair pair({2, 4, 3, 5}, 1), same({2, 4, 3, 5}, 1);
    const auto forward = [](Pair &of, float slope, double eps) {
        const hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_LEAKY_RELU, slope, nullptr};
        return hnorm_forward(&of.in, HNORM_BATCH, nullptr, eps, &post, &of.out, nullptr, nullptr);
    };
    const float subnormal = 1e-40f, not_a_number = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(forward(pair, subnormal, 1e-5) == HNORM_OK);
    const double count = not_a_number;
    double own[3] = {1, 2, 3};
    for (const Environment &environment : kEnvironments) {
        INFO(environment.name);
        bool kept = false;
        REQUIRE(test::in_environment(environment, &kept, [&] { return forward(same, subnormal, 1e-5); }) == HNORM_OK);
        REQUIRE(same_bits(same.y, pair.y));
        const auto refused = [&](const auto &call) {
            REQUIRE(test::in_environment(environment, &kept, call) == HNORM_INVALID_ARGUMENT);
            REQUIRE(kept);
        };
        refused([&] { return forward(same, not_a_number, 1e-5); });
        refused([&] { return forward(same, 0, not_a_number); });
        refused([&] { return hnorm_merge_moments(1, own, own + 1, own + 2, &count, &count, &count); });
        hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
        options.momentum = not_a_number;
        hnorm_layer *layer = nullptr;
        refused([&] { return hnorm_layer_create(4, &options, &layer); });
    }
}

TEST_CASE("a call that fails while it computes leaves the environment as it was, too") {
    const Restored restored;
    Pair pair({8, 64, 28, 28}, 1);
    REQUIRE(hnorm_set_num_threads(4) == HNORM_OK);
    REQUIRE(hnorm_set_parallel_for([](void *, int, hnorm_task, void *) {}, nullptr) == HNORM_OK);  // runs nothing
    for (const Environment &environment : kEnvironments) {
        INFO(environment.name);
        bool kept = false;
        const hnorm_status status = test::in_environment(environment, &kept, [&] {
            return hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr);
        });
        REQUIRE(status == HNORM_INVALID_ARGUMENT);
        REQUIRE(kept);
    }
    REQUIRE(hnorm_set_parallel_for(nullptr, nullptr) == HNORM_OK);
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
}

#if defined(__x86_64__)
TEST_CASE("the control register is after a call what it was before, to the bit") {
    const Restored restored;
    const Given given = {{4, 8, 7, 7}, HNORM_BATCH, 1, 1};
    Calls calls(given);
    for (unsigned control : {0x1f80u, 0x9fc0u, 0x7f80u, 0x1fa1u, 0x1d80u}) {
        _mm_setcsr(control);
        const Results found = calls.run(2);
        const unsigned after = _mm_getcsr();
        _mm_setcsr(0x1f80);
        CHECK(after == control);
    }
}
#endif
