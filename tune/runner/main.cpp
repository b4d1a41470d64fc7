// Runs hnorm's functions with each row of a table that the tuner made: "base", whose kernels are
// compiled with the values in use, and "candidate_...", in which some kernels are replaced. Reads
// rows' names from the standard input, one a line, and writes a line of JSON for each.
//
//   runner machine         what it runs on: the number of threads, or the device's name; no input
//   runner uses [THREADS]  which kernels each row calls (a table of stubs)
//   runner bits            which candidates' results are not those of base, bit for bit, and which calls failed
//   runner call            calls each row once by each of the table's, on one thread: an emulator records the way
//   runner measure SECONDS LEAST MOST [floor]
//                          seconds of a call by table row and round (bench/engine/rounds.h); "floor" adds the floor
#include <hnorm/wisdom.h>

#include "../../bench/engine/contenders.h"
#include "json.h"
#include "running.h"
#include "stubs.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <stdexcept>

std::set<std::string> &hnorm::tune::kernels_called() {
    static std::set<std::string> names;
    return names;
}

bool &hnorm::tune::values_are_ordinary() {
    static bool ordinary = true;
    return ordinary;
}

namespace {

using namespace hnorm::bench;
using hnorm::tune::kernels_called;
using hnorm::tune::now_running;
using hnorm::tune::plain;
using hnorm::tune::values_are_ordinary;

void print_list(const char *name, const std::set<std::string> &values) {
    std::printf("\"%s\": [", name);
    const char *comma = "";
    for (const std::string &value : values) {
        std::printf("%s\"%s\"", comma, value.c_str());
        comma = ", ";
    }
    std::printf("]");
}

void uses(const std::vector<Case> &cases) {
    Calls calls;
    calls.reserve(cases);
    place(calls);
    for (const Case &c : cases) {
        kernels_called().clear();
        // After values that were not ordinary a thread's sums begin otherwise, so the first call is
        // made twice.
        for (const bool ordinary : {true, true, false}) {
            values_are_ordinary() = ordinary;
            calls.call(c)();
        }
        std::printf("{\"case\": \"%s\", ", c.name.c_str());
        print_list("kernels", kernels_called());
        std::printf("}\n");
        std::fflush(stdout);
    }
}

// The results of a call with a row's kernels.
std::vector<uint8_t> results_of(Calls &calls, const Case &c, Data data, bool in_place, const std::string &row) {
    now_running(row, c.name);
    use(row);
    calls.prepare(c, data);
    send();
    calls.call(c, in_place)();
    fetch();
    return calls.results(c, in_place);
}

// A candidate whose call fails is not called again; where base's does, that is the runner's
// failure.
void bits(const std::vector<Case> &cases) {
    Calls calls;
    calls.reserve(cases);
    place(calls);
    const std::vector<std::string> rows = table_rows();
    std::map<std::string, std::string> failed;  // by row, why
    for (const Case &c : cases) {
        std::set<std::string> differing;
        for (const Data data : {Data::kPlain, Data::kHard})
            for (const bool in_place : {false, true})
                for (const int threads : thread_counts()) {
                    hnorm_set_num_threads(threads);
                    const std::vector<uint8_t> expected = results_of(calls, c, data, in_place, rows[0]);
                    for (const std::string &row : rows) {
                        if (row == rows[0] || failed.count(row)) continue;
                        try {
                            if (results_of(calls, c, data, in_place, row) != expected) differing.insert(row);
                        } catch (const std::exception &error) {
                            failed[row] = error.what();
                        }
                    }
                }
        std::printf("{\"case\": \"%s\", ", c.name.c_str());
        print_list("differing", differing);
        std::printf(", \"failed\": {");
        const char *comma = "";
        for (const auto &[row, why] : failed) {
            std::printf("%s\"%s\": \"%s\"", comma, row.c_str(), plain(why).c_str());
            comma = ", ";
        }
        std::printf("}}\n");
        std::fflush(stdout);
    }
}

void call(const std::vector<Case> &cases) {
    Calls calls;
    calls.reserve(cases);
    place(calls);
    hnorm_set_num_threads(1);
    for (const Case &c : cases) {
        calls.prepare(c, Data::kPlain);
        send();
        for (const std::string &row : table_rows()) {
            use(row);
            calls.call(c)();
        }
        wait();
    }
}

void measure(const std::vector<Case> &cases, const Effort &effort, bool with_floor) {
    Calls calls;
    calls.reserve(cases);
    place(calls);
    const std::string base = table_rows().front();
    Conditions conditions;
    conditions.least_timing = least_timing();
    for (const Case &c : cases) {
        calls.prepare(c, Data::kPlain);
        send();
        std::vector<Contender> contenders = kernels(calls, c);
        if (with_floor) contenders.push_back(floor(calls, c));
        for (Contender &one : contenders)
            one.time = [time = one.time, &name = one.name, &at = c.name](int count) {
                now_running(name, at);
                return time(count);
            };
        const std::vector<std::vector<double>> seconds = rounds(contenders, effort, conditions);
        std::printf("{\"case\": \"%s\", \"seconds\": {", c.name.c_str());
        for (size_t which = 0; which < seconds.size(); which++) {
            std::printf("%s\"%s\": [", which ? ", " : "", contenders[which].name.c_str());
            for (size_t i = 0; i < seconds[which].size(); i++) std::printf("%s%.4e", i ? ", " : "", seconds[which][i]);
            std::printf("]");
        }
        std::printf("}}\n");
        std::fflush(stdout);
        now_running(base, c.name);  // the contenders' names end here
    }
}

int run(int argc, char **argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "machine") {
        std::printf("%s\n", machine().c_str());
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
    } else if (what == "call") {
        call(cases);
    } else if (what == "measure" && (argc == 5 || floor)) {
        measure(cases, {std::atof(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])}, floor);
    } else {
        throw std::runtime_error(
            "usage: runner machine | uses [THREADS] | bits | call | "
            "measure SECONDS LEAST MOST [floor]");
    }
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    hnorm::tune::say_on_signals();
    try {
        hnorm_forget_wisdom();  // which somebody may have written for any machine
        return run(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "runner: %s\n", error.what());
        return 1;
    }
}
