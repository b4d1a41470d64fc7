#include "experiments.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iomanip>
#include <ostream>
#include <sstream>

namespace digits {
namespace {

constexpr double kGoal = 0.95;

// One value a seed; where one is kNone (a run that diverged or did not get there), there is no
// mean.
using Values = std::vector<double>;

std::string mean(const Values &values, double scale, int digits) {
    double sum = 0.0;
    for (const double value : values) sum += value;
    if (!std::isfinite(sum)) return "-";
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << sum / double(values.size()) * scale;
    return out.str();
}

std::string mean_and_range(const Values &values) {
    if (mean(values, 100, 1) == "-") return "-";
    std::ostringstream out;
    out << mean(values, 100, 1) << std::fixed << std::setprecision(1) << " ("
        << *std::min_element(values.begin(), values.end()) * 100 << " to "
        << *std::max_element(values.begin(), values.end()) * 100 << ")";
    return out.str();
}

bool same_setting(const Run &a, const Run &b) {
    return a.kind == b.kind && a.norm == b.norm && a.rate == b.rate && a.batch_size == b.batch_size;
}

}  // namespace

void print_table(const std::vector<Result> &results, Kind kind, std::ostream &out) {
    const auto row = [&](const std::string &norm, const std::string &rate, const std::string &batch,
                         const std::string &failed, const std::string &loss, const std::string &evaluation,
                         const std::string &training, const std::string &epochs) {
        out << std::left << std::setw(10) << norm << std::setw(10) << rate << std::setw(7) << batch << std::setw(10)
            << failed << std::setw(10) << loss << std::setw(22) << evaluation << std::setw(22) << training << epochs
            << "\n";
    };
    row("norm", "rate", "batch", "failed", "loss", "evaluation mode, %", "training mode, %", "epochs to 95 %");
    for (auto first = results.begin(); first != results.end(); ++first) {
        const auto same = [&](const Result &other) { return same_setting(first->run, other.run); };
        if (first->run.kind != kind || std::any_of(results.begin(), first, same))
            continue;  // a further seed of a setting that has its row
        Values loss, evaluation, training, epochs;
        int failed = 0;
        for (auto result = first; result != results.end(); ++result) {
            if (!same(*result)) continue;
            failed += result->failed();
            loss.push_back(result->final_loss());
            evaluation.push_back(result->final_evaluation_accuracy());
            training.push_back(result->final_training_accuracy());
            epochs.push_back(result->epochs_to(kGoal));
        }
        std::ostringstream rate;
        rate << first->run.rate;
        row(norm_name(first->run.norm), rate.str(), std::to_string(first->run.batch_size),
            std::to_string(failed) + " of " + std::to_string(loss.size()), mean(loss, 1, 4), mean_and_range(evaluation),
            mean_and_range(training), mean(epochs, 1, 1));
    }
}

void write_csv(const std::vector<Result> &results, std::ostream &out) {
    out << "network,norm,rate,batch_size,seed,step,epoch,loss,evaluation_accuracy,training_accuracy,diverged\n";
    const auto cell = [&](double value) {
        out << ',';
        if (!std::isnan(value)) out << value;
    };
    for (const Result &result : results)
        for (const Record &record : result.records) {
            out << kind_name(result.run.kind) << ',' << norm_name(result.run.norm) << ',' << result.run.rate << ','
                << result.run.batch_size << ',' << result.run.seed << ',' << record.step << ',' << record.epoch;
            cell(record.loss);
            cell(record.evaluation_accuracy);
            cell(record.training_accuracy);
            out << ',' << result.diverged << '\n';
        }
}

}  // namespace digits
