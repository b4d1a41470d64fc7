// The program hnorm: what this library has for the machine that it runs on.
#include <hnorm/hnorm.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr char kUsage[] =
    "usage: hnorm info [--target NAME]\n"
    "\n"
    "Lists the targets that hnorm has kernels for, which of them is in use here, and why others cannot be. --target, like\n"
    "the environment variable HNORM_TARGET and the function hnorm_set_target, forces one.\n";

int fail(const char *reason) {
    std::fprintf(stderr, "hnorm: %s\n", reason);
    return 1;
}

// Runs the target in use: says what a wrong HNORM_TARGET or HNORM_NUM_THREADS makes of a program.
bool computes() {
    float x = 1;
    const int64_t shape[] = {1, 1};
    const hnorm_tensor tensor = hnorm_channels_first(&x, 2, shape);
    double count = 0, mean = 0, m2 = 0;
    return hnorm_moments(&tensor, HNORM_BATCH, &count, &mean, &m2) == HNORM_OK && mean == 1;
}

int info(const char *forced) {
    if (forced && hnorm_set_target(forced) != HNORM_OK) {
        return fail(hnorm_last_error());
    }
    if (!computes()) {
        return fail(hnorm_last_error());
    }
    const char *const variable = std::getenv("HNORM_TARGET");
    const char *const how = forced ? ", forced by --target" : variable && *variable ? ", forced by HNORM_TARGET" : "";
    int width = 0;
    for (int i = 0; i < hnorm_target_count(); ++i) {
        const int length = static_cast<int>(std::strlen(hnorm_target_name(i)));
        width = length > width ? length : width;
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
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    const bool is_info = argc >= 2 && std::strcmp(argv[1], "info") == 0;
    if (is_info && argc == 2) {
        return info(nullptr);
    }
    if (is_info && argc == 4 && std::strcmp(argv[2], "--target") == 0 && *argv[3]) {
        return info(argv[3]);
    }
    const bool help = argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "help") == 0);
    std::fputs(kUsage, help ? stdout : stderr);
    return help ? 0 : 2;
}
