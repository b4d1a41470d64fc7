// hnorm_bench: every kernel over the shapes of shapes.h, next to the copy floor.
#include "machine.h"
#include "report.h"
#include "workspace.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace hnorm::bench;

constexpr const char *kUsage =
    "usage: dev bench [--quick] [--json FILE] [--benchmark_OPTION=VALUE ...]\n"
    "\n"
    "Times forward, moments, normalize and backward over batch and instance groups, and, unless --quick, forward and\n"
    "backward with a ReLU, and with a residual and a ReLU. Run it on an idle machine.\n"
    "\n"
    "  --quick       only the target in use and f32, and less time for each row (about two minutes)\n"
    "  --json FILE   also write the rows to FILE, in Google Benchmark's format\n"
    "  --benchmark_filter=REGEX and Google Benchmark's other options (--benchmark_format: console or json)\n"
    "\n"
    "Rows are named op/group/layout/type/NxCxHxW/target/variant. Columns:\n"
    "  time       of one call, the median over the rounds\n"
    "  GB/s       8 bytes an f32 element; moments, which writes nothing, 4; backward, which reads two tensors, 12;\n"
    "             forward_add_relu 12; backward_add_relu, which reads three tensors and writes two, 20\n"
    "  of floor   the copy floor's time over the row's own: median of pairs timed side by side, and quartiles.\n"
    "             The copy floor copies x to y with vector loads and ordinary stores on hnorm's own threads;\n"
    "             for backward, and with a residual, it adds two tensors into a third in the same way;\n"
    "             for backward_add_relu it does that and copies a tensor.\n"
    "  of plain   channels-first f32's time for the same shape over the row's own, in pairs too (not with --quick)\n"
    "The row copy/... of each shape is the fastest of ordinary stores (the floor), memcpy and streaming stores,\n"
    "each measured with the caches as it leaves them itself.\n"
    "\n"
    "Environment: HNORM_NUM_THREADS (default: all cores), HNORM_TARGET.\n";

struct Options {
    bool help = false;
    bool quick = false;
    bool json_to_console = false;
    std::string json_file;
    std::vector<std::string> passed_on;  // to Google Benchmark
};

bool starts_with(const std::string &text, const char *prefix) { return text.rfind(prefix, 0) == 0; }

// Returns an empty string, or what is wrong.
std::string parse(int argc, char **argv, Options &options) {
    for (int i = 1; i < argc; i++) {
        const std::string argument = argv[i];
        if (argument == "--help" || argument == "-h") {
            options.help = true;
        } else if (argument == "--quick") {
            options.quick = true;
        } else if (argument == "--json") {
            if (i + 1 == argc) return "--json needs a file name after it";
            options.json_file = argv[++i];
        } else if (starts_with(argument, "--json=")) {
            options.json_file = argument.substr(7);
        } else if (starts_with(argument, "--benchmark_format=")) {
            const std::string format = argument.substr(19);
            if (format != "console" && format != "json")
                return "--benchmark_format is '" + format + "', but must be console or json";
            options.json_to_console = format == "json";
        } else if (starts_with(argument, "--benchmark_out_format=") && argument != "--benchmark_out_format=json") {
            return argument + ": only json is written to files";
        } else if (starts_with(argument, "--benchmark_out=")) {
            options.json_file = argument.substr(16);
        } else if (starts_with(argument, "--benchmark_")) {
            options.passed_on.push_back(argument);
        } else {
            return "unknown argument '" + argument + "'";
        }
    }
    return "";
}

bool any_failed = false;

void report_comparison(benchmark::State &state, const Comparison &result, int64_t bytes) {
    state.SetIterationTime(result.seconds);
    state.SetBytesProcessed(bytes);
    state.counters["of_floor"] = result.ratio;
    state.counters["of_floor_lo"] = result.ratio_lower;
    state.counters["of_floor_hi"] = result.ratio_upper;
    state.counters["floor_seconds"] = result.reference_seconds;
    state.counters["rounds"] = result.rounds;
}

// All rounds make one "iteration" of Google Benchmark, whose own loop cannot interleave two things.
void add_row(const std::string &name, const std::function<void(benchmark::State &)> &measure) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [measure](benchmark::State &state) {
                                     for (auto _ : state) {
                                         try {
                                             measure(state);
                                         } catch (const std::exception &error) {
                                             any_failed = true;
                                             state.SetLabel(error.what());
                                             state.SkipWithError(error.what());
                                             break;
                                         }
                                     }
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMicrosecond);
}

void add_copies(Workspace &workspace, const Shape &shape, const Effort &effort) {
    const std::string name = "copy/any/channels_first/f32/" + shape.name() + "/" + copy_vectors() + "/fastest";
    add_row(name, [&workspace, &shape, effort](benchmark::State &state) {
        const CopySpeeds speeds = workspace.compare_copies(shape, effort);
        Comparison fastest = speeds.fastest == Copy::kStreaming ? speeds.streaming : speeds.memcpy_;
        if (speeds.fastest == Copy::kOrdinary) {
            fastest.seconds = speeds.floor_seconds;
            fastest.ratio = fastest.ratio_lower = fastest.ratio_upper = 1;
        }
        report_comparison(state, fastest, bytes_moved(Op::kNormalize, shape));
        state.counters["fastest_copy"] = speeds.fastest_ratio;
        state.counters["memcpy_of_floor"] = speeds.memcpy_.ratio;
        state.counters["streaming_of_floor"] = speeds.streaming.ratio;
        state.SetLabel(copy_name(speeds.fastest));
    });
}

void add_kernels(Workspace &workspace, const Shape &shape, const std::string &target, const Format &format, bool quick,
                 const Effort &effort) {
    std::vector<Op> ops(std::begin(kPlainOps), std::end(kPlainOps));
    if (!quick) ops.insert(ops.end(), std::begin(kPostOps), std::end(kPostOps));
    for (const Op op : ops) {
        for (const hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
            if (group == HNORM_INSTANCE && shape.h * shape.w == 1) continue;  // groups of one element
            const std::string name = std::string(op_name(op)) + "/" + group_name(group) + "/" + format.name() + "/" +
                                     shape.name() + "/" + target + "/default";
            add_row(name, [&workspace, &shape, op, group, target, format, quick, effort](benchmark::State &state) {
                if (hnorm_set_target(target.c_str()) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
                report_comparison(state, workspace.compare_with_floor(op, group, shape, effort, format),
                                  bytes_moved(op, shape, format));
                if (quick || format.name() == kPlain.name()) return;
                const Comparison plain = workspace.compare_with_plain(op, group, shape, effort, format);
                state.counters["of_plain"] = plain.ratio;
                state.counters["of_plain_lo"] = plain.ratio_lower;
                state.counters["of_plain_hi"] = plain.ratio_upper;
            });
        }
    }
}

std::vector<std::string> targets_to_measure(bool quick) {
    if (quick) return {hnorm_target()};
    std::vector<std::string> usable;
    for (int i = 0; i < hnorm_target_count(); i++)
        if (!hnorm_target_unusable(i)) usable.push_back(hnorm_target_name(i));
    return usable;
}

void add_rows(Workspace &workspace, bool quick) {
    const Effort effort = quick ? kQuick : kThorough;
    const std::vector<std::string> targets = targets_to_measure(quick);
    const auto add = [&](const Shape &shape) {
        add_copies(workspace, shape, effort);
        for (const std::string &target : targets)
            for (const Format &format : kFormats)
                if (!quick || format.type == HNORM_F32) add_kernels(workspace, shape, target, format, quick, effort);
    };
    for (const Shape &shape : kTableShapes) add(shape);
    for (const Shape &shape : kFurtherShapes) add(shape);
}

int run(const Options &options, char *program) {
    std::vector<std::string> arguments = options.passed_on;
    if (!options.json_file.empty()) {
        if (!std::ofstream(options.json_file, std::ios::app)) {
            std::fprintf(stderr, "hnorm_bench: --json '%s': cannot write it: %s\n", options.json_file.c_str(),
                         std::strerror(errno));
            return 2;
        }
        arguments.push_back("--benchmark_out=" + options.json_file);
    }
    std::vector<char *> pointers{program};
    for (std::string &argument : arguments) pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);
    benchmark::Initialize(&count, pointers.data());
    if (count > 1) {
        std::fprintf(stderr, "hnorm_bench: Google Benchmark does not know '%s'\n", pointers[1]);
        return 2;
    }

    benchmark::AddCustomContext("hnorm_version", hnorm_version());
    benchmark::AddCustomContext("hnorm_threads", std::to_string(hnorm_get_num_threads()));
    benchmark::AddCustomContext("hnorm_target", hnorm_target());
    benchmark::AddCustomContext("copy_vectors", copy_vectors());
    benchmark::AddCustomContext("cpu_name", cpu_name());
    std::fprintf(stderr, "hnorm %s on %s: target %s, threads: %d, vectors of the copies: %s\n", hnorm_version(),
                 cpu_name().c_str(), hnorm_target(), hnorm_get_num_threads(), copy_vectors());

    Workspace workspace;
    add_rows(workspace, options.quick);
    std::unique_ptr<benchmark::BenchmarkReporter> display;
    if (options.json_to_console)
        display = std::make_unique<JsonReport>();
    else
        display = std::make_unique<ConsoleTable>();
    JsonReport file;
    const size_t rows = options.json_file.empty() ? benchmark::RunSpecifiedBenchmarks(display.get())
                                                  : benchmark::RunSpecifiedBenchmarks(display.get(), &file);
    if (rows == 0) std::fprintf(stderr, "hnorm_bench: no row's name matches the filter\n");
    benchmark::Shutdown();
    return any_failed || rows == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char **argv) {
    Options options;
    const std::string wrong = parse(argc, argv, options);
    if (!wrong.empty()) {
        std::fprintf(stderr, "hnorm_bench: %s\n\n%s", wrong.c_str(), kUsage);
        return 2;
    }
    if (options.help) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    try {
        return run(options, argv[0]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "hnorm_bench: %s\n", error.what());
        return 1;
    }
}
