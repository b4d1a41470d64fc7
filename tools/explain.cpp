#include "explain.h"

#include <hnorm/hnorm.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <sstream>
#include <utility>
#include <vector>

#include "../bench/engine/calls.h"
#include "failure.h"
#include "record.h"
#include "shapes.h"

namespace hnorm::tools {
namespace {

constexpr const char *kClasses[] = {"tiny", "small", "large", "last"};
constexpr const char *kClassWords[] = {"planes of less than 16 positions", "planes of 16 to 1024 positions",
                                       "planes of more than 1024 positions", "channels side by side"};

std::string bytes_text(int64_t bytes) {
    char text[64];
    const double value = static_cast<double>(bytes);
    value < 1e4   ? std::snprintf(text, sizeof text, "%.0f bytes", value)
    : value < 1e6 ? std::snprintf(text, sizeof text, "%.0f KB", value * 1e-3)
                  : std::snprintf(text, sizeof text, "%.1f MB", value * 1e-6);
    return text;
}

std::string counted(int64_t count, const std::string &what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// The one row that the words name. What they leave out: forward, batch norm, channels-first, f32.
std::string row_of(const std::string &text) {
    std::string spaced = text;
    std::replace(spaced.begin(), spaced.end(), '/', ' ');
    std::istringstream in(spaced);
    ShapeLine line;
    const auto refuse = [&](const std::string &why) {
        throw Failure("--call is '" + text + "': " + why + ". It takes a shape and words, as in 'forward batch " +
                      "32x64x112x112 f32'");
    };
    for (std::string word; in >> word;) {
        if (is_operation(word) || is_group(word) || is_layout(word) || is_type(word)) {
            line.words.push_back(word);
        } else if (!line.shape.empty()) {
            refuse("'" + word + "' is no operation, group, layout or type");
        } else if (!is_shape(word)) {
            refuse("'" + word + "' is no operation, group, layout, type or shape");
        } else {
            line.shape = word;
        }
    }
    if (line.shape.empty()) {
        refuse("a shape is missing");
    }
    const auto or_usual = [&](bool (*is_word)(const std::string &), const char *usual) {
        const bool named = std::any_of(line.words.begin(), line.words.end(), is_word);
        return named ? std::vector<std::string>() : std::vector<std::string>{usual};
    };
    const std::vector<std::string> found =
        rows({line}, {or_usual(is_operation, "forward"), or_usual(is_group, "batch"),
                      or_usual(is_layout, "channels_first"), or_usual(is_type, "f32")});
    if (found.empty()) {
        refuse("there is no such call: a group has more than one element, and groups of channels are of equal size");
    }
    if (found.size() > 1) {
        refuse("it names " + std::to_string(found.size()) + " calls");
    }
    return found.front();
}

const char *why_target() {
    const char *const variable = std::getenv("HNORM_TARGET");
    const bool is_best = [] {
        for (int i = 0; i < hnorm_target_count(); ++i) {
            if (!hnorm_target_unusable(i)) {
                return std::string(hnorm_target_name(i)) == hnorm_target();
            }
        }
        return false;
    }();
    return variable && *variable ? "forced by HNORM_TARGET" : is_best ? "the best that this CPU runs" : "forced";
}

void print_blocks(const detail::BlocksMade &made, int threads) {
    const detail::Dispatch &d = *made.dispatch;
    std::printf("threads     ");
    switch (made.sharing) {
    case detail::Sharing::kSerial:
        if (threads == 1) {
            std::printf("1: no more are allowed\n");
        } else {
            std::printf("1 of %d: the tensor has %" PRId64 " elements, less than serial_below, %" PRId64 "\n", threads,
                        made.elements, d.serial_below);
        }
        break;
    case detail::Sharing::kGroups:
        std::printf(
            "%d: they share each group, whose elements are spread over the whole tensor, or there is one group\n",
            threads);
        break;
    case detail::Sharing::kSamples:
        std::printf("%d: they share each sample, which has more elements than sample_elements, %" PRId64 "\n", threads,
                    d.sample_elements);
        break;
    case detail::Sharing::kFewBlocks:
        std::printf("%d: they share each group, since blocks of whole groups would keep less than %" PRId64
                    "%% of them busy (least_busy_percent)\n",
                    threads, d.least_busy_percent);
        break;
    case detail::Sharing::kBlocks:
        std::printf("%d: each computes blocks of whole groups, from the sums to the stores\n", threads);
        break;
    }
    std::printf("blocks      %" PRId64 ", of %s and %s\n", made.count, counted(made.channels, "channel").c_str(),
                counted(made.samples, "sample").c_str());
}

void print_stores(const Record::Stores &made) {
    std::printf("stores      ");
    const std::string bytes = bytes_text(made.bytes), limit = bytes_text(made.limit);
    switch (made.choice) {
    case detail::PastCache::kNever: std::printf("ordinary: past_cache_percent is 0\n"); break;
    case detail::PastCache::kAmongInputs: std::printf("ordinary: the output lies among an input\n"); break;
    case detail::PastCache::kFits:
        std::printf(
            "ordinary: the output and its inputs take %s, not more than %s of the last-level cache "
            "(past_cache_percent)\n",
            bytes.c_str(), limit.c_str());
        break;
    case detail::PastCache::kNoLines:
        std::printf(
            "ordinary: the output and its inputs take %s, more than %s of the last-level cache, but the "
            "output's rows are no whole cache lines\n",
            bytes.c_str(), limit.c_str());
        break;
    case detail::PastCache::kGoes:
        std::printf(
            "past the cache: the output and its inputs take %s, more than %s of the last-level cache "
            "(past_cache_percent)\n",
            bytes.c_str(), limit.c_str());
        break;
    }
}

void print_kernels(const Record &ordinary, const Record &hard) {
    const char *title = "kernels";
    const auto print = [&](const Record::Kernel &kernel, const std::string &remark) {
        std::printf("%-11s %s, class %s (%s): %s\n", title, kernel.first.c_str(), kClasses[kernel.second],
                    kClassWords[kernel.second], remark.c_str());
        title = "";
    };
    for (const auto &[kernel, calls] : ordinary.kernels()) {
        print(kernel, counted(calls, "call"));
    }
    for (const auto &[kernel, calls] : hard.kernels()) {
        if (!ordinary.has(kernel)) {
            print(kernel, "only where values are unusual, as huge ones");
        }
    }
}

void print_loops(const Record &record) {
    std::map<std::pair<int, int>, int> count;
    for (const auto &loop : record.loops()) {
        ++count[loop];
    }
    const char *title = "loops";
    for (const auto &[loop, times] : count) {
        std::printf("%-11s %d of %s on %s\n", title, times, counted(loop.first, "task").c_str(),
                    counted(loop.second, "thread").c_str());
        title = "";
    }
    if (count.empty()) {
        std::printf("%-11s none in parallel\n", title);
    }
}

void print_dispatch(const detail::Dispatch &d) {
    std::printf("values      batch_block_elements %" PRId64 ", block_elements %" PRId64 ", flat_elements %" PRId64
                ", least_busy_percent %" PRId64 ",\n            past_cache_percent %" PRId64
                ", sample_elements %" PRId64 ", serial_below %" PRId64 "\n",
                d.batch_block_elements, d.block_elements, d.flat_elements, d.least_busy_percent, d.past_cache_percent,
                d.sample_elements, d.serial_below);
}

}  // namespace

void explain(const std::string &words) {
    const bench::Case c = bench::parse_case(row_of(words));
    bench::Calls calls;
    try {
        calls.reserve({c});
    } catch (const std::bad_alloc &) {
        throw Failure(c.name + ": no memory for its tensors, of " + bytes_text(c.tensor_bytes()));
    }
    Record ordinary, hard;
    calls.prepare(c, bench::Data::kPlain);
    calls.call(c)();  // what a first call does besides is not shown
    ordinary.record(calls.call(c));
    calls.prepare(c, bench::Data::kHard);
    hard.record(calls.call(c));

    std::printf("%s\n", c.name.c_str());
    std::printf("tensors     %s each; the call must read %d and write %d\n", bytes_text(c.tensor_bytes()).c_str(),
                c.operation->read, c.operation->written);
    if (ordinary.target().empty()) {
        std::printf("target      %s: %s\n", hnorm_target(), why_target());
    } else {
        std::printf("target      %s: chosen by wisdom, as %s and the values below\n", ordinary.target().c_str(),
                    counted(ordinary.threads(), "thread").c_str());
    }
    for (const detail::BlocksMade &made : ordinary.blocks()) {
        print_blocks(made, ordinary.threads());
    }
    if (ordinary.blocks().empty()) {
        std::printf("threads     %s\n",
                    ordinary.loops().empty() ? "1: no loop is large enough for more" : "share the kernels' loops");
    }
    print_kernels(ordinary, hard);
    print_loops(ordinary);
    for (const Record::Stores &made : ordinary.stores()) {
        print_stores(made);
    }
    std::printf("memory      %s besides the tensors, at most at once\n", bytes_text(ordinary.most_memory()).c_str());
    if (!ordinary.blocks().empty()) {
        print_dispatch(*ordinary.blocks().front().dispatch);
    }
}

}  // namespace hnorm::tools
