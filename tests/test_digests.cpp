// Every kernel of the manifest by itself, on one target with each of its schedules, against
// tests/digests.txt, which the serial transcription wrote (write_digests): the same file for every
// target and number of threads. Or the kernels of a pack. Not a Catch2 executable: it has options,
// for whoever tries kernels out (`test_digests --help`), and version 2 cannot skip.
#include "digest.h"
#include "kernel_calls.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace test;

namespace {

constexpr int kSkip = 77;  // SKIP_RETURN_CODE of the test (CMakeLists.txt)

struct Options {
    std::string target, pack, file = HNORM_DIGESTS;
    std::string kernel, planes, type;  // empty: all
    std::vector<int> threads = {1, 2, 3, 7};
};

// The file's digests by their keys.
std::map<std::string, std::string> read_digests(const std::string &path) {
    std::ifstream in(path);
    std::map<std::string, std::string> result;
    std::string line;
    while (std::getline(in, line)) {
        const size_t space = line.rfind(' ');
        if (line[0] != '#' && space != std::string::npos) result[line.substr(0, space)] = line.substr(space + 1);
    }
    if (result.empty()) throw std::runtime_error("cannot read " + path);
    return result;
}

void set_up(const std::string &target) {
    if (hnorm_set_target(target.c_str()) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
    // The first call of the library puts its parallel loop into Halide's runtime.
    float x = 1, y = 0;
    const int64_t shape[2] = {1, 1};
    const hnorm_tensor in = hnorm_channels_first(&x, 2, shape), out = hnorm_channels_first(&y, 2, shape);
    const double mean = 0, variance = 1;
    if (hnorm_normalize(&in, HNORM_BATCH, &mean, &variance, nullptr, 0, nullptr, &out) != HNORM_OK)
        throw std::runtime_error(hnorm_last_error());
}

int target_index(const std::string &name) {
    for (int i = 0; i < hnorm_target_count(); i++)
        if (name == hnorm_target_name(i)) return i;
    return -1;
}

struct Counts {
    int checked = 0, wrong = 0;
};

// A kernel for one class, type and kind of groups, with every number of threads.
Counts check_kernel(const Options &options, const std::map<std::string, std::string> &digests,
                    const ManifestKernel &kernel, const DigestInputs &list, const std::string &key,
                    const hnorm::detail::Target &target, hnorm_type type) {
    Counts counts;
    const auto expected = digests.find(key);
    for (int threads : options.threads) {
        if (hnorm_set_num_threads(threads) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
        const std::string found = digest_of(kernel, list, [&](KernelInputs &in, int variant) {
            return call(in, kernel, variant, Place::kApart, target, type);
        });
        counts.checked++;
        if (expected != digests.end() && found == expected->second) continue;
        counts.wrong++;
        std::printf("differs: %s, %s, threads %d: %s, expected %s\n", key.c_str(), target.schedule, threads,
                    found.c_str(), expected == digests.end() ? "(not in the file)" : expected->second.c_str());
    }
    return counts;
}

// `all`: the target whose kernels need not be looked at, as they are looked at already; null: none.
Counts check(const Options &options, const hnorm::detail::Target &target, const hnorm::detail::Target *all) {
    const std::map<std::string, std::string> digests = read_digests(options.file);
    Counts counts;
    for (const std::string &planes : kManifestPlanes) {
        if (!options.planes.empty() && planes != options.planes) continue;
        const DigestClass &of = digest_class(planes);
        for (hnorm_type type : kManifestTypes) {
            if (!options.type.empty() && TensorFormat{false, type}.type_name() != options.type) continue;
            std::vector<ManifestKernel> kernels;
            for (const ManifestKernel &kernel : kManifestKernels) {
                const bool named = options.kernel.empty() || kernel.name == options.kernel;
                if (kernel.planes == planes && named && (!all || differ(kernel, target, *all, type)))
                    kernels.push_back(kernel);
            }
            if (kernels.empty()) continue;
            for (hnorm_group group : kGroups) {
                const DigestInputs list = digest_inputs(of, group, type);
                for (const ManifestKernel &kernel : kernels) {
                    const std::string key = digest_key(kernel.name, of, group, type);
                    const Counts more = check_kernel(options, digests, kernel, list, key, target, type);
                    counts.checked += more.checked;
                    counts.wrong += more.wrong;
                }
            }
        }
    }
    return counts;
}

void say(const char *what, const Counts &counts) {
    std::printf("%s: %d of %d digests are those of the transcription\n", what, counts.checked - counts.wrong,
                counts.checked);
}

int check_target(const Options &options, int index) {
    const hnorm::detail::Target &target = hnorm::detail::hnorm_targets[index];
    set_up(options.target);
    const Counts counts = check(options, target, nullptr);
    if (!counts.checked) throw std::runtime_error("the manifest has no such kernel");
    say(target.schedule, counts);
    int wrong = counts.wrong;
    for (int i = 0; i < target.schedule_count; i++) {
        const Counts own = check(options, target.schedules[i], &target);
        say(target.schedules[i].schedule, own);
        wrong += own.wrong;
    }
    return wrong ? 1 : 0;
}

int check_pack(const Options &options) {
    char reason[512];
    const hnorm::detail::Target *const target =
        hnorm::detail::hnorm_read_pack(options.pack.c_str(), nullptr, reason, sizeof reason);
    if (!target) throw std::runtime_error("--pack is " + options.pack + ": " + reason);
    set_up(target->name);
    hnorm::detail::Target library = *target;
    library.pack = nullptr;
    const Counts counts = check(options, *target, &library);
    if (!counts.checked) throw std::runtime_error("--pack is " + options.pack + ": it has no such kernel");
    say(options.pack.c_str(), counts);
    return counts.wrong ? 1 : 0;
}

const char kUsage[] =
    "usage: test_digests --target TARGET|--pack FILE [--kernel NAME] [--planes CLASS] [--type f32|f16|bf16] [--threads N]\n"
    "                    [--file FILE]\n"
    "Exit status: 0 all kernels give the file's digests, 1 some do not, 77 this CPU or library cannot run the target\n";

bool read_options(int argc, char **argv, Options *options) {
    for (int i = 1; i < argc; i += 2) {
        const std::string option = argv[i];
        if (i + 1 == argc) return false;
        if (option == "--target") {
            options->target = argv[i + 1];
        } else if (option == "--pack") {
            options->pack = argv[i + 1];
        } else if (option == "--kernel") {
            options->kernel = argv[i + 1];
        } else if (option == "--planes") {
            options->planes = argv[i + 1];
        } else if (option == "--type") {
            options->type = argv[i + 1];
        } else if (option == "--threads") {
            options->threads = {std::atoi(argv[i + 1])};
        } else if (option == "--file") {
            options->file = argv[i + 1];
        } else {
            return false;
        }
    }
    return options->target.empty() != options->pack.empty();
}

}  // namespace

int main(int argc, char **argv) {
    Options options;
    if (!read_options(argc, argv, &options)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    const int target = target_index(options.target);
    const char *unusable = target < 0 ? nullptr : hnorm_target_unusable(target);
    if (unusable) {
        std::printf("SKIPPED: %s: %s\n", options.target.c_str(), unusable);
        return kSkip;
    }
    try {
        return options.pack.empty() ? check_target(options, target) : check_pack(options);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "test_digests: %s\n", problem.what());
        return 2;
    }
}
