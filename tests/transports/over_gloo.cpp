// Batch norm over Gloo, whose processes are threads here. argv[1]: how many; "late": one of two
// does not come.
#include "steps.h"

#include <hnorm/gloo.hpp>

#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/hash_store.h>
#include <gloo/transport/tcp/device.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

std::shared_ptr<gloo::Context> connect(int rank, int ranks, gloo::rendezvous::HashStore &store) {
    gloo::transport::tcp::attr where;
    where.hostname = "127.0.0.1";
    auto context = std::make_shared<gloo::rendezvous::Context>(rank, ranks);
    auto device = gloo::transport::tcp::CreateDevice(where);
    context->connectFullMesh(store, device);
    return context;
}

// Must be an error, after the deadline.
int forward_alone(hnorm::GlooComm &gloo) {
    hnorm::BatchNorm layer(3);
    layer.set_comm(gloo.comm());
    std::vector<float> x(2 * 3 * 4, 1), y(x.size());
    try {
        layer.forward(hnorm::ncl(x.data(), {2, 3, 4}), hnorm::ncl(y.data(), {2, 3, 4}));
    } catch (const hnorm::Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return error.status() == HNORM_COMM_ERROR ? 0 : 1;
    }
    return 1;
}

}  // namespace

int main(int argc, char **argv) {
    const bool late = argc > 1 && std::string(argv[1]) == "late";
    const int ranks = late ? 2 : argc > 1 ? std::atoi(argv[1]) : 2;
    gloo::rendezvous::HashStore store;
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; rank++) {
        threads.emplace_back([&, rank] {
            hnorm::GlooComm gloo(connect(rank, ranks, store), std::chrono::milliseconds(late ? 500 : 60000));
            if (!late) {
                failures += transports::check_steps(gloo.comm());
            } else if (rank == 0) {
                failures += forward_alone(gloo);
            } else {
                std::this_thread::sleep_for(std::chrono::seconds(2));
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
    return failures == 0 ? 0 : 1;
}
