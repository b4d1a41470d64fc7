// One training run, and what is recorded of it.
#pragma once

#include "network.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace digits {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Run {
    Kind kind = Kind::convolutional;
    Norm norm = Norm::none;
    double rate = 0.1;
    int batch_size = 32;
    int epochs = 6;
    std::uint64_t seed = 1;  // of the split, the weights and the order of the samples
};

// "convolutional, batch norm, rate 0.1, batches of 32, seed 1"
std::string describe(const Run &run);

// After `step` steps: the mean training loss since the previous record and, at some records (else
// kNone), the held-out accuracy in evaluation mode and in training mode (of batches as large as in
// training).
struct Record {
    int step = 0;
    double epoch = 0.0;
    double loss = kNone, evaluation_accuracy = kNone, training_accuracy = kNone;
};

struct Result {
    Run run;
    std::vector<Record> records;
    bool diverged = false;  // the loss stopped being finite, and the run with it
    double seconds = 0.0;

    // The mean training loss of the last epoch, and the last accuracies; kNone where the run
    // diverged.
    double final_loss() const;
    double final_evaluation_accuracy() const;
    double final_training_accuracy() const;
    // The first record's epoch with this held-out accuracy (in evaluation mode); kNone where there
    // is none.
    double epochs_to(double accuracy) const;
    // Diverged, or no better than guessing, whose loss is log 10 = 2.3: at the end the loss is
    // above 2.
    bool failed() const;
};

// Stochastic gradient descent with momentum 0.9, samples in a new order each epoch, those that fill
// no batch left out.
Result train(const Split &data, const Run &run);

}  // namespace digits
