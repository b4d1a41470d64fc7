// Which runs are made, on several threads, and how they are reported.
#pragma once

#include "training.h"

#include <iosfwd>

namespace digits {

constexpr double kRates[] = {0.03, 0.1, 0.3, 1.0};
constexpr int kBatchSizes[] = {2, 8, 32};
// The batch sizes are compared at rates proportional to them (Goyal et al. 2017): of batches of 32, this one.
constexpr double kBatchRate = 0.1;
constexpr int kLargest = 32;

// No, batch and instance norm at every rate with the largest batches, and with smaller ones; each with seeds 1 to seeds.
std::vector<Run> all_runs(int seeds, int epochs);

// All runs in their order, computed by `threads` threads, which change no result. Writes a line to progress when a run ends.
std::vector<Result> train_all(const Data &data, const std::vector<Run> &runs, int threads, std::ostream &progress);

// One row a setting: means over its seeds, and of the accuracy the lowest and highest as well.
void print_table(const std::vector<Result> &results, std::ostream &out);

// One row a record: norm, rate, batch_size, seed, step, epoch, loss, evaluation_accuracy, training_accuracy, diverged.
void write_csv(const std::vector<Result> &results, std::ostream &out);

}  // namespace digits
