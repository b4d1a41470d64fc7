// One of several processes that train the networks of examples/digits together: mpiexec -n 4
// example_sync CSV. The losses and accuracies go to CSV. Without mpiexec it is one process, which
// has the whole batch.
#include "arguments.h"
#include "replica.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>

namespace {

using sync_example::Replica;
using sync_example::Setting;
using sync_example::Statistics;

constexpr char kUsage[] = "usage: [mpiexec -n 1, 2 or 4] example_sync CSV [--seeds N] [--epochs N]";

struct Arguments {
    std::string csv;
    int seeds = 3, epochs = 4;
};

Arguments parse(int argc, char **argv) {
    Arguments arguments;
    arguments.csv = digits::parse(argc, argv, kUsage, {{"--seeds", &arguments.seeds}, {"--epochs", &arguments.epochs}});
    return arguments;
}

// What a process writes: nothing, unless it is the first.
class Output {
public:
    explicit Output(const std::string &path) {
        MPI_Comm_rank(MPI_COMM_WORLD, &process_);
        MPI_Comm_size(MPI_COMM_WORLD, &processes_);
        if (process_ != 0) return;
        csv_.open(path);
        if (!csv_) throw std::runtime_error(path + " cannot be written");
        csv_ << "network,batch,statistics,processes,seed,step,epoch,loss,lowest_accuracy,highest_accuracy,alike\n";
    }
    int processes() const { return processes_; }
    std::ostream *progress() { return process_ == 0 ? &std::cerr : nullptr; }
    std::ofstream *csv() { return process_ == 0 ? &csv_ : nullptr; }

private:
    int process_ = 0, processes_ = 1;
    std::ofstream csv_;
};

// The lowest and the highest of all processes.
std::pair<double, double> range_of_all(double value) {
    double lowest = 0.0, highest = 0.0;
    MPI_Allreduce(&value, &lowest, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&value, &highest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return {lowest, highest};
}

void train(const digits::Data &all, const Setting &setting, Statistics statistics, int epochs, Output &output) {
    const auto start = std::chrono::steady_clock::now();
    const digits::Split data = digits::split(all, setting.seed);
    Replica replica(MPI_COMM_WORLD, setting, statistics);
    std::vector<int> order(data.training.size());
    std::iota(order.begin(), order.end(), 0);
    digits::Random random(setting.seed);
    const int steps = data.training.size() / setting.batch();
    const char *const name = statistics == Statistics::shared ? "shared" : "own";
    std::pair<double, double> accuracy;
    for (int step = 0; step < epochs * steps; ++step) {
        if (step % steps == 0) std::shuffle(order.begin(), order.end(), random);
        const auto first = order.begin() + step % steps * setting.batch();
        const double loss = replica.step(data.training, {first, first + setting.batch()});
        const bool measured = (step + 1) % steps == 0 || (step + 1) % steps == steps / 2;
        bool alike = false;
        if (measured) {
            accuracy = range_of_all(replica.accuracy(data.held_out));
            alike = replica.has_running_statistics_of_all();
            if (statistics == Statistics::shared && !alike) throw std::logic_error("running statistics differ");
        }
        if (std::ostream *csv = output.csv()) {
            *csv << digits::kind_name(setting.kind) << ',' << setting.batch() << ',' << name << ','
                 << output.processes() << ',' << setting.seed << ',' << step + 1 << ',' << std::setprecision(6)
                 << double(step + 1) / steps << ',' << std::setprecision(17) << loss << ',' << std::setprecision(6);
            if (measured)
                *csv << accuracy.first << ',' << accuracy.second << ',' << alike << '\n';
            else
                *csv << ",,\n";
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (std::ostream *progress = output.progress())
        *progress << digits::kind_name(setting.kind) << ", batches of " << setting.batch() << ", " << name
                  << " statistics, processes: " << output.processes() << ", seed " << setting.seed << ": " << std::fixed
                  << std::setprecision(1) << accuracy.first * 100 << " to " << accuracy.second * 100
                  << " % right after " << seconds << " s" << std::endl;
}

void run(const Arguments &arguments) {
    Output output(arguments.csv);
    hnorm::set_num_threads(1);  // the processes are the threads here
    const digits::Data data = digits::load(DIGITS_DATA "/digits.csv");
    for (int seed = 1; seed <= arguments.seeds; ++seed)
        for (const Setting &of : {Setting{digits::Kind::convolutional, 8, 0.1},
                                  {digits::Kind::convolutional, 2, 0.025},
                                  {digits::Kind::plain, 32, 0.1},
                                  {digits::Kind::plain, 2, 0.025}}) {
            Setting setting = of;
            setting.seed = std::uint64_t(seed);
            train(data, setting, Statistics::own, arguments.epochs, output);
            if (output.processes() > 1) train(data, setting, Statistics::shared, arguments.epochs, output);
        }
    if (output.csv() && !output.csv()->flush()) throw std::runtime_error(arguments.csv + " cannot be written");
}

}  // namespace

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    try {
        run(parse(argc, argv));
    } catch (const std::exception &error) {
        std::cerr << "example_sync: " << error.what() << std::endl;
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
}
