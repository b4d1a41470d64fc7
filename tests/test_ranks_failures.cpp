// Batch norm over ranks: what happens where a rank fails, calls something else or does not come.
// The failures are those that users of such layers report.
#include "ranks_party.h"

#include <hnorm/context.h>

#include <atomic>
#include <cstdlib>

using namespace api;
using namespace ranks;

TEST_CASE("where all ranks are empty nothing changes, and one value on all ranks together is refused", "[cpu]") {
    Party party(3);
    for (const Outcome &outcome : party.call([](int, hnorm_layer *layer) { return forward_of(layer, {0, 3, 4}); }))
        REQUIRE(outcome.status == HNORM_OK);
    for (const auto &layer : party.layers) {
        REQUIRE(*hnorm_layer_num_batches_tracked(*layer) == 0);
        REQUIRE(hnorm_layer_running_var(*layer)[0] == 1);
    }
    for (const Outcome &outcome :
         party.call([](int rank, hnorm_layer *layer) { return forward_of(layer, {rank == 1 ? 1 : 0, 3}); })) {
        REQUIRE(outcome.status == HNORM_INVALID_ARGUMENT);
        REQUIRE(outcome.message.find("more than 1 value per channel") != std::string::npos);
    }
    party.require_goes_on();
}

TEST_CASE("a rank that calls something else ends the call on all ranks", "[cpu]") {
    Party party(3);
    party.require_goes_on();
    // Rank 1 skips a forward, and is at its backward.
    const std::vector<Outcome> outcomes = party.call([](int rank, hnorm_layer *layer) {
        Pair pair({4, 3, 5});
        Elements dx({4, 3, 5});
        const hnorm_tensor to = dx.view();
        if (rank != 1) return hnorm_layer_forward(layer, &pair.in, &pair.out);
        return hnorm_layer_backward(layer, &pair.in, &pair.out, &to);
    });
    require_all_failed(outcomes, -1, HNORM_OK,
                       {"rank 1 calls a backward of the layer with tag 0, its call 2", "rank 0 a forward"});
    party.require_goes_on();
}

TEST_CASE("a rank that calls another layer ends the call on all ranks", "[cpu]") {
    Party party(2);
    Layer other(3);
    hnorm_comm comm = party.group.comm(1);
    comm.tag = 12;
    REQUIRE(hnorm_layer_set_comm(other, &comm) == HNORM_OK);
    const std::vector<Outcome> outcomes = party.call([&](int rank, hnorm_layer *layer) {
        return forward_of(rank == 1 ? static_cast<hnorm_layer *>(other) : layer, {4, 3, 5});
    });
    require_all_failed(outcomes, -1, HNORM_OK, {"rank 1 calls a forward of the layer with tag 12"});
    party.begin_anew();
    party.require_goes_on();
}

TEST_CASE("a rank whose arguments are refused ends the call on all ranks", "[cpu]") {
    Party party(3);
    require_all_failed(
        party.call([](int rank, hnorm_layer *layer) { return forward_of(layer, {4, rank == 2 ? 4 : 3, 5}); }), 2,
        HNORM_INVALID_ARGUMENT, {"rank 2 has failed with HNORM_INVALID_ARGUMENT"});
    party.require_goes_on();
}

TEST_CASE("a rank whose memory runs out ends the call on all ranks, wherever that happens, and the next call goes on",
          "[cpu]") {
    Party party(3, 300);
    hnorm_context *context = nullptr;
    REQUIRE(hnorm_context_create(&context) == HNORM_OK);
    static std::atomic<int> left{0};  // allocations until one fails
    const hnorm_allocator failing =
        hnorm_allocator_of([](void *, size_t bytes) { return --left == 0 ? nullptr : std::malloc(bytes); },
                           [](void *, void *memory) { std::free(memory); }, nullptr);
    REQUIRE(hnorm_context_set_allocator(context, &failing) == HNORM_OK);
    REQUIRE(hnorm_context_set_num_threads(context, 1) == HNORM_OK);
    REQUIRE(hnorm_layer_set_context(*party.layers[1], context) == HNORM_OK);
    const std::vector<int64_t> shape = {16, 300, 5};
    int failures = 0;
    for (int at = 1;; at++) {
        left = at;
        bool failed = false;
        const std::vector<Outcome> outcomes = party.call([&](int, hnorm_layer *layer) {
            Pair pair(shape);
            Elements dx(shape);
            const hnorm_tensor to = dx.view();
            const hnorm_status forward = hnorm_layer_forward(layer, &pair.in, &pair.out);
            // dy, in which channels need the rounds of magnitudes and of scales too
            for (size_t i = 0; i < pair.y.size(); i++) {
                const size_t channel = i / 5 % 300;
                if (channel == 7 || channel == 9) pair.y.set(i, channel == 7 ? 0 : 1e30f * pair.y[i]);
            }
            const hnorm_status backward = hnorm_layer_backward(layer, &pair.in, &pair.out, &to);
            return forward == HNORM_OK ? backward : forward;
        });
        for (const Outcome &outcome : outcomes) failed = failed || outcome.status != HNORM_OK;
        INFO("allocation " << at << ": " << outcomes[0].message << "; " << outcomes[1].message);
        if (failed) {
            // After the last round a rank fails alone. Its backward, which then has no forward,
            // tells the others.
            REQUIRE(outcomes[1].status == HNORM_OUT_OF_MEMORY);
            REQUIRE(outcomes[0].status == outcomes[2].status);
            REQUIRE((outcomes[0].status == HNORM_COMM_ERROR || outcomes[0].status == HNORM_OK));
            failures++;
        }
        if (left > 0) break;  // it asks for no more
        party.begin_anew();
        REQUIRE(at < 1000);
    }
    REQUIRE(failures > 3);
    left = 0;  // none fails any more
    party.require_goes_on();
    REQUIRE(hnorm_layer_set_context(*party.layers[1], nullptr) == HNORM_OK);
    hnorm_context_destroy(context);
}

TEST_CASE("ranks with other channels, positions or types end the call on all ranks", "[cpu]") {
    Party party(2);
    require_all_failed(
        party.call([](int rank, hnorm_layer *layer) { return forward_of(layer, {4, 3, rank == 1 ? 6 : 5}); }), -1,
        HNORM_OK, {"x of rank 1 has 6 positions a plane, but that of rank 0 5"});
    require_all_failed(party.call([](int rank, hnorm_layer *layer) {
        Elements x({4, 3, 5}, 1), y({4, 3, 5});
        hnorm_tensor in = x.view(), out = y.view();
        if (rank == 1) in.type = out.type = in.type == HNORM_BF16 ? HNORM_F16 : HNORM_BF16;
        return hnorm_layer_forward(layer, &in, &out);
    }),
                       -1, HNORM_OK, {"x of rank 1 has 3 channels and type"});
    require_all_failed(party.call([](int rank, hnorm_layer *layer) {
        Elements x({4, 3, 5}, 1), y({4, 3, 5});
        const int64_t shape[] = {4, 3, 5};
        const hnorm_type type = test::tensor_format().type;
        const hnorm_tensor in = hnorm_dense(x.data(), type, rank, 3, shape),
                           out = hnorm_dense(y.data(), type, rank, 3, shape);
        return hnorm_layer_forward(layer, &in, &out);
    }),
                       -1, HNORM_OK, {"x of rank 1 is channels-last, but that of rank 0 is not"});
    party.require_goes_on();

    Party others(2);
    others.layers[1] = std::make_unique<Layer>(5);
    const hnorm_comm comm = others.group.comm(1);
    REQUIRE(hnorm_layer_set_comm(*others.layers[1], &comm) == HNORM_OK);
    require_all_failed(
        others.call([](int rank, hnorm_layer *layer) { return forward_of(layer, {4, rank == 1 ? 5 : 3, 5}); }), -1,
        HNORM_OK, {"x of rank 1 has 5 channels"});
}

TEST_CASE("a rank that does not come ends the call on the others, which say so", "[cpu]") {
    Party party(3, 3, std::chrono::milliseconds(200));
    const std::vector<Outcome> outcomes =
        party.call([](int rank, hnorm_layer *layer) { return rank == 1 ? HNORM_OK : forward_of(layer, {4, 3, 5}); });
    for (size_t r : {size_t(0), size_t(2)}) {
        REQUIRE(outcomes[r].status == HNORM_COMM_ERROR);
        REQUIRE(outcomes[r].message.find("the all_gather of rank " + std::to_string(r) +
                                         " of 3 has failed: it returned " + std::to_string(kTooLate)) !=
                std::string::npos);
    }
    for (const auto &layer : party.layers) REQUIRE(*hnorm_layer_num_batches_tracked(*layer) == 0);
}

TEST_CASE("mistakes of hnorm_layer_set_comm are refused and leave the layer", "[cpu]") {
    Group group(2);
    Layer layer(3);
    const auto refused = [&](const hnorm_comm &comm, const std::string &words) {
        require_refused(hnorm_layer_set_comm(layer, &comm), HNORM_INVALID_ARGUMENT, {"hnorm_layer_set_comm: " + words});
    };
    hnorm_comm comm = group.comm(0);
    comm.ranks = 0;
    refused(comm, "comm.ranks is 0");
    comm = group.comm(0);
    comm.rank = 2;
    refused(comm, "comm.rank is 2: it must be 0 to 1");
    comm = group.comm(0);
    comm.all_gather = nullptr;
    refused(comm, "comm.all_gather is null");
    comm = group.comm(0);
    comm.gradients = static_cast<hnorm_gradients>(2);
    refused(comm, "comm.gradients is 2");
    comm = group.comm(0);
    comm.reserved = 1;
    refused(comm, "comm.reserved is 1: it must be 0");
    comm = group.comm(0);
    comm.size = 8;
    refused(comm, "comm.size is 8");
    require_refused(hnorm_layer_set_comm(nullptr, nullptr), HNORM_INVALID_ARGUMENT, {"layer is null"});
    Layer instance(3, hnorm_layer_defaults(HNORM_INSTANCE));
    comm = group.comm(0);
    require_refused(hnorm_layer_set_comm(instance, &comm), HNORM_UNSUPPORTED,
                    {"the layer is no batch norm: only these share statistics"});
    REQUIRE(forward_of(layer, {4, 3, 5}) == HNORM_OK);
}

TEST_CASE("ranks with another activation or residual end the call on all ranks", "[cpu]") {
    Party party(2);
    hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
    options.activation = HNORM_LEAKY_RELU;
    party.layers[1] = std::make_unique<Layer>(3, options);
    party.begin_anew();
    require_all_failed(party.call([](int, hnorm_layer *layer) { return forward_of(layer, {4, 3, 5}); }), -1, HNORM_OK,
                       {"rank 1 has no residual and the activation's slope 0.01, but rank 0 has none and 1"});
    Party others(2);
    require_all_failed(others.call([](int rank, hnorm_layer *layer) {
        Pair pair({4, 3, 5}), other({4, 3, 5});
        return rank == 0 ? hnorm_layer_forward(layer, &pair.in, &pair.out)
                         : hnorm_layer_forward_add(layer, &pair.in, &other.in, &pair.out);
    }),
                       -1, HNORM_OK, {"rank 1 has a residual"});
    others.require_goes_on();
}

TEST_CASE("a rank that fails alone, after the last round, tells the others in its next call", "[cpu]") {
    Party party(2, 2000);
    hnorm_context *context = nullptr;
    REQUIRE(hnorm_context_create(&context) == HNORM_OK);
    static std::atomic<int> left{0};
    const hnorm_allocator failing =
        hnorm_allocator_of([](void *, size_t bytes) { return --left == 0 ? nullptr : std::malloc(bytes); },
                           [](void *, void *memory) { std::free(memory); }, nullptr);
    REQUIRE(hnorm_context_set_allocator(context, &failing) == HNORM_OK);
    REQUIRE(hnorm_layer_set_context(*party.layers[1], context) == HNORM_OK);
    const auto forward = [&] {
        return party.call([](int, hnorm_layer *layer) { return forward_of(layer, {4, 2000, 3}); });
    };
    bool alone = false;
    for (int at = 1; !alone; at++) {
        REQUIRE(at < 1000);
        left = at;
        const std::vector<Outcome> outcomes = forward();
        const bool reached = left <= 0;
        left = 0;
        REQUIRE(reached);
        alone = outcomes[0].status == HNORM_OK && outcomes[1].status == HNORM_OUT_OF_MEMORY;
    }
    require_all_failed(forward(), 1, HNORM_OUT_OF_MEMORY, {"rank 1 has failed with HNORM_OUT_OF_MEMORY"});
    for (const Outcome &outcome : forward()) REQUIRE(outcome.status == HNORM_OK);
    REQUIRE(hnorm_layer_set_context(*party.layers[1], nullptr) == HNORM_OK);
    hnorm_context_destroy(context);
}
