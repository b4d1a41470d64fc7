// Runs hnorm's functions with each row of a table that the tuner made: "base", whose kernels are compiled with the values in
// use, and "candidate_...", in which some kernels are replaced. Reads rows' names from the standard input, one a line, and
// writes a line of JSON for each.
//
//   runner machine                      the machine's threads; no input
//   runner uses [THREADS]               which kernels each row calls (a table of probes)
//   runner bits                         whether the candidates' results are those of base, bit for bit
//   runner measure SECONDS LEAST MOST   seconds of a call by table row and round: LEAST rounds, and more until SECONDS have
//                                       passed for each table row, at most MOST. A last argument "floor" adds the copy floor
//                                       (bench/copies.h), a table row as the others
#include "contenders.h"
#include "probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>

std::set<std::string> &hnorm::tune::kernels_called() {
    static std::set<std::string> names;
    return names;
}

namespace {

using namespace hnorm::tune;
using Clock = std::chrono::steady_clock;

// A timing lasts at least this long, so that the clock's own cost and grain vanish.
constexpr double kLeastTiming = 200e-6;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void uses(const std::vector<Case> &cases) {
    Calls calls(cases);
    for (const Case &c : cases) {
        kernels_called().clear();
        calls.call(c)();
        std::printf("{\"case\": \"%s\", \"kernels\": [", c.name.c_str());
        const char *comma = "";
        for (const std::string &name : kernels_called()) {
            std::printf("%s\"%s\"", comma, name.c_str());
            comma = ", ";
        }
        std::printf("]}\n");
    }
}

void bits(const std::vector<Case> &cases) {
    Calls calls(cases);
    for (const Case &c : cases) {
        std::vector<std::string> differing;
        for (const Data data : {Data::kPlain, Data::kHard})
            for (const bool in_place : {false, true})
                for (const int threads : {1, 3}) {
                    hnorm_set_num_threads(threads);
                    std::vector<uint8_t> expected;
                    for (const std::string &row : table_rows()) {
                        use(row);
                        calls.prepare(c, data);
                        calls.call(c, in_place)();
                        std::vector<uint8_t> found = calls.results(c, in_place);
                        if (expected.empty())
                            expected = std::move(found);
                        else if (found != expected)
                            differing.push_back(row);
                    }
                }
        std::sort(differing.begin(), differing.end());
        differing.erase(std::unique(differing.begin(), differing.end()), differing.end());
        std::printf("{\"case\": \"%s\", \"differing\": [", c.name.c_str());
        for (size_t i = 0; i < differing.size(); i++) std::printf("%s\"%s\"", i ? ", " : "", differing[i].c_str());
        std::printf("]}\n");
    }
}

struct Effort {
    double seconds;
    int least, most;
    bool floor;
};

// Every round times each contender once, in an order that turns: drift of the machine's speed falls on all of them alike, and
// so does what the one before leaves in the caches.
void measure(const std::vector<Case> &cases, const Effort &effort) {
    Calls calls(cases);
    for (const Case &c : cases) {
        calls.prepare(c, Data::kPlain);
        std::vector<Contender> contenders = kernels(calls, c);
        if (effort.floor) contenders.push_back(floor(calls, c));

        int times = 1;
        for (const Contender &contender : contenders) {
            timed(contender, 1);
            const double once = std::min(timed(contender, 1), timed(contender, 1));
            times = std::max(times, static_cast<int>(std::ceil(kLeastTiming / once)));
        }

        const size_t count = contenders.size();
        std::vector<std::vector<double>> seconds(count);
        const auto start = Clock::now();
        for (int round = 0; round < effort.most; round++) {
            if (round >= effort.least && seconds_since(start) >= effort.seconds * count) break;
            for (size_t i = 0; i < count; i++) {
                const size_t turned = (i + round / 2) % count;
                const size_t which = round % 2 ? count - 1 - turned : turned;
                seconds[which].push_back(timed(contenders[which], times));
            }
        }
        std::printf("{\"case\": \"%s\", \"seconds\": {", c.name.c_str());
        for (size_t which = 0; which < count; which++) {
            std::printf("%s\"%s\": [", which ? ", " : "", contenders[which].name.c_str());
            for (size_t i = 0; i < seconds[which].size(); i++) std::printf("%s%.4e", i ? ", " : "", seconds[which][i]);
            std::printf("]");
        }
        std::printf("}}\n");
        std::fflush(stdout);
    }
}

int run(int argc, char **argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "machine") {
        std::printf("{\"threads\": %d}\n", hnorm_get_num_threads());
        return 0;
    }
    std::vector<Case> cases;
    for (std::string line; std::getline(std::cin, line);)
        if (!line.empty()) cases.push_back(parse_case(line));
    const bool floor = argc == 6 && std::string(argv[5]) == "floor";
    if (what == "uses") {
        if (argc == 3) hnorm_set_num_threads(std::atoi(argv[2]));
        uses(cases);
    } else if (what == "bits") {
        bits(cases);
    } else if (what == "measure" && (argc == 5 || floor)) {
        measure(cases, {std::atof(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]), floor});
    } else {
        throw std::runtime_error("usage: runner machine | uses [THREADS] | bits | measure SECONDS LEAST MOST [floor]");
    }
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "runner: %s\n", error.what());
        return 1;
    }
}
