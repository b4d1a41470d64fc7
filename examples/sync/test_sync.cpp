// mpiexec -n N test_sync: a few steps by N processes, beside those of one process with the whole
// batch, which each of them computes as well.
#include "replica.h"

#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <numeric>

namespace {

using namespace sync_example;

constexpr int kSteps = 6;

struct Trained {
    std::vector<double> losses, running_statistics;
    bool alike;
};

Trained train(MPI_Comm processes, const digits::Data &data, const Setting &setting, Statistics statistics) {
    Replica replica(processes, setting, statistics);
    Trained result;
    for (int step = 0; step < kSteps; ++step) {
        std::vector<int> batch(setting.batch());
        std::iota(batch.begin(), batch.end(), step * setting.batch());
        result.losses.push_back(replica.step(data, batch));
    }
    result.running_statistics = replica.running_statistics();
    result.alike = replica.has_running_statistics_of_all();
    return result;
}

double largest_difference(const Trained &a, const Trained &b) {
    double largest = 0.0;
    for (int step = 0; step < kSteps; ++step) largest = std::max(largest, std::fabs(a.losses[step] - b.losses[step]));
    return largest;
}

// The number of promises that are broken.
int check(const digits::Data &data, int processes) {
    int failures = 0;
    // Shards of 8 and 32 samples are chunks, those of 2 are not.
    for (const Setting &setting : {Setting{digits::Kind::convolutional, 8},
                                   {digits::Kind::plain, 32},
                                   {digits::Kind::convolutional, 2},
                                   {digits::Kind::plain, 2}}) {
        const bool exact = setting.shard >= 8 || processes == 1;
        const Trained alone = train(MPI_COMM_SELF, data, setting, Statistics::own);
        const Trained shared = train(MPI_COMM_WORLD, data, setting, Statistics::shared);
        const Trained own = train(MPI_COMM_WORLD, data, setting, Statistics::own);
        const auto expect = [&](bool held, const char *promise) {
            failures += !held;
            if (!held)
                std::fprintf(stderr, "%s network, shards of %d, %d processes: not %s\n",
                             digits::kind_name(setting.kind), setting.shard, processes, promise);
        };
        expect(alone.losses.back() < alone.losses.front(), "a loss that falls");
        expect(shared.alike, "running statistics that are the same on all processes");
        expect(largest_difference(shared, alone) < 1e-5, "losses of one process");
        if (exact) {
            expect(shared.losses == alone.losses, "losses with the bits of one process");
            expect(shared.running_statistics == alone.running_statistics, "running statistics with the bits of one");
        }
        // Or the comparisons above would compare nothing.
        expect((largest_difference(own, alone) > 1e-4) == (processes > 1), "other losses with own statistics");
        expect(own.alike == (processes == 1), "other running statistics with own statistics");
    }
    return failures;
}

}  // namespace

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int failures = 1, processes = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &processes);
    try {
        hnorm::set_num_threads(1);
        failures = check(digits::load(DIGITS_DATA "/digits.csv"), processes);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "test_sync: %s\n", error.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return failures == 0 ? 0 : 1;
}
