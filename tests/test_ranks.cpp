// Batch norm over ranks: the statistics and gradients of all samples, with the bits of one process
// where ranks begin at chunks' borders.
#include "ranks_training.h"

#include <memory>
#include <utility>

using namespace api;
using namespace ranks;

namespace {

// Splits at borders of chunks, by docs/order.md.
const Splits kExact[] = {
    // small planes: chunks of 8 samples, runs of 32
    {{48, 5, 7, 7}, {{8, 40}, {24, 24}, {32, 16}, {0, 16, 0, 32}, {48}, {8, 8, 8, 8, 8, 8}, {40, 8}, {16, 24, 8}}},
    // 14x14: chunks of 2
    {{20, 20, 14, 14}, {{2, 18}, {10, 10}, {6, 0, 8, 6}}},
    // 28x28: runs of 4
    {{13, 6, 28, 28}, {{4, 9}, {8, 4, 1}}},
    // large planes: runs of 2, and of 1
    {{5, 3, 56, 56}, {{2, 3}, {4, 1}}},
    {{3, 17, 112, 112}, {{1, 2}, {1, 1, 1}}},
    // tiny planes of few samples: chunks of 8
    {{40, 9, 2, 3}, {{8, 32}, {16, 16, 8}}},
    // tiny planes of many: transposed where they lie channels-first
    {{600, 3, 3}, {{256, 344}, {512, 88}, {32, 568}, {96, 160, 344}}},
    // (N, C)
    {{300, 40}, {{32, 268}, {128, 172}, {256, 44}, {64, 0, 96, 140}}},
    {{70, 3}, {{32, 38}, {64, 6}}},
    {{2100, 3}, {{1024, 1076}, {0, 2100}, {1024, 1024, 52}, {2100}}},
    // few channels with 512 positions and more
    {{9, 3, 23, 29}, {{8, 1}}},
    {{70, 2, 23, 29}, {{8, 62}, {32, 38}, {40, 24, 6}}},
};

}  // namespace

TEST_CASE("ranks that begin at borders of chunks have the bits of one process, unequal and empty ones too", "[cpu]") {
    uint32_t seed = 1;
    for (const Splits &exact : kExact) {
        for (const Split &split : exact.splits) {
            for (Data data : kAllData) {
                Options options;
                options.activation = static_cast<hnorm_activation>(seed % 3);
                options.residual = seed % 4 == 0;
                Problem p(exact.shape, data, seed++);
                INFO(describe(exact.shape, split) << ", data " << static_cast<int>(data));
                require_exact(p, options, split);
            }
        }
    }
}

TEST_CASE("counts beyond what a float holds are exact over ranks", "[cpu]") {
    if (test::tensor_format().type != HNORM_F32) return;
    constexpr int64_t kPositions = (1 << 23) + 33;  // of two samples: more than 2^24, and not a multiple of 2
    Elements x({2, 1, kPositions}), y({2, 1, kPositions});
    for (size_t i = 0; i < x.size(); i++) x.set(i, static_cast<float>(i % 1000) * 0.01f);
    Layer alone(1);
    const hnorm_tensor all = x.view(), to = y.view();
    REQUIRE(hnorm_layer_forward(alone, &all, &to) == HNORM_OK);
    Group group(2);
    std::vector<std::unique_ptr<Layer>> layers;
    std::vector<hnorm_status> statuses(2);
    for (int r = 0; r < 2; r++) {
        layers.push_back(std::make_unique<Layer>(1));
        const hnorm_comm comm = group.comm(r);
        REQUIRE(hnorm_layer_set_comm(*layers.back(), &comm) == HNORM_OK);
    }
    on_ranks(2, [&](int r) {
        const hnorm_tensor its_x = samples_of(all, r, 1), its_y = samples_of(to, r, 1);
        statuses[static_cast<size_t>(r)] = hnorm_layer_forward(*layers[static_cast<size_t>(r)], &its_x, &its_y);
    });
    for (size_t r = 0; r < 2; r++) {
        REQUIRE(statuses[r] == HNORM_OK);
        REQUIRE(*hnorm_layer_running_mean(*layers[r]) == *hnorm_layer_running_mean(alone));
        REQUIRE(*hnorm_layer_running_var(*layers[r]) == *hnorm_layer_running_var(alone));
    }
}

TEST_CASE("1,024 ranks have the bits of one process", "[cpu]") {
    Problem p({8192, 3, 4, 4}, Data::kFar, 11);
    Options options;
    options.steps = 1;
    require_exact(p, options, Split(1024, 8));
}

TEST_CASE("channels that are apart have the bits of one process too, few ones as well", "[cpu]") {
    if (test::tensor_format().channels_last) return;
    for (const auto &[shape, split] :
         {std::pair(Shape{1100, 3}, Split{1024, 76}), std::pair(Shape{512, 2}, Split{512}),
          std::pair(Shape{600, 3, 3}, Split{256, 344}), std::pair(Shape{64, 20}, Split{32, 32})}) {
        Shape wide = shape;
        wide[1] *= 2;
        Elements x(wide), dy(wide), y(wide), dx(wide), y_alone(wide), dx_alone(wide);
        fill(x, Data::kSteps, 3), fill(dy, Data::kNormal, 4);
        const auto every_second = [&](Elements &elements) {
            hnorm_tensor tensor = elements.view();
            tensor.shape[1] /= 2;
            tensor.strides[1] *= 2;
            return tensor;
        };
        const hnorm_tensor in = every_second(x), gradient = every_second(dy), out = every_second(y),
                           to = every_second(dx);
        const hnorm_tensor out_alone = every_second(y_alone), to_alone = every_second(dx_alone);
        Layer alone(shape[1]);
        REQUIRE(hnorm_layer_forward(alone, &in, &out_alone) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(alone, &in, &gradient, &to_alone) == HNORM_OK);
        Party party(static_cast<int>(split.size()), shape[1]);
        for (const Outcome &outcome : party.call([&, &part = split](int rank, hnorm_layer *layer) {
                 int64_t begin = 0;
                 for (int r = 0; r < rank; r++) begin += part[static_cast<size_t>(r)];
                 const auto mine = [&](const hnorm_tensor &t) {
                     return samples_of(t, begin, part[static_cast<size_t>(rank)]);
                 };
                 const hnorm_tensor its_x = mine(in), its_y = mine(out), its_dy = mine(gradient), its_dx = mine(to);
                 const hnorm_status forward = hnorm_layer_forward(layer, &its_x, &its_y);
                 return forward == HNORM_OK ? hnorm_layer_backward(layer, &its_x, &its_dy, &its_dx) : forward;
             })) {
            INFO(outcome.message);
            REQUIRE(outcome.status == HNORM_OK);
        }
        INFO(describe(shape, split));
        REQUIRE(same_bits(y, y_alone));
        REQUIRE(same_bits(dx, dx_alone));
        for (int64_t c = 0; c < shape[1]; c++) {
            for (const auto &layer : party.layers) {
                REQUIRE(hnorm_layer_running_var(*layer)[c] == hnorm_layer_running_var(alone)[c]);
                REQUIRE(hnorm_layer_gamma_grad(*layer)[c] == hnorm_layer_gamma_grad(alone)[c]);
            }
        }
    }
}
