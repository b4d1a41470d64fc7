// Batch norm over ranks: the statistics and gradients of all samples, with the bits of one process
// where ranks begin at chunks' borders.
#include "machine.h"
#include "ranks_party.h"

#include <memory>
#include <random>

using namespace api;
using namespace ranks;

namespace {

using Shape = std::vector<int64_t>;
using Split = std::vector<int64_t>;  // samples of each rank

enum class Data { kNormal, kFar, kTiny, kHuge, kConstant, kSteps };
constexpr Data kAllData[] = {Data::kNormal, Data::kFar, Data::kTiny, Data::kHuge, Data::kConstant, Data::kSteps};

// Channels of different kinds, so that some are summed again and others not.
void fill(Elements &x, Data data, uint32_t seed) {
    const int64_t channels = x.shape()[1];
    const size_t positions = x.size() / static_cast<size_t>(std::max<int64_t>(x.shape()[0] * channels, 1));
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const bool half = test::tensor_format().type == HNORM_F16;
    for (size_t i = 0; i < x.size(); i++) {
        const size_t channel = i / positions % static_cast<size_t>(channels);
        const double value = normal(random);
        const bool other = channel % 3 == 1;
        double result = value;
        switch (data) {
        case Data::kNormal: break;
        // Far from what the probe sees: a bright part of the last samples.
        case Data::kFar: result = i > x.size() / 10 * 9 && other ? value + 500 : value; break;
        case Data::kTiny: result = other ? value * (half ? 1e-6 : 1e-25) : value; break;
        case Data::kHuge: result = other ? value * (half ? 1e4 : 1e25) : value; break;
        case Data::kConstant: result = other ? 3.25 : value; break;
        case Data::kSteps: result = other ? double(i > x.size() / 2) : value; break;
        }
        x.set(i, static_cast<float>(result));
    }
}

// What ten steps of a layer leave.
struct Trained {
    Elements y, dx, dresidual;
    std::vector<float> gamma_grad, beta_grad;
    std::vector<double> running_mean, running_var;
    int64_t steps = 0;
};

struct Problem {
    Problem(const Shape &shape, Data data, uint32_t seed) : x(shape), dy(shape), residual(shape), shape_(shape) {
        fill(x, data, seed);
        fill(dy, data == Data::kFar ? Data::kNormal : data, seed + 1);
        fill(residual, Data::kNormal, seed + 2);
    }
    const Shape &shape() const { return shape_; }
    int64_t channels() const { return shape_[1]; }
    Elements x, dy, residual;

private:
    Shape shape_;
};

struct Options {
    hnorm_activation activation = HNORM_NO_ACTIVATION;
    bool residual = false;
    int steps = 2;
};

hnorm_status train(hnorm_layer *layer, Problem &p, const Options &options, int64_t begin, int64_t count, Trained *t) {
    const hnorm_tensor x = samples_of(p.x.view(), begin, count), dy = samples_of(p.dy.view(), begin, count);
    const hnorm_tensor residual = samples_of(p.residual.view(), begin, count);
    const hnorm_tensor y = t->y.view(), dx = t->dx.view(), dresidual = t->dresidual.view();
    for (int step = 0; step < options.steps; step++) {
        const hnorm_status forward =
            options.residual ? hnorm_layer_forward_add(layer, &x, &residual, &y) : hnorm_layer_forward(layer, &x, &y);
        if (forward != HNORM_OK) return forward;
        const hnorm_status backward = options.residual ? hnorm_layer_backward_add(layer, &x, &y, &dy, &dx, &dresidual)
                                                       : hnorm_layer_backward(layer, &x, &dy, &dx);
        if (backward != HNORM_OK) return backward;
        float *const gamma = hnorm_layer_gamma(layer), *const beta = hnorm_layer_beta(layer);
        for (int64_t c = 0; c < p.channels(); c++) {
            gamma[c] = 1 + 0.125f * static_cast<float>((c + step) % 7);
            beta[c] = 0.25f * static_cast<float>(c % 5 - step);
        }
    }
    const auto channels = static_cast<size_t>(p.channels());
    t->gamma_grad.assign(hnorm_layer_gamma_grad(layer), hnorm_layer_gamma_grad(layer) + channels);
    t->beta_grad.assign(hnorm_layer_beta_grad(layer), hnorm_layer_beta_grad(layer) + channels);
    t->running_mean.assign(hnorm_layer_running_mean(layer), hnorm_layer_running_mean(layer) + channels);
    t->running_var.assign(hnorm_layer_running_var(layer), hnorm_layer_running_var(layer) + channels);
    t->steps = *hnorm_layer_num_batches_tracked(layer);
    return HNORM_OK;
}

hnorm_layer_options layer_options(const Options &options) {
    hnorm_layer_options result = hnorm_layer_defaults(HNORM_BATCH);
    result.activation = options.activation;
    return result;
}

Trained outputs(const Shape &shape) { return {Elements(shape), Elements(shape), Elements(shape), {}, {}, {}, {}, 0}; }

Trained alone(Problem &p, const Options &options) {
    Layer layer(p.channels(), layer_options(options));
    Trained t = outputs(p.shape());
    const hnorm_status status = train(layer, p, options, 0, p.shape()[0], &t);
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
    return t;
}

// Each rank's own layer and results; y, dx and dresidual are those of all together, in *all.
std::vector<Trained> on_split(Problem &p, const Options &options, const Split &split, Trained *together) {
    const int count = static_cast<int>(split.size());
    Group group(count);
    Trained all = outputs(p.shape());
    std::vector<Trained> results(split.size(), outputs({0, p.channels()}));
    std::vector<hnorm_status> statuses(split.size(), HNORM_OK);
    std::vector<std::string> messages(split.size());
    on_ranks(count, [&](int rank) {
        const auto r = static_cast<size_t>(rank);
        int64_t begin = 0;
        for (size_t i = 0; i < r; i++) begin += split[i];
        hnorm_layer *layer = nullptr;
        const hnorm_layer_options its_options = layer_options(options);
        const hnorm_comm comm = group.comm(rank);
        statuses[r] = hnorm_layer_create(p.channels(), &its_options, &layer);
        if (statuses[r] == HNORM_OK) statuses[r] = hnorm_layer_set_comm(layer, &comm);
        Shape its_shape = p.shape();
        its_shape[0] = split[r];
        Trained own = outputs(its_shape);
        if (statuses[r] == HNORM_OK) statuses[r] = train(layer, p, options, begin, split[r], &own);
        messages[r] = hnorm_last_error();
        const auto take = [&](Elements &to, Elements &from) {
            const hnorm_tensor part = samples_of(to.view(), begin, split[r]);
            std::copy(from.bytes().begin(), from.bytes().end(), static_cast<char *>(part.data));
        };
        take(all.y, own.y), take(all.dx, own.dx), take(all.dresidual, own.dresidual);
        results[r].gamma_grad = own.gamma_grad, results[r].beta_grad = own.beta_grad;
        results[r].running_mean = own.running_mean, results[r].running_var = own.running_var;
        results[r].steps = own.steps;
        hnorm_layer_destroy(layer);
    });
    for (size_t r = 0; r < split.size(); r++) {
        INFO("rank " << r << ": " << messages[r]);
        REQUIRE(statuses[r] == HNORM_OK);
    }
    *together = all;
    return results;
}

void require_same_layer(const Trained &a, const Trained &b) {
    REQUIRE(a.running_mean == b.running_mean);
    REQUIRE(a.running_var == b.running_var);
    REQUIRE(a.steps == b.steps);
    REQUIRE(same_bits(a.gamma_grad, b.gamma_grad));
    REQUIRE(same_bits(a.beta_grad, b.beta_grad));
}

// All ranks' layers are those of one process, and so is what they have written.
void require_exact(Problem &p, const Options &options, const Split &split) {
    const Trained expected = alone(p, options);
    Trained together = outputs(p.shape());
    for (const Trained &result : on_split(p, options, split, &together)) require_same_layer(result, expected);
    REQUIRE(same_bits(together.y, expected.y));
    REQUIRE(same_bits(together.dx, expected.dx));
    if (options.residual) REQUIRE(same_bits(together.dresidual, expected.dresidual));
}

std::string describe(const Shape &shape, const Split &split) {
    std::string text = "shape";
    for (int64_t extent : shape) text += " " + std::to_string(extent);
    text += ", split";
    for (int64_t samples : split) text += " " + std::to_string(samples);
    return text;
}

// Splits at borders of chunks, by docs/order.md.
struct Exact {
    Shape shape;
    std::vector<Split> splits;
};
const Exact kExact[] = {
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
    for (const Exact &exact : kExact) {
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

TEST_CASE("whatever the split, all ranks have the same statistics and gradients, and they are accurate", "[cpu]") {
    const Exact kAny[] = {{{11, 5, 7, 7}, {{1, 10}, {5, 6}, {0, 3, 8}}},
                          {{13, 6, 28, 28}, {{3, 10}, {5, 5, 3}}},
                          {{530, 3}, {{100, 430}, {265, 265}}},  // few channels along samples
                          {{601, 4, 5}, {{300, 301}}},
                          {{7, 3, 64, 65}, {{3, 4}, {1, 5, 1}}},
                          {{31, 40}, {{1, 30}, {15, 16}}}};
    uint32_t seed = 1;
    for (const Exact &any : kAny) {
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

TEST_CASE("evaluation asks no other rank", "[cpu]") {
    Party party(2);
    hnorm_layer *const layer = *party.layers[0];
    REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
    REQUIRE(forward_of(layer, {4, 3, 5}) == HNORM_OK);
    REQUIRE(party.group.rounds(0) == 0);
}

TEST_CASE("a forward over ranks takes three rounds and a backward two, of the sizes in docs/ranks.md", "[cpu]") {
    if (test::tensor_format().type != HNORM_F32) return;
    Party party(2, 64);
    Pair of_rank[] = {Pair({2, 64, 112, 112}), Pair({2, 64, 112, 112})};
    int rounds = 0;
    size_t bytes = 0;
    // Calls both ranks: how many rounds that took, and how many bytes rank 0 sent.
    const auto took = [&](hnorm_status (*step)(hnorm_layer *, Pair &)) {
        const int rounds_before = party.group.rounds(0);
        const size_t bytes_before = party.group.bytes(0);
        for (const Outcome &outcome :
             party.call([&](int rank, hnorm_layer *layer) { return step(layer, of_rank[rank]); })) {
            INFO(outcome.message);
            REQUIRE(outcome.status == HNORM_OK);
        }
        rounds = party.group.rounds(0) - rounds_before;
        bytes = party.group.bytes(0) - bytes_before;
    };
    const auto forward = [](hnorm_layer *layer, Pair &pair) { return hnorm_layer_forward(layer, &pair.in, &pair.out); };
    const auto backward = [](hnorm_layer *layer, Pair &pair) {
        return hnorm_layer_backward(layer, &pair.in, &pair.in, &pair.out);  // x for dy
    };
    took(forward);
    // with others, in which all ranks say that they have memory for longer messages
    REQUIRE((rounds == 4 || rounds == 5));
    took(forward);
    REQUIRE(rounds == 3);
    // C W rows floats and 2 C sums doubles: 24 of the 48 rows lie on rank 0, and 4 runs.
    REQUIRE(bytes == 64 + (8 + 4 * 64 * 4 * 24) + (8 + 16 * 64 * 4));
    took(backward);
    took(backward);
    REQUIRE(rounds == 2);
    REQUIRE(bytes == 64 + (8 + 16 * 64 * 4));
    // A channel whose dy is 0 has to be measured: once in a round of its own, then at once.
    for (Pair &pair : of_rank)
        for (size_t i = 0; i < pair.y.size(); i++)
            if (i / (112 * 112) % 64 == 5) pair.y.set(i, 0);
    const auto of_dead = [](hnorm_layer *layer, Pair &pair) {
        Elements dx({2, 64, 112, 112});
        const hnorm_tensor to = dx.view();
        return hnorm_layer_backward(layer, &pair.in, &pair.out, &to);
    };
    took(of_dead);
    REQUIRE(rounds >= 3);
    took(of_dead);
    REQUIRE(rounds == 2);
    REQUIRE(bytes == 64 + (8 + 32 * 64 * 4));
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

TEST_CASE("backward is that of the latest forward that is remembered: of all ranks, or of this one", "[cpu]") {
    for (int tracks : {0, 1}) {
        hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
        options.track_running_stats = tracks;
        Group group(2);
        std::vector<std::unique_ptr<Layer>> layers;
        for (int r = 0; r < 2; r++) {
            layers.push_back(std::make_unique<Layer>(3, options));
            const hnorm_comm comm = group.comm(r);
            REQUIRE(hnorm_layer_set_comm(*layers.back(), &comm) == HNORM_OK);
        }
        std::vector<std::vector<hnorm_status>> statuses(2);
        std::vector<int> rounds(2);
        on_ranks(2, [&](int rank) {
            hnorm_layer *const layer = *layers[static_cast<size_t>(rank)];
            std::vector<hnorm_status> &its = statuses[static_cast<size_t>(rank)];
            Pair pair({4, 3, 5}, static_cast<uint32_t>(rank + 1)), empty({0, 3, 5});
            Elements dx({4, 3, 5});
            const hnorm_tensor to = dx.view();
            const auto backward = [&] { its.push_back(hnorm_layer_backward(layer, &pair.in, &pair.out, &to)); };
            // Evaluated, then trained on nothing: backward is that of the evaluation, which asks no
            // other rank.
            hnorm_layer_train(layer, 0);
            its.push_back(hnorm_layer_forward(layer, &pair.in, &pair.out));
            hnorm_layer_train(layer, 1);
            its.push_back(hnorm_layer_forward(layer, &empty.in, &empty.out));
            const int before = group.rounds(rank);
            backward();
            rounds[static_cast<size_t>(rank)] = group.rounds(rank) - before;
            // Trained, then evaluated on nothing: backward is that of all ranks.
            its.push_back(hnorm_layer_forward(layer, &pair.in, &pair.out));
            hnorm_layer_train(layer, 0);
            its.push_back(hnorm_layer_forward(layer, &empty.in, &empty.out));
            hnorm_layer_zero_grad(layer);
            backward();
        });
        for (int r = 0; r < 2; r++) {
            for (hnorm_status status : statuses[static_cast<size_t>(r)]) REQUIRE(status == HNORM_OK);
            REQUIRE(rounds[static_cast<size_t>(r)] == 0);
        }
        for (int64_t c = 0; c < 3; c++)
            REQUIRE(hnorm_layer_gamma_grad(*layers[0])[c] == hnorm_layer_gamma_grad(*layers[1])[c]);
    }
}
