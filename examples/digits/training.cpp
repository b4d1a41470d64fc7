#include "training.h"

#include "layers.h"
#include "sgd.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <sstream>

namespace digits {
namespace {

constexpr double kMomentum = 0.9;
// In samples: the accuracy costs as much as training with a third of the held-out samples.
constexpr int kRecordEvery = 160, kAccuracyEvery = 3 * kRecordEvery;

double last(const Result &result, double Record::*value) {
    for (auto record = result.records.rbegin(); record != result.records.rend() && !result.diverged; ++record)
        if (!std::isnan((*record).*value)) return (*record).*value;
    return kNone;
}

// A network, and for batch norm a second one with its parameters but without running statistics:
// what training mode gives for held-out samples, without a trace in the running statistics.
class Trained {
public:
    explicit Trained(const Run &run)
        : run_(run),
          network_(run.kind, run.norm, true, run.seed),
          probe_(run.kind, run.norm, false, run.seed),
          sgd_(network_.parameters(), run.rate, kMomentum) {}

    double step(const Data &batch) {
        Array gradient;
        network_.zero_gradients();
        const double loss = cross_entropy(network_.forward(batch.images), batch.labels, gradient);
        network_.backward(std::move(gradient));
        sgd_.step();
        return loss;
    }

    void measure(const Data &data, Record &record) {
        network_.train(false);
        record.evaluation_accuracy = network_.accuracy(data, 1);
        network_.train(true);
        record.training_accuracy = record.evaluation_accuracy;
        if (run_.norm != Norm::batch) return;  // the others' two modes are the same
        for (std::size_t i = 0; i < network_.parameters().size(); ++i)
            std::copy(network_.parameters()[i].value.begin(), network_.parameters()[i].value.end(),
                      probe_.parameters()[i].value.begin());
        record.training_accuracy = probe_.accuracy(data, run_.batch_size);
    }

private:
    Run run_;
    Network network_, probe_;
    Sgd sgd_;
};

}  // namespace

std::string describe(const Run &run) {
    std::ostringstream out;
    out << kind_name(run.kind) << ", " << norm_name(run.norm) << " norm, rate " << run.rate << ", batches of "
        << run.batch_size << ", seed " << run.seed;
    return out.str();
}

double Result::final_loss() const {
    double sum = 0.0;
    int count = 0;
    for (const Record &record : records)
        if (record.epoch > run.epochs - 1) sum += record.loss, ++count;
    return diverged || count == 0 ? kNone : sum / count;
}
double Result::final_evaluation_accuracy() const { return last(*this, &Record::evaluation_accuracy); }
double Result::final_training_accuracy() const { return last(*this, &Record::training_accuracy); }
double Result::epochs_to(double accuracy) const {
    for (const Record &record : records)
        if (record.evaluation_accuracy >= accuracy) return record.epoch;
    return kNone;
}

bool Result::failed() const { return !(final_loss() <= 2.0); }

Result train(const Split &data, const Run &run) {
    const auto start = std::chrono::steady_clock::now();
    Result result{run, {}, false, 0.0};
    Trained trained(run);
    const int steps = data.training.size() / run.batch_size;  // an epoch
    std::vector<int> order(data.training.size());
    std::iota(order.begin(), order.end(), 0);
    Random random(run.seed);
    double loss = 0.0;
    int losses = 0;
    for (int step = 0; step < run.epochs * steps && !result.diverged; ++step) {
        if (step % steps == 0) std::shuffle(order.begin(), order.end(), random);
        const auto first = order.begin() + step % steps * run.batch_size;
        loss += trained.step(pick(data.training, {first, first + run.batch_size}));
        ++losses;
        result.diverged = !std::isfinite(loss);
        const int samples = (step + 1) * run.batch_size;
        const auto reached = [&](int every) { return samples / every != (samples - run.batch_size) / every; };
        const bool end = step + 1 == run.epochs * steps;
        if (reached(kRecordEvery) || end || result.diverged) {
            Record record{step + 1, double(step + 1) / steps, loss / losses, kNone, kNone};
            if (reached(kAccuracyEvery) || end) trained.measure(data.held_out, record);
            result.records.push_back(record);
            loss = losses = 0;
        }
    }
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

}  // namespace digits
