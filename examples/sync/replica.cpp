#include "replica.h"

#include "layers.h"

#include <algorithm>
#include <stdexcept>

namespace sync_example {

using digits::Array;

Replica::Replica(MPI_Comm processes, const Setting &setting, Statistics statistics)
    : setting_(setting),
      processes_(processes),
      mpi_(processes),
      network_(setting.kind, digits::Norm::batch, true, setting.seed),
      sgd_(network_.parameters(), setting.rate, 0.9) {
    MPI_Comm_rank(processes, &process_);
    MPI_Comm_size(processes, &count_);
    if (kShards % count_ != 0)
        throw std::invalid_argument("there are " + std::to_string(count_) +
                                    " processes: a batch has 4 shards, for 1, 2 or 4 processes");
    for (auto &layer : network_.layers()) {
        if (hnorm::BatchNorm *norm = layer->batch_norm()) {
            if (statistics == Statistics::shared)
                norm->set_comm(mpi_.comm(std::int64_t(norms_.size())));  // the tag tells the layers apart
            else
                gathered_.push_back({layer.get(), nullptr});
            norms_.push_back(norm);
        } else if (!layer->parameters().empty()) {
            auto sharded = std::make_unique<Sharded>(std::move(layer), setting.shard);
            gathered_.push_back({sharded.get(), sharded.get()});
            layer = std::move(sharded);
        }
    }
}

// The values of all processes, in their order.
template <typename T>
std::vector<T> Replica::gather(const std::vector<T> &mine) const {
    std::vector<T> all(mine.size() * std::size_t(count_));
    const int bytes = int(mine.size() * sizeof(T));
    MPI_Allgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE,
                  processes_);  // an error ends all processes
    return all;
}

double Replica::step(const digits::Data &data, const std::vector<int> &batch) {
    const auto share = std::ptrdiff_t(batch.size()) / count_;
    const auto first = batch.begin() + process_ * share;
    const digits::Data mine = digits::pick(data, {first, first + share});
    network_.zero_gradients();
    const Array logits = network_.forward(mine.images);
    Array gradient(logits.n, logits.c, 1, 1);
    std::vector<double> losses;
    for (int begin = 0; begin < mine.size(); begin += setting_.shard) {
        const auto label = mine.labels.begin() + begin;
        Array of_shard;
        losses.push_back(
            digits::cross_entropy(samples(logits, begin, setting_.shard), {label, label + setting_.shard}, of_shard));
        // Of the mean over the batch, not over the shard.
        std::transform(of_shard.values.begin(), of_shard.values.end(), gradient.sample(begin),
                       [](float value) { return value / kShards; });
    }
    network_.backward(std::move(gradient));
    add_gradients();
    sgd_.step();
    double sum = 0.0;
    for (const double loss : gather(losses)) sum += loss;
    return sum / kShards;
}

// Batch norms with shared statistics have the gradients of the whole batch already.
void Replica::add_gradients() {
    std::vector<float> mine;
    for (const Gathered &of : gathered_) {
        if (of.sharded) {
            mine.insert(mine.end(), of.sharded->gradients().begin(), of.sharded->gradients().end());
        } else {
            for (const digits::Parameter &parameter : of.layer->parameters())
                mine.insert(mine.end(), parameter.gradient.begin(), parameter.gradient.end());
        }
        for (const digits::Parameter &parameter : of.layer->parameters())
            std::fill(parameter.gradient.begin(), parameter.gradient.end(), 0.0f);
    }
    const std::vector<float> all = gather(mine);
    const float *next = all.data();
    for (int process = 0; process < count_; ++process)
        for (const Gathered &of : gathered_)
            for (int shard = 0; shard < (of.sharded ? kShards / count_ : 1); ++shard)
                for (const digits::Parameter &parameter : of.layer->parameters())
                    for (float &value : parameter.gradient) value += *next++;
}

double Replica::accuracy(const digits::Data &data) {
    network_.train(false);
    const double result = network_.accuracy(data, 1);
    network_.train(true);
    return result;
}

std::vector<double> Replica::running_statistics() {
    std::vector<double> result;
    for (hnorm::BatchNorm *norm : norms_)
        for (const hnorm::Span<double> values : {norm->running_mean(), norm->running_var()})
            result.insert(result.end(), values.begin(), values.end());
    return result;
}

bool Replica::has_running_statistics_of_all() {
    const std::vector<double> mine = running_statistics(), all = gather(mine);
    for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i] != mine[i % mine.size()]) return false;
    return true;
}

}  // namespace sync_example
