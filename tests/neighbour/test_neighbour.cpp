// A program with hnorm and with Halide code of its own, which has its own runtime: neither knows of
// the other.
#include "catch.hpp"
#include "kernel_buffers.h"
#include "neighbour.h"

#include <hnorm/hnorm.h>

#include <HalideRuntime.h>

#include <atomic>
#include <string>
#include <vector>

using test::Buffer;

// What hnorm's runtime calls where something fails in Halide's code.
extern "C" void hnorm_halide_error(void *context, const char *message);

namespace {

std::atomic<int> neighbours_errors{0}, neighbours_loops{0};
std::string neighbours_message;

void neighbours_handler(void *, const char *message) {
    neighbours_errors++;
    neighbours_message = message;
}

int neighbours_loop(void *context, halide_task_t task, int min, int size, uint8_t *closure) {
    neighbours_loops++;
    return halide_default_do_par_for(context, task, min, size, closure);
}

void forward(int64_t positions) {
    std::vector<float> x(static_cast<size_t>(64 * positions), 1), y(x.size());
    const int64_t shape[] = {1, 64, positions};
    const hnorm_tensor in = hnorm_channels_first(x.data(), 3, shape), out = hnorm_channels_first(y.data(), 3, shape);
    const hnorm_status status = hnorm_forward(&in, HNORM_BATCH, nullptr, 1e-5, nullptr, &out, nullptr, nullptr);
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
    REQUIRE(y[0] == 0);
}

int failing_neighbour() {
    std::vector<float> x(8), y(8);
    Buffer in(x.data(), test::kFloat, {4}, {1}), out(y.data(), test::kFloat, {8}, {1});  // reads beyond its input
    return neighbour(&in.raw, &out.raw);
}

void run_neighbour() {
    std::vector<float> x(1000, 1), y(1000);
    Buffer in(x.data(), test::kFloat, {1000}, {1}), out(y.data(), test::kFloat, {1000}, {1});
    REQUIRE(neighbour(&in.raw, &out.raw) == 0);
    REQUIRE(y[999] == 2);
}

}  // namespace

TEST_CASE("hnorm and another Halide library each keep their error handler") {
    halide_set_error_handler(neighbours_handler);
    forward(64);  // hnorm installs its own
    neighbours_errors = 0;
    hnorm_halide_error(nullptr, "of hnorm");  // Halide's default handler would abort
    REQUIRE(neighbours_errors == 0);
    REQUIRE(failing_neighbour() != 0);
    REQUIRE(neighbours_errors == 1);
    REQUIRE(neighbours_message.find("in") != std::string::npos);
    REQUIRE(halide_set_error_handler(nullptr) == neighbours_handler);
}

TEST_CASE("hnorm and another Halide library each keep their number of threads and their parallel loop") {
    halide_set_num_threads(5);
    const auto its_own = halide_set_custom_do_par_for(neighbours_loop);
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    neighbours_loops = 0;
    forward(4096);
    REQUIRE(neighbours_loops == 0);
    run_neighbour();
    REQUIRE(neighbours_loops == 1);
    REQUIRE(halide_set_custom_do_par_for(its_own) == neighbours_loop);
    REQUIRE(halide_set_num_threads(0) == 5);
    REQUIRE(hnorm_get_num_threads() == 3);
    hnorm_set_num_threads(0);
}
