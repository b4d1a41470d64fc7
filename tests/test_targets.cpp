// One test for each target in the library, which ctest lists as skipped, with the reason, where this CPU cannot run it:
// the other suites run every usable target and leave the rest out. Not a Catch2 executable: version 2 cannot skip.
#include <hnorm/hnorm.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int kSkip = 77;  // SKIP_RETURN_CODE of the test (CMakeLists.txt)

// Forces the target and normalizes 1, 2, 3, 4 with it.
int run(const char *name) {
    if (hnorm_set_target(name) != HNORM_OK || std::strcmp(hnorm_target(), name) != 0) {
        std::printf("cannot be forced: %s\n", hnorm_last_error());
        return 1;
    }
    float x[4] = {1, 2, 3, 4}, y[4] = {};
    const int64_t shape[3] = {1, 1, 4};
    const hnorm_tensor input = hnorm_channels_first(x, 3, shape), output = hnorm_channels_first(y, 3, shape);
    double mean = 0, variance = 0;
    if (hnorm_forward(&input, HNORM_BATCH, nullptr, 0, nullptr, &output, &mean, &variance) != HNORM_OK) {
        std::printf("%s\n", hnorm_last_error());
        return 1;
    }
    const bool right = mean == 2.5 && variance == 1.25 && y[0] == -y[3] && y[0] > -1.3417f && y[0] < -1.3416f;
    std::printf("%s: mean %g, variance %g, y[0] %g\n", name, mean, variance, y[0]);
    return right ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
    for (int i = 0; argc == 2 && i < hnorm_target_count(); i++) {
        if (std::strcmp(hnorm_target_name(i), argv[1]) != 0) continue;
        const char *reason = hnorm_target_unusable(i);
        if (!reason) return run(argv[1]);
        std::printf("SKIPPED: %s: %s\n", argv[1], reason);
        return kSkip;
    }
    std::printf("usage: test_targets TARGET, one that the library has\n");
    return 2;
}
