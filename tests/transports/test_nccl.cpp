// hnorm/nccl.hpp with a stub of NCCL between threads: what it asks of NCCL and CUDA, and what it
// does where they fail.
#include "steps.h"

#include <hnorm/nccl.hpp>

#include <memory>

using namespace ranks;

TEST_CASE("ranks over NCCL have the bits of one process") {
    for (int count : {1, 2, 4}) {
        Group group(count);
        std::vector<int> failures(static_cast<size_t>(count), 1);
        on_ranks(count, [&](int rank) {
            hnorm_comm stub = group.comm(rank);
            StubStream stream;
            hnorm::NcclComm nccl(&stub, rank, count, &stream);
            failures[static_cast<size_t>(rank)] = transports::check_steps(nccl.comm());
        });
        REQUIRE(failures == std::vector<int>(static_cast<size_t>(count), 0));
    }
}

TEST_CASE("a rank that does not come over NCCL ends the others with an error, and later calls at once") {
    Group group(2, std::chrono::milliseconds(100));
    hnorm_comm stub = group.comm(0);
    StubStream stream;
    hnorm::NcclComm nccl(&stub, 0, 2, &stream, std::chrono::milliseconds(50));
    hnorm::BatchNorm layer(3);
    layer.set_comm(nccl.comm());
    std::vector<float> x(2 * 3 * 4, 1), y(x.size());
    const auto forward = [&] { layer.forward(hnorm::ncl(x.data(), {2, 3, 4}), hnorm::ncl(y.data(), {2, 3, 4})); };
    REQUIRE_THROWS_WITH(forward(), "hnorm_layer_forward: the all_gather of rank 0 of 2 has failed: it returned 1");
    REQUIRE_THROWS_WITH(forward(), "hnorm_layer_forward: the all_gather of rank 0 of 2 has failed: it returned 2");
}
