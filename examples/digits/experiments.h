// Which runs are made, on several threads, and how they are reported.
#pragma once

#include "training.h"

#include <iosfwd>

namespace digits {

constexpr double kRates[] = {0.03, 0.1, 0.3, 1.0};
constexpr int kBatchSizes[] = {2, 8, 32};
// The batch sizes are compared at rates proportional to them (Goyal et al. 2017): of batches of 32,
// this one.
constexpr double kBatchRate = 0.1;
constexpr int kLargest = 32;

// Of the convolutional network no, batch and instance norm at every rate with the largest batches,
// and with smaller ones. Of the plain one no, batch and layer norm with batches of every size:
// instance norm has one value to normalize there. Each with seeds 1 to seeds.
std::vector<Run> all_runs(int seeds, int epochs);

// All runs in their order, computed by `threads` threads, which change no result. Writes a line to
// progress when a run ends.
std::vector<Result> train_all(const Data &data, const std::vector<Run> &runs, int threads, std::ostream &progress);

// One row a setting of the kind: means over its seeds, and of the accuracy the lowest and highest
// as well.
void print_table(const std::vector<Result> &results, Kind kind, std::ostream &out);

// One row a record: network, norm, rate, batch_size, seed, step, epoch, loss, evaluation_accuracy,
// training_accuracy, diverged.
void write_csv(const std::vector<Result> &results, std::ostream &out);

}  // namespace digits
