// hnorm tune: measures, on the user's shapes, what the library can choose at run time, and writes
// what is faster to a wisdom file.
#include <hnorm/hnorm.h>
#include <hnorm/wisdom.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>

#include "commands.h"
#include "files.h"
#include "machine.h"
#include "rows.h"
#include "search.h"
#include "tuned_rows.h"
#include "wisdom_text.h"

namespace hnorm::tools {
namespace {

// Of the budget: the rest is for proofs, and for writing.
constexpr double kSearch = 0.6, kAll = 0.97;
constexpr int kNameWidth = 58;

struct Tune {
    RowArguments rows;
    std::string budget = "60s", output;
    int threads = 0;
    bool dry_run = false;
};

// "90", "90s", "10m" or "1h" in seconds.
double seconds_of(const std::string &text) {
    size_t end = 0;
    double value = 0;
    try {
        value = std::stod(text, &end);
    } catch (const std::exception &) {
        end = 0;
    }
    const std::string unit = text.substr(end);
    const double factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
    constexpr double kLeast = 1, kMost = 24 * 3600;
    if (end == 0 || factor == 0 || !(value * factor >= kLeast && value * factor <= kMost)) {
        throw Failure("--budget is '" + text + "': it must be a time from 1s to 24h, as 60s, 10m or 1h");
    }
    return value * factor;
}

class Session {
public:
    explicit Session(const Tune &options)
        : options_(options),
          seconds_(seconds_of(options.budget)),
          path_(options.output.empty() ? usual_wisdom_file() : options.output) {}

    void run() {
        prepare();
        search_rows();
        prove_rows();
        report();
        write();
    }

private:
    double left_until(double share) const {
        const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        return std::max(seconds_ * share - passed, 0.0);
    }

    void prepare() {
        if (const char *const forced = std::getenv("HNORM_TARGET"); forced && *forced) {
            throw Failure(std::string("HNORM_TARGET is '") + forced +
                          "': it forces a target, and no program with it obeys wisdom: unset it");
        }
        choose("", options_.threads);
        std::error_code none;
        if (!options_.dry_run) {
            std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), none);
            check_writable("--output", path_);
        }
        for (const std::string &name : rows_of(options_.rows)) {
            rows_.push_back({bench::parse_case(name), {}, {}});
        }
        // The wisdom of the file takes part: what it has for these rows stays if nothing is faster.
        hnorm_forget_wisdom();
        knowledge_.none = knowledge_.present = detail::hnorm_known_wisdom;
        if (hnorm_load_wisdom(path_.c_str()) == HNORM_OK) {
            knowledge_.present = detail::hnorm_known_wisdom;
        }
        text_ = std::make_unique<WisdomText>(read_file("--output", path_), hnorm_get_num_threads());
        std::vector<bench::Case> cases;
        for (const TunedRow &row : rows_) {
            cases.push_back(row.c);
        }
        try {
            calls_.reserve(cases);
        } catch (const std::bad_alloc &) {
            throw Failure("no memory for the tensors of the largest row");
        }
        std::fprintf(stderr, "hnorm tune: %s, threads: %d, %zu rows, %.0f s\n", hnorm_cpu(), hnorm_get_num_threads(),
                     rows_.size(), seconds_);
        warn_of_load();
    }

    // With other work beside it, fewer threads look better than they are.
    static void warn_of_load() {
        constexpr double kMuch = 0.5;  // cores
        double load = 0;
        if (getloadavg(&load, 1) == 1 && load > kMuch) {
            std::fprintf(
                stderr,
                "hnorm tune: other programs run, the machine's load is %.1f: choices will be better on an idle machine\n",
                load);
        }
    }

    void search_rows() {
        std::vector<TunedRow *> rows;
        for (TunedRow &row : rows_) {
            rows.push_back(&row);
        }
        for_rows("searching", calls_, rows, left_until(kSearch), kCallsOfSearch, [&](TunedRow &row, double seconds) {
            row.proposal = search(calls_, row.c, knowledge_, text_->values_of(row.c.name), seconds);
        });
    }

    // With a wisdom of all proposals, read as a program reads it.
    void prove_rows() {
        std::vector<TunedRow *> rows;
        std::vector<RowChoice> proposals;
        for (TunedRow &row : rows_) {
            if (!row.proposal.values.empty()) {
                rows.push_back(&row);
                proposals.push_back({row.c.name, row.proposal.values, ""});
            }
        }
        if (rows.empty()) {
            return;
        }
        const detail::Known *const after = known_from(proposals);
        for_rows("proving", calls_, rows, left_until(kAll), kCallsOfProof,
                 [&](TunedRow &row, double seconds) { row.proof = prove(calls_, row.c, knowledge_, after, seconds); });
    }

    // In the file's folder, where the packs are that it names.
    const detail::Known *known_from(const std::vector<RowChoice> &choices) const {
        WisdomText all("", hnorm_get_num_threads());
        all.replace({}, choices);
        detail::hnorm_known_wisdom = knowledge_.none;
        detail::hnorm_learn_wisdom(path_.c_str(), all.text().c_str());
        return detail::hnorm_known_wisdom;
    }

    void report() const {
        std::printf("%-*s %8s  95%% interval     choice\n", kNameWidth, "row", "speed");
        double logarithms = 0;
        size_t measured = 0, faster = 0;
        for (const TunedRow &row : rows_) {
            std::printf("%-*s ", kNameWidth, row.c.name.c_str());
            if (row.proof.holds()) {
                const bench::Interval &speed = row.proof.speed;
                std::printf("%8.3f  %.3f to %.3f  %s\n", speed.middle, speed.low, speed.high,
                            row.proposal.values.c_str());
                logarithms += std::log(speed.middle);
                ++faster;
            } else {
                std::printf("%8s  %s\n", "", words_of(row));
            }
            measured += row.proposal.measured;
        }
        std::printf("%zu of %zu rows are faster", faster, rows_.size());
        if (faster) {
            std::printf(", by %.1f%% in the geometric mean; all measured rows by %.1f%%",
                        100 * std::expm1(logarithms / static_cast<double>(faster)),
                        100 * std::expm1(logarithms / static_cast<double>(std::max(measured, faster))));
        }
        std::puts("");
        if (measured < rows_.size()) {
            std::printf("%zu rows were not measured: --budget is too short for them\n", rows_.size() - measured);
        }
    }
    static const char *words_of(const TunedRow &row) {
        return !row.proposal.measured        ? "not measured: the budget is too short"
               : row.proposal.values.empty() ? "the library's own choice"
               : !row.proof.measured         ? "the library's own choice: no time was left for a proof"
                                             : "the library's own choice: nothing is proven faster";
    }

    void write() {
        std::vector<std::string> measured;
        std::vector<RowChoice> choices;
        for (const TunedRow &row : rows_) {
            const std::string kept = text_->values_of(row.c.name);
            const bool replaces = !kept.empty() && kept != row.proposal.values;  // what was not shown to be worse
            if (row.proposal.measured &&
                (row.proposal.values.empty() || (row.proof.measured && (row.proof.holds() || !replaces)))) {
                measured.push_back(row.c.name);
            }
            if (row.proof.holds()) {
                char comment[64];
                const bench::Interval &speed = row.proof.speed;
                std::snprintf(comment, sizeof comment, "%.3f (%.3f to %.3f)", speed.middle, speed.low, speed.high);
                choices.push_back({row.c.name, row.proposal.values, comment});
            }
        }
        // Others may have written meanwhile.
        WisdomText text(read_file("--output", path_), hnorm_get_num_threads());
        text.replace(measured, choices);
        if (options_.dry_run) {
            std::printf("%s stays as it is (--dry-run)\n", path_.c_str());
            return;
        }
        write_file("--output", path_, text.text());
        std::printf("%s has %zu choices for this machine\n", path_.c_str(), text.choices());
    }

    const Tune &options_;
    const double seconds_;
    const std::string path_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    Knowledge knowledge_ = {};
    std::unique_ptr<WisdomText> text_;
    std::vector<TunedRow> rows_;
    bench::Calls calls_;
};

}  // namespace

void add_tune(CLI::App &program) {
    CLI::App *const command =
        program.add_subcommand("tune", "Find faster choices for your shapes on this machine, without a compiler");
    command->footer(
        "It measures what the library can choose at run time: targets, threads, when to split and to stream. What is\n"
        "proven faster goes to a file of wisdom, which every program with this build of hnorm reads. No choice changes\n"
        "a bit of a result. Speed is over the library's own choice.\n"
        "Run it on an idle machine, with the number of threads that the program has. Environment: HNORM_NUM_THREADS,\n"
        "HNORM_WISDOM.");
    const auto tune = std::make_shared<Tune>();
    add_row_arguments(command, &tune->rows);
    command->add_option("--budget", tune->budget, "The time for all of it, as 60s, 10m or 1h")
        ->type_name("TIME")
        ->capture_default_str();
    command
        ->add_option(
            "--output", tune->output,
            "The file (default: that of HNORM_WISDOM, or hnorm/wisdom.txt in the user's\nconfiguration folder)")
        ->type_name("FILE");
    command->add_option("--threads", tune->threads, "So many threads (default: as hnorm info says)")
        ->type_name("N")
        ->check(CLI::Range(1, 256));
    command->add_flag("--dry-run", tune->dry_run, "Measure and report, and write nothing");
    command->callback([tune] { Session(*tune).run(); });
}

}  // namespace hnorm::tools
