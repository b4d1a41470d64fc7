// Batch norm over ranks, however the samples are split: all ranks have the same statistics, a rank
// may have no samples, and gradients may be those of its own.
#include "ranks_training.h"

#include <cmath>

using namespace api;
using namespace ranks;

TEST_CASE("whatever the split, all ranks have the same statistics and gradients, and they are accurate", "[cpu]") {
    const Splits kAny[] = {{{11, 5, 7, 7}, {{1, 10}, {5, 6}, {0, 3, 8}}},
                           {{13, 6, 28, 28}, {{3, 10}, {5, 5, 3}}},
                           {{530, 3}, {{100, 430}, {265, 265}}},  // few channels along samples
                           {{601, 4, 5}, {{300, 301}}},
                           {{7, 3, 64, 65}, {{3, 4}, {1, 5, 1}}},
                           {{31, 40}, {{1, 30}, {15, 16}}}};
    uint32_t seed = 1;
    for (const Splits &any : kAny) {
        for (const Split &split : any.splits) {
            Problem p(any.shape, Data::kNormal, seed++);
            INFO(describe(any.shape, split));
            const Options options;
            const Trained expected = alone(p, options);
            Trained together = outputs(any.shape);
            const std::vector<Trained> results = on_split(p, options, split, &together);
            for (const Trained &result : results) require_same_layer(result, results[0]);
            const double unit = std::ldexp(1.0, 1 - test::tensor_format().digits());
            const auto near = [&](double a, double b, double scale) {
                return std::fabs(a - b) <= std::max(2e-6, 2 * unit) * std::max(scale, std::fabs(b));
            };
            for (size_t i = 0; i < expected.y.size(); i++) {
                REQUIRE(near(together.y[i], expected.y[i], 1));
                REQUIRE(near(together.dx[i], expected.dx[i], 4));
            }
            const auto elements = static_cast<double>(expected.y.size()) / static_cast<double>(p.channels());
            for (size_t c = 0; c < expected.running_mean.size(); c++) {
                REQUIRE(near(results[0].running_mean[c], expected.running_mean[c], 1));
                REQUIRE(near(results[0].running_var[c], expected.running_var[c], 1));
                REQUIRE(near(results[0].gamma_grad[c], expected.gamma_grad[c], std::sqrt(elements) * 4));
            }
        }
    }
}

TEST_CASE("an empty batch on a rank, and one value on each, are valid", "[cpu]") {
    Problem p({3, 4}, Data::kNormal, 5);
    for (const Split &split : {Split{1, 1, 1}, Split{0, 3}, Split{3, 0, 0}, Split{1, 0, 2}}) {
        Trained together = outputs(p.shape());
        const std::vector<Trained> results = on_split(p, {}, split, &together);
        for (const Trained &result : results) {
            require_same_layer(result, results[0]);
            REQUIRE(result.steps == 2);
        }
    }
    require_exact(p, {}, {3, 0});
    require_exact(p, {}, {0, 3});
}

TEST_CASE("gradients of a rank are those of its own samples, and their sum is that of all", "[cpu]") {
    Problem p({16, 5, 7, 7}, Data::kNormal, 3);
    Options options;
    options.steps = 1;
    const Trained expected = alone(p, options);
    Party party(2, 5);
    std::vector<Trained> results(2, outputs({8, 5, 7, 7}));
    for (int r = 0; r < 2; r++) {
        hnorm_comm comm = party.group.comm(r);
        comm.gradients = HNORM_GRADIENTS_OF_RANK;
        REQUIRE(hnorm_layer_set_comm(*party.layers[static_cast<size_t>(r)], &comm) == HNORM_OK);
    }
    for (const Outcome &outcome : party.call([&](int rank, hnorm_layer *layer) {
             return train(layer, p, options, rank == 0 ? 0 : 8, 8, &results[static_cast<size_t>(rank)]);
         }))
        REQUIRE(outcome.status == HNORM_OK);
    for (size_t c = 0; c < 5; c++) {
        REQUIRE(results[0].gamma_grad[c] != results[1].gamma_grad[c]);
        REQUIRE(std::fabs(results[0].gamma_grad[c] + results[1].gamma_grad[c] - expected.gamma_grad[c]) < 1e-4);
        REQUIRE(std::fabs(results[0].beta_grad[c] + results[1].beta_grad[c] - expected.beta_grad[c]) < 1e-4);
    }
}
