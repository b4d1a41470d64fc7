// Trains the networks of network.h without and with normalization, prints a table and writes every
// run's course.
#include "arguments.h"
#include "experiments.h"

#include <algorithm>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

constexpr char kUsage[] = "usage: example_digits CSV [--seeds N] [--epochs N] [--threads N]";

struct Arguments {
    std::string csv;
    int seeds = 3, epochs = 6;
    int threads = int(std::max(1u, std::thread::hardware_concurrency()));
};

Arguments parse(int argc, char **argv) {
    Arguments arguments;
    arguments.csv = digits::parse(
        argc, argv, kUsage,
        {{"--seeds", &arguments.seeds}, {"--epochs", &arguments.epochs}, {"--threads", &arguments.threads}});
    return arguments;
}

}  // namespace

int main(int argc, char **argv) {
    try {
        const Arguments arguments = parse(argc, argv);
        std::ofstream csv(arguments.csv);
        if (!csv) throw std::runtime_error(arguments.csv + " cannot be written");
        // The runs share the cores: inside each, tensors this small gain nothing from threads.
        hnorm::set_num_threads(1);
        const digits::Data data = digits::load(DIGITS_DATA "/digits.csv");
        const auto runs = digits::all_runs(arguments.seeds, arguments.epochs);
        const auto results = digits::train_all(data, runs, arguments.threads, std::cerr);
        digits::write_csv(results, csv);
        if (!csv.flush()) throw std::runtime_error(arguments.csv + " cannot be written");
        std::cout << "\nTraining loss of the last epoch; held-out accuracy at the end, mean (lowest to highest).\n"
                     "Epochs: "
                  << arguments.epochs << ". Seeds: " << arguments.seeds << ". Failed: the loss ended above 2 "
                  << "(guessing: 2.3) or was no number.\n\n";
        digits::print_table(results, digits::Kind::convolutional, std::cout);
        std::cout << "\nThe plain network:\n\n";
        digits::print_table(results, digits::Kind::plain, std::cout);
    } catch (const std::exception &error) {
        std::cerr << "example_digits: " << error.what() << std::endl;
        return 1;
    }
}
