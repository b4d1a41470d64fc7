// The promises of hnorm/openmp.h.
#include "pools.h"

#include <hnorm/openmp.h>
#include <omp.h>

using namespace pools;

namespace {

constexpr hnorm_parallel_for kCounted = counted<hnorm_openmp_parallel_for>;

// How many of so many computations, in a parallel region of the program's own, have other bits.
int wrong_inside_a_region() {
    int wrong = 0;
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
    for (int i = 0; i < 8; i++) wrong += !api::same_bits(compute(), expected());
    return wrong;
}

}  // namespace

TEST_CASE("the threads of OpenMP give the bits of hnorm's own") { require_same_bits(kCounted, nullptr); }

TEST_CASE("OpenMP runs each task once") { require_each_task_once(hnorm_openmp_parallel_for, nullptr); }

TEST_CASE("tasks run on the threads of OpenMP") {
    const int before = omp_get_max_threads();
    omp_set_num_threads(3);
    std::atomic<int> elsewhere{0};
    hnorm_openmp_parallel_for(
        nullptr, 3,
        [](void *argument, int i) {
            const bool here = omp_get_num_threads() == 3 && omp_get_thread_num() == i;
            *static_cast<std::atomic<int> *>(argument) += !here;
        },
        &elsewhere);
    omp_set_num_threads(before);
    REQUIRE(elsewhere == 0);
}

TEST_CASE("hnorm may be called inside a parallel region of OpenMP") {
    const Settings restore;
    expected();
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    REQUIRE(hnorm_set_parallel_for(kCounted, nullptr) == HNORM_OK);
    loops = 0;
    const int levels = omp_get_max_active_levels();
    for (int allowed : {1, 2}) {
        INFO(allowed << " levels of regions with several threads");
        omp_set_max_active_levels(allowed);
        REQUIRE(wrong_inside_a_region() == 0);
    }
    omp_set_max_active_levels(levels);
    REQUIRE(loops > 0);
}
