// Memory that runs out, at every place where hnorm asks for any.
#include "failing_memory.h"
#include "problems.h"

using namespace api;
using namespace problems;

namespace {

// The tensors and arrays of a problem, made beforehand, and every function on them.
struct Subject {
    explicit Subject(const Given &given)
        : group(given.group),
          shape(given.shape),
          x(size()),
          y(x.size()),
          dy(x.size()),
          dx(x.size()),
          of_channels(static_cast<size_t>(given.shape[1]), 1.5f),
          dgamma(of_channels.size()),
          dbeta(of_channels.size()) {
        fill(x, 3);
        fill(dy, 4);
        const size_t groups =
            group == HNORM_BATCH ? of_channels.size() : of_channels.size() * static_cast<size_t>(shape[0]);
        for (std::vector<double> *list : {&mean, &variance, &count, &m2, &sum_dy, &sum_dy_xmu}) list->resize(groups, 1);
        const auto view = [&](std::vector<float> &values) {
            return hnorm_dense(values.data(), HNORM_F32, given.last, static_cast<int>(shape.size()), shape.data());
        };
        of_x = view(x), of_y = view(y), of_dy = view(dy), of_dx = view(dx);
    }

    struct Function {
        const char *name;
        std::function<hnorm_status()> call;
    };
    std::vector<Function> functions() {
        const hnorm_affine affine = {of_channels.data(), of_channels.data(), 0, 1};
        const hnorm_post_ops_gradient relu = {HNORM_RELU, 0, nullptr, nullptr};
        return {
            {"forward",
             [=] { return hnorm_forward(&of_x, group, &affine, 1e-5, nullptr, &of_y, mean.data(), variance.data()); }},
            {"normalize",
             [=] {
                 return hnorm_normalize(&of_x, group, mean.data(), variance.data(), &affine, 1e-5, nullptr, &of_y);
             }},
            {"moments", [=] { return hnorm_moments(&of_x, group, count.data(), mean.data(), m2.data()); }},
            {"backward",
             [=] {
                 return hnorm_backward(&of_x, &of_dy, group, mean.data(), variance.data(), &affine, 1e-5, &relu, &of_dx,
                                       dgamma.data(), dbeta.data());
             }},
            {"normalize_backward",
             [=] {
                 return hnorm_normalize_backward(&of_x, &of_dy, group, mean.data(), variance.data(), &affine, 1e-5,
                                                 &relu, &of_dx, dgamma.data(), dbeta.data());
             }},
            {"backward_reduce",
             [=] {
                 return hnorm_backward_reduce(&of_x, &of_dy, group, mean.data(), sum_dy.data(), sum_dy_xmu.data());
             }},
            {"backward_apply",
             [=] {
                 return hnorm_backward_apply(&of_x, &of_dy, group, count.data(), mean.data(), variance.data(),
                                             sum_dy.data(), sum_dy_xmu.data(), &affine, 1e-5, &of_dx);
             }},
        };
    }

    hnorm_group group;
    std::vector<int64_t> shape;
    mutable std::vector<float> x, y, dy, dx, of_channels, dgamma, dbeta;
    mutable std::vector<double> mean, variance, count, m2, sum_dy, sum_dy_xmu;
    hnorm_tensor of_x, of_y, of_dy, of_dx;

private:
    size_t size() const {
        size_t product = 1;
        for (int64_t extent : shape) product *= static_cast<size_t>(extent);
        return product;
    }
};

}  // namespace

TEST_CASE("a function whose memory runs out says so or does without, and loses nothing") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    for (const Given &given : kGiven) {
        Subject subject(given);
        for (int threads : {1, 3}) {
            REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
            for (const Subject::Function &function : subject.functions()) {
                REQUIRE(function.call() == HNORM_OK);
                const std::vector<float> y = subject.y, dx = subject.dx;
                // Threads keep memory of the C library's.
                const auto call = [&] {
                    const hnorm_status status = function.call();
                    hnorm_shutdown();
                    return status;
                };
                failing::with_every_failure(function.name, call,
                                            [&](hnorm_status, long kept) { REQUIRE((threads > 1 || kept == 0)); });
                REQUIRE(function.call() == HNORM_OK);
                REQUIRE(same_bits(subject.y, y));
                REQUIRE(same_bits(subject.dx, dx));
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
        Subject subject(given);
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
            "layer_forward", [&] { return hnorm_layer_forward(layer, &subject.of_x, &subject.of_y); },
            [&](hnorm_status status, long) {
                REQUIRE(*batches == before + (status == HNORM_OK));
                REQUIRE((status == HNORM_OK || running[0] == mean));
                before = *batches;
                mean = running[0];
            });
        failing::with_every_failure(
            "layer_backward",
            [&] { return hnorm_layer_backward(layer, &subject.of_x, &subject.of_dy, &subject.of_dx); },
            [](hnorm_status, long) {});
    }
#endif
}
