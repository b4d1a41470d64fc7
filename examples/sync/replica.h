// What one of several processes has of training: a copy of the network, and a share of every batch.
#pragma once

#include "network.h"
#include "sgd.h"
#include "sharded.h"

#include <hnorm/mpi.hpp>

#include <cstdint>
#include <vector>

namespace sync_example {

// A batch is so many shards, whatever the number of processes, which divides it.
constexpr int kShards = 4;

enum class Statistics { shared, own };

struct Setting {
    digits::Kind kind = digits::Kind::convolutional;
    int shard = 8;  // samples
    double rate = 0.1;
    std::uint64_t seed = 1;  // of the weights
    int batch() const { return kShards * shard; }
};

// All processes make it and call its functions together. Their parameters are the same after every
// step.
class Replica {
public:
    Replica(MPI_Comm processes, const Setting &setting, Statistics statistics);

    // The mean loss of the batch, which all processes know. `batch`: the numbers of its samples.
    double step(const digits::Data &data, const std::vector<int> &batch);
    // With the running statistics of this process.
    double accuracy(const digits::Data &data);
    // One after the other, of all batch norms.
    std::vector<double> running_statistics();
    // Whether those of all processes are equal to the bit.
    bool has_running_statistics_of_all();

private:
    // A layer whose gradients processes add; null in `sharded` where it is a batch norm with
    // statistics of its own.
    struct Gathered {
        digits::Layer *layer;
        Sharded *sharded;
    };
    void add_gradients();
    template <typename T>
    std::vector<T> gather(const std::vector<T> &mine) const;

    const Setting setting_;
    const MPI_Comm processes_;
    int process_ = 0, count_ = 1;
    hnorm::MpiComm mpi_;
    digits::Network network_;
    std::vector<Gathered> gathered_;
    std::vector<hnorm::BatchNorm *> norms_;
    digits::Sgd sgd_;
};

}  // namespace sync_example
