// The caller's floating-point environment has no say in results, and is after a call what it was before.
#include "problems.h"

#include <cfenv>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace api;
using namespace problems;

namespace {

struct Environment {
    const char *name;
    void (*enter)();
};

const Environment kEnvironments[] = {
    {"round down", [] { std::fesetround(FE_DOWNWARD); }},
    {"round up", [] { std::fesetround(FE_UPWARD); }},
    {"round to zero", [] { std::fesetround(FE_TOWARDZERO); }},
#if defined(__x86_64__)
    {"flush subnormal numbers to zero, and take them for it", [] { _mm_setcsr(_mm_getcsr() | 0x8040); }},
    {"trap on invalid, zero, overflow", [] { feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); }},
#endif
};

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
