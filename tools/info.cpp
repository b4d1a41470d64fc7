// hnorm info: the targets that there are kernels for, and which of them is in use.
#include <hnorm/hnorm.h>
#include <hnorm/wisdom.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "commands.h"
#include "explain.h"
#include "machine.h"

namespace hnorm::tools {
namespace {

struct Info {
    std::string target;  // that is forced; empty: none is
    std::string call;    // that is explained; empty: none is
    int threads = 0;     // 0: as many as are usual
};

// Runs the target in use: says what a wrong HNORM_TARGET or HNORM_NUM_THREADS makes of a program.
bool computes() {
    float x = 1;
    const int64_t shape[] = {1, 1};
    const hnorm_tensor tensor = hnorm_channels_first(&x, 2, shape);
    double count = 0, mean = 0, m2 = 0;
    return hnorm_moments(&tensor, HNORM_BATCH, &count, &mean, &m2) == HNORM_OK && mean == 1;
}

void list_targets(const char *how) {
    int width = 0;
    for (int i = 0; i < hnorm_target_count(); ++i) {
        width = std::max(width, static_cast<int>(std::strlen(hnorm_target_name(i))));
    }
    std::printf("hnorm %s, %d threads; targets, best first:\n", hnorm_version(), hnorm_get_num_threads());
    for (int i = 0; i < hnorm_target_count(); ++i) {
        const char *const name = hnorm_target_name(i), *const unusable = hnorm_target_unusable(i);
        const bool in_use = std::strcmp(name, hnorm_target()) == 0;
        std::printf("%c %-*s  %s%s\n", in_use ? '*' : ' ', width, name,
                    unusable ? unusable
                    : in_use ? "in use"
                             : "usable",
                    in_use ? how : "");
    }
    for (int i = 0; i < hnorm_target_count(); ++i) {
        if (std::strcmp(hnorm_target_name(i), hnorm_target()) == 0) {
            std::printf("%s\n", hnorm_target_schedule(i));
        }
    }
    if (*hnorm_pack()) {
        std::printf("%s\n", hnorm_pack());
    }
}

void run(const Info &info) {
    choose(info.target, info.threads);
    if (!computes()) {
        throw Failure(hnorm_last_error());
    }
    if (!info.call.empty()) {
        explain(info.call);
        return;
    }
    const char *const variable = std::getenv("HNORM_TARGET");
    list_targets(!info.target.empty()    ? ", forced by --target"
                 : variable && *variable ? ", forced by HNORM_TARGET"
                                         : "");
    for (int i = 0; i < hnorm_wisdom_note_count(); ++i) {
        std::printf("wisdom: %s\n", hnorm_wisdom_note(i));
    }
}

}  // namespace

void add_info(CLI::App &program) {
    CLI::App *const command = program.add_subcommand(
        "info", "List the targets that there are kernels for: which is in use here, and why others cannot be");
    const auto info = std::make_shared<Info>();
    command->add_option("--target", info->target, "Force a target, as HNORM_TARGET and hnorm_set_target do")
        ->type_name("NAME");
    command->add_option("--threads", info->threads, "So many threads")->type_name("N")->check(CLI::PositiveNumber);
    command
        ->add_option("--call", info->call,
                     "Make a call, as 'forward batch 32x64x112x112 f32', and show what the library\ndecides about it: "
                     "kernels, threads, blocks, stores, memory, and why")
        ->type_name("WORDS");
    command->callback([info] { run(*info); });
}

}  // namespace hnorm::tools
