// hnorm bench: times the library's calls beside the copy floor, as ./dev bench does, without
// Python.
#include <hnorm/hnorm.h>
#include <hnorm/wisdom.h>

#include <cstdio>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "../bench/engine/contenders.h"
#include "../bench/engine/estimate.h"
#include "commands.h"
#include "files.h"
#include "machine.h"
#include "progress.h"
#include "rows.h"

namespace hnorm::tools {
namespace {

// bench/__main__.py has the same.
constexpr bench::Effort kQuick = {0.06, 7, 40}, kThorough = {0.4, 11, 300};
constexpr int kNameWidth = 92;

struct Bench {
    RowArguments rows;
    std::vector<std::string> targets;
    int threads = 0;
    bool quick = false, list = false;
    std::string json;
};

// A row in the form of Google Benchmark, as bench/report.py writes it.
nlohmann::ordered_json entry(const bench::Case &c, const std::string &label, const std::vector<double> &seconds,
                             const std::vector<double> &floor) {
    const std::string name = c.name + "/" + label;
    const double time = bench::median(seconds);
    const bench::Interval of_floor = bench::interval(bench::ratios(floor, seconds));
    return {{"name", name},
            {"run_name", name},
            {"run_type", "iteration"},
            {"repetitions", 1},
            {"repetition_index", 0},
            {"threads", 1},
            {"iterations", 1},
            {"real_time", time * 1e6},
            {"cpu_time", 0.0},
            {"time_unit", "us"},
            {"bytes_per_second", static_cast<double>(c.bytes_moved()) / time},
            {"rounds", seconds.size()},
            {"of_floor", of_floor.middle},
            {"of_floor_lo", of_floor.low},
            {"of_floor_hi", of_floor.high},
            {"floor_seconds", bench::median(floor)}};
}

void print(const nlohmann::ordered_json &row) {
    const double time = row["real_time"], bytes = row["bytes_per_second"];
    std::printf("%-*s %9.*f us %8.2f %11.3f  %.3f to %.3f\n", kNameWidth, row["name"].get<std::string>().c_str(),
                time < 10 ? 3 : 1, time, bytes * 1e-9, row["of_floor"].get<double>(), row["of_floor_lo"].get<double>(),
                row["of_floor_hi"].get<double>());
    std::fflush(stdout);
}

// A file holds all rows so far at any time.
class Json {
public:
    Json(const std::string &path, const std::string &target) : path_(path) {
        if (!path_.empty()) {
            check_writable("--json", path_);
        }
        document_["context"] = {{"date", now()},
                                {"executable", "hnorm bench"},
                                {"num_cpus", std::thread::hardware_concurrency()},
                                {"cpu_name", hnorm_cpu()},
                                {"caches", nlohmann::json::array()},
                                {"library_build_type", "release"},
                                {"hnorm_version", hnorm_version()},
                                {"hnorm_target", target},
                                {"hnorm_threads", std::to_string(hnorm_get_num_threads())},
                                {"copy_vectors", bench::copy_vectors()}};
        document_["benchmarks"] = nlohmann::json::array();
    }
    void add(const nlohmann::ordered_json &row, bool is_last) {
        document_["benchmarks"].push_back(row);
        if (!path_.empty() && (is_last || is_replaced(path_))) {
            write_file("--json", path_, document_.dump(2) + "\n");
        }
    }

private:
    const std::string path_;
    nlohmann::ordered_json document_;
};

// The targets' calls, then the floor. Without targets: the call as programs make it, which wisdom
// may give another target.
std::vector<bench::Contender> contenders(bench::Calls &calls, const bench::Case &c,
                                         const std::vector<std::string> &targets) {
    std::vector<bench::Contender> chosen;
    if (targets.empty()) {
        chosen.push_back(bench::call_after(hnorm_target(), [] { hnorm_set_target(nullptr); }, calls, c));
    }
    for (const std::string &target : targets) {
        for (const bench::Contender &contender : bench::kernels(calls, c)) {
            if (contender.name == target) {
                chosen.push_back(contender);
            }
        }
    }
    chosen.push_back(bench::floor(calls, c));
    return chosen;
}

void measure(const Bench &options, const std::vector<std::string> &rows, const std::vector<std::string> &targets) {
    Json json(options.json, targets.front());
    std::fprintf(stderr, "hnorm bench: %s, threads: %d\n", hnorm_cpu(), hnorm_get_num_threads());
    std::printf("%-*s %12s %8s %11s  95%% interval\n", kNameWidth, "op/group/layout/type/shape/target/variant", "time",
                "GB/s", "of floor");
    Progress progress("", rows.size());
    bench::Calls calls;
    for (size_t i = 0; i < rows.size(); ++i) {
        progress.show(i);
        const bench::Case c = bench::parse_case(rows[i]);
        try {
            calls.reserve({c});
        } catch (const std::bad_alloc &) {
            throw Failure(rows[i] + ": no memory for its tensors, of " + std::to_string(c.tensor_bytes()) + " bytes");
        }
        calls.prepare(c, bench::Data::kPlain);
        const auto seconds = bench::rounds(contenders(calls, c, options.targets), options.quick ? kQuick : kThorough);
        progress.hide();
        for (size_t which = 0; which < targets.size(); ++which) {
            const nlohmann::ordered_json found = entry(c, targets[which] + "/tuned", seconds[which], seconds.back());
            print(found);
            json.add(found, i + 1 == rows.size() && which + 1 == targets.size());
        }
    }
}

void run(const Bench &options) {
    const std::vector<std::string> rows = rows_of(options.rows);
    if (options.list) {
        for (const std::string &row : rows) {
            std::puts(row.c_str());
        }
        return;
    }
    for (const std::string &target : options.targets) {
        choose(target, 0);
    }
    choose("", options.threads);
    std::vector<std::string> targets = options.targets;
    if (targets.empty()) {
        targets.emplace_back(hnorm_target());
    }
    measure(options, rows, targets);
}

}  // namespace

void add_bench(CLI::App &program) {
    CLI::App *const command =
        program.add_subcommand("bench", "Time the library's calls beside a copy of the same tensors");
    command->footer(
        "Columns:\n"
        "  time       of one call, the median over the rounds\n"
        "  GB/s       of the tensors that the call must read and write at least\n"
        "  of floor   the time of an ordinary copy of these tensors over the call's: the median and its 95% interval.\n"
        "             1: as fast as the copy. Where a call reads two tensors the copy is their sum into a third.\n"
        "Run it on an idle machine. Environment: HNORM_NUM_THREADS, HNORM_TARGET.");
    const auto bench = std::make_shared<Bench>();
    add_row_arguments(command, &bench->rows);
    command
        ->add_option(
            "--target", bench->targets,
            "Kernels of this target, without wisdom for others; may be\nrepeated (default: as programs call it)")
        ->type_name("NAME")
        ->type_size(1)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--threads", bench->threads, "So many threads (default: as hnorm info says)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 20));
    command->add_flag("--quick", bench->quick, "A sixth of the time, with wider intervals");
    command->add_flag("--list", bench->list, "Print the rows' names, and time nothing");
    command->add_option("--json", bench->json, "Also write the rows to this file, in the form of Google Benchmark")
        ->type_name("FILE");
    command->callback([bench] { run(*bench); });
}

}  // namespace hnorm::tools
