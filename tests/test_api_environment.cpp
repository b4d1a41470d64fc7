// HNORM_TARGET and HNORM_NUM_THREADS are read once in a process: every check here runs in a child,
// and the parent, which never computes, reads what it found.
#include "api.h"
#include "in_child.h"

#include <cstdlib>

using namespace api;

namespace {

// What `body` returns when it runs in a process of its own with these variables set ("" unsets).
std::string in_child(const char *target, const char *threads, const std::function<std::string()> &body) {
    const auto prepare = [&] {
        unsetenv("HNORM_TARGET");
        unsetenv("HNORM_NUM_THREADS");
        if (target) setenv("HNORM_TARGET", target, 1);
        if (threads) setenv("HNORM_NUM_THREADS", threads, 1);
    };
    return in_child_after(prepare, body);
}

// One line for each computing function: its name, status, reason, and whether it wrote.
std::string compute_everything() {
    hnorm_layer *layer = nullptr;
    if (hnorm_layer_create(3, nullptr, &layer) != HNORM_OK) return "no layer";
    std::string result;
    for (const Function &function : computing_functions(layer, 3)) {
        Pair pair({2, 3, 4, 5});
        Arrays arrays(3);
        const hnorm_status status = function.call(&pair.in, &pair.out, arrays);
        const bool wrote = !all_are(pair.y, kSentinel) || !arrays.untouched();
        result += std::string(hnorm_status_name(status)) + " " +
                  (status == HNORM_OK ? function.name : hnorm_last_error()) + (wrote ? " wrote\n" : " untouched\n");
    }
    hnorm_layer_destroy(layer);
    return result;
}

const char *const kFunctions[] = {"hnorm_moments", "hnorm_normalize", "hnorm_forward", "hnorm_batch_normalization",
                                  "hnorm_layer_forward"};

void require_all_compute(const std::string &lines) {
    std::string expected;
    for (const char *function : kFunctions) expected += std::string("HNORM_OK ") + function + " wrote\n";
    REQUIRE(lines == expected);
}

void require_all_refuse(const std::string &lines, const char *status, const std::string &problem) {
    INFO(lines);
    for (const char *function : kFunctions) {
        const size_t at = lines.find(std::string(status) + " " + function + ": " + problem);
        INFO(function);
        REQUIRE(at != std::string::npos);
        const std::string line = lines.substr(at, lines.find('\n', at) - at);
        REQUIRE(line.substr(line.size() - 9) == "untouched");
    }
}

std::string first_usable() {
    for (int i = 0; i < hnorm_target_count(); i++)
        if (!hnorm_target_unusable(i)) return hnorm_target_name(i);
    return "none";
}

}  // namespace

TEST_CASE("without variables the best usable target is used") {
    for (const char *unset : {static_cast<const char *>(nullptr), ""}) {
        require_all_compute(in_child(unset, unset, compute_everything));
        REQUIRE(in_child(unset, unset, [] { return std::string(hnorm_target()); }) == first_usable());
    }
}

TEST_CASE("HNORM_TARGET forces a target, or every computation says why not") {
    for (int i = 0; i < hnorm_target_count(); i++) {
        const char *const name = hnorm_target_name(i), *const unusable = hnorm_target_unusable(i);
        INFO(name);
        const std::string lines = in_child(name, nullptr, compute_everything);
        if (unusable) {
            require_all_refuse(
                lines, "HNORM_UNSUPPORTED",
                "environment variable HNORM_TARGET: \"" + std::string(name) + "\" cannot run here: " + unusable);
        } else {
            require_all_compute(lines);
            REQUIRE(in_child(name, nullptr, [] { return std::string(hnorm_target()); }) == name);
        }
    }
}

TEST_CASE("an unknown HNORM_TARGET is an error of every computation, not ignored") {
    const std::string lines = in_child("abacus", nullptr, compute_everything);
    require_all_refuse(lines, "HNORM_INVALID_ARGUMENT",
                       "environment variable HNORM_TARGET: \"abacus\" is unknown; the targets are " +
                           std::string(hnorm_target_name(0)));
    REQUIRE(in_child("abacus", nullptr, [] { return std::string(hnorm_target()); }).empty());
}

TEST_CASE("hnorm_set_target overrides HNORM_TARGET until it is undone") {
    const auto target_then = [](const char *undo) {
        return in_child("abacus", nullptr, [undo] {
            if (hnorm_set_target(first_usable().c_str()) != HNORM_OK) return std::string(hnorm_last_error());
            if (undo && hnorm_set_target(undo) != HNORM_OK) return std::string(hnorm_last_error());
            return hnorm_target() + ("\n" + compute_everything());
        });
    };
    const std::string forced = target_then(nullptr);
    REQUIRE(forced.substr(0, forced.find('\n')) == first_usable());
    require_all_compute(forced.substr(forced.find('\n') + 1));
    require_all_refuse(target_then(""), "HNORM_INVALID_ARGUMENT", "environment variable HNORM_TARGET: \"abacus\"");
}

TEST_CASE("HNORM_NUM_THREADS sets the threads, or every computation says what is allowed") {
    const auto threads = [] { return std::to_string(hnorm_get_num_threads()); };
    REQUIRE(in_child(nullptr, "3", threads) == "3");
    REQUIRE(in_child(nullptr, "256", threads) == "256");
    require_all_compute(in_child(nullptr, "3", compute_everything));
    for (const char *bad : {"0", "-1", "257", "two", "2x", "99999999999999999999", " "}) {
        INFO("HNORM_NUM_THREADS=" << bad);
        require_all_refuse(
            in_child(nullptr, bad, compute_everything), "HNORM_INVALID_ARGUMENT",
            "environment variable HNORM_NUM_THREADS is \"" + std::string(bad) + "\": it must be 1 to 256");
    }
    require_all_compute(in_child(nullptr, "two", [] {
        return hnorm_set_num_threads(2) == HNORM_OK ? compute_everything() : std::string(hnorm_last_error());
    }));
    REQUIRE(in_child(nullptr, "3", [&threads] {
                return hnorm_set_num_threads(5) == HNORM_OK && threads() == "5" && hnorm_set_num_threads(0) == HNORM_OK
                           ? threads()
                           : std::string("refused");
            }) == "3");
}
