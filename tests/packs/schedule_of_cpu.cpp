// Says which schedule file the runtime takes on the CPU that HNORM_CPU_MODEL names, and why, with a
// table of the test's own.
#include <hnorm/hnorm.h>

#include <cstdio>

#include "pack.h"
#include "targets.h"

namespace hnorm::detail {

namespace {
const char *const nothing[] = {nullptr};
const char *const zen3[] = {"AuthenticAMD-25-1", "AuthenticAMD-25-21", nullptr};
const char *const zen4[] = {"AuthenticAMD-25-11", "AuthenticAMD-25-61", nullptr};
const Target schedules[] = {{"any", nothing, 1, "any.zen4", zen4, 0, nullptr, nullptr, {}},
                            {"any", nothing, 2, "any.zen3", zen3, 0, nullptr, nullptr, {}}};
}  // namespace

const Target hnorm_targets[] = {{"any", nothing, 0, "any", nullptr, 2, schedules, nullptr, {}}};
const int hnorm_targets_count = 1;

const Target *with_pack(const Target *target) { return target; }

}  // namespace hnorm::detail

int main() {
    const hnorm::detail::Target *target = nullptr;
    bool is_named = false;
    if (hnorm::detail::active_target("test", &target, &is_named) != HNORM_OK) {
        std::printf("%s\n", hnorm_last_error());
        return 1;
    }
    // By its name the target is the same.
    const bool same = hnorm_set_target("any") == HNORM_OK && hnorm_target_count() == 1;
    const hnorm::detail::Target *forced = nullptr;
    if (!same || hnorm::detail::active_target("test", &forced, &is_named) != HNORM_OK || forced != target) return 1;
    std::printf("%s, %s: %s\n", target->schedule, hnorm_target(), hnorm_target_schedule(0));
    return 0;
}
