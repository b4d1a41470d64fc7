// Batch norm over ranks: which calls ask the other ranks, in how many rounds, and how many bytes
// they send.
#include "format.h"
#include "ranks_party.h"

#include <memory>

using namespace api;
using namespace ranks;

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
