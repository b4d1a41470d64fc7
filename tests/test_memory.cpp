// Memory that runs out, at every place where hnorm asks for any.
#include "failing_memory.h"
#include "problems.h"
#include "random_calls.h"

#include <memory>

using namespace api;
using problems::Given;
using problems::kGiven;

namespace {

// Every function's calls on a problem's tensors.
std::unique_ptr<test::Calls> calls_of(const Given &given) {
    test::current_format().channels_last = given.last != 0;
    return std::make_unique<test::Calls>(given.shape, given.group);
}

}  // namespace

TEST_CASE("a function whose memory runs out says so or does without, and loses nothing") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    for (const Given &given : kGiven) {
        const auto calls = calls_of(given);
        for (int threads : {1, 3}) {
            REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
            for (int function = 0; function < test::Calls::kFunctions; function++) {
                REQUIRE(calls->call(function) == HNORM_OK);
                const std::vector<char> expected = calls->written();
                hnorm_shutdown();  // What this call kept for the next is not what a failing one keeps.
                // Threads keep memory of the C library's.
                const auto call = [&] {
                    const hnorm_status status = calls->call(function);
                    hnorm_shutdown();
                    return status;
                };
                failing::with_every_failure(test::Calls::name(function), call,
                                            [&](hnorm_status, long kept) { REQUIRE((threads > 1 || kept == 0)); });
                REQUIRE(calls->call(function) == HNORM_OK);
                REQUIRE(calls->written() == expected);
            }
        }
    }
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
#endif
}

TEST_CASE("a layer whose memory runs out has learnt nothing") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    for (const Given &given : kGiven) {
        const auto calls = calls_of(given);
        hnorm_layer_options options = hnorm_layer_defaults(given.group);
        options.track_running_stats = options.affine = 1;
        hnorm_layer *made = nullptr;
        failing::with_every_failure(
            "layer_create", [&] { return hnorm_layer_create(given.shape[1], &options, &made); },
            [&](hnorm_status status, long) {
                REQUIRE((made != nullptr) == (status == HNORM_OK));
                hnorm_layer_destroy(made);
                made = nullptr;
            });
        Layer layer(given.shape[1], options);
        const int64_t *const batches = hnorm_layer_num_batches_tracked(layer);
        const double *const running = hnorm_layer_running_mean(layer);
        int64_t before = 0;
        double mean = 0;
        failing::with_every_failure(
            "layer_forward", [&] { return hnorm_layer_forward(layer, &calls->x, &calls->y); },
            [&](hnorm_status status, long) {
                REQUIRE(*batches == before + (status == HNORM_OK));
                REQUIRE((status == HNORM_OK || running[0] == mean));
                before = *batches;
                mean = running[0];
            });
        failing::with_every_failure(
            "layer_backward", [&] { return hnorm_layer_backward(layer, &calls->x, &calls->dy, &calls->y); },
            [](hnorm_status, long) {});
    }
#endif
}
