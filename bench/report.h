// How the benchmark's rows are printed and written.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <vector>

namespace hnorm::bench {

// Google Benchmark adds "/iterations:1/manual_time" to a name; rows are to be called
// op/group/layout/type/shape/target/variant. The CPU time it measures is of all rounds together: of no use in a row.
inline std::vector<benchmark::BenchmarkReporter::Run> tidied(
    const std::vector<benchmark::BenchmarkReporter::Run> &runs) {
    auto tidy = runs;
    for (auto &run : tidy) {
        run.run_name.iterations.clear();
        run.run_name.time_type.clear();
        run.cpu_accumulated_time = 0;
    }
    return tidy;
}

class JsonReport : public benchmark::JSONReporter {
public:
    void ReportRuns(const std::vector<Run> &runs) override { JSONReporter::ReportRuns(tidied(runs)); }
};

// One line a row, printed as soon as it is measured.
class ConsoleTable : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context &) override {
        std::printf("%-*s %12s %8s %9s  %-14s %9s  %s\n", kNameWidth, "op/group/layout/type/shape/target/variant",
                    "time", "GB/s", "of floor", "quartiles", "of plain", "quartiles");
        std::fflush(stdout);
        return true;
    }

    void ReportRuns(const std::vector<Run> &runs) override {
        for (const Run &run : tidied(runs)) {
            const std::string name = run.benchmark_name();
            if (!run.counters.count("of_floor")) {  // a failure (its label says why), or an aggregate that has none
                std::printf("%-*s %s\n", kNameWidth, name.c_str(), run.report_label.c_str());
                continue;
            }
            const double time = run.GetAdjustedRealTime();  // in microseconds, the unit that main() gives all rows
            if (run.aggregate_unit == benchmark::kPercentage) {
                std::printf("%-*s %11.2f %%\n", kNameWidth, name.c_str(), run.real_accumulated_time * 100);
                continue;
            }
            std::printf("%-*s %9.*f us %8.2f %9.3f  %.3f to %.3f", kNameWidth, name.c_str(), time < 10 ? 3 : 1, time,
                        value(run, "bytes_per_second") * 1e-9, value(run, "of_floor"), value(run, "of_floor_lo"),
                        value(run, "of_floor_hi"));
            if (run.counters.count("of_plain"))
                std::printf(" %9.3f  %.3f to %.3f", value(run, "of_plain"), value(run, "of_plain_lo"),
                            value(run, "of_plain_hi"));
            std::printf("%s%s\n", run.report_label.empty() ? "" : "  ", run.report_label.c_str());
        }
        std::fflush(stdout);
    }

private:
    static constexpr int kNameWidth = 78;

    static double value(const Run &run, const char *counter) {
        const auto found = run.counters.find(counter);
        return found == run.counters.end() ? 0 : found->second.value;
    }
};

}  // namespace hnorm::bench
