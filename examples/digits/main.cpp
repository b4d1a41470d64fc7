// Trains the networks of network.h without and with normalization, prints a table and writes every run's course.
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

int positive(const std::string &name, const std::string &text) {
    if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != std::string::npos || text == "0")
        throw std::invalid_argument(name + " takes a number from 1 to 999, not '" + text + "'\n" + kUsage);
    return std::stoi(text);
}

Arguments parse(int argc, char **argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        int *const number = name == "--seeds"     ? &arguments.seeds
                            : name == "--epochs"  ? &arguments.epochs
                            : name == "--threads" ? &arguments.threads
                                                  : nullptr;
        if (number)
            *number = positive(name, ++i < argc ? argv[i] : "");
        else if (arguments.csv.empty() && name[0] != '-')
            arguments.csv = name;
        else
            throw std::invalid_argument("unknown argument '" + name + "'\n" + kUsage);
    }
    if (arguments.csv.empty()) throw std::invalid_argument(kUsage);
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
