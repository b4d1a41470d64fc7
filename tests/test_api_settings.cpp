// Settings of the process: those out of range are refused and change nothing. And the library's
// names of statuses.
#include "api.h"

#include <string>

using namespace api;

TEST_CASE("settings out of range are refused and change nothing", "[once]") {
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    for (int threads : {-1, 257, 1 << 30}) {
        require_refused(hnorm_set_num_threads(threads), HNORM_INVALID_ARGUMENT,
                        {"threads is " + std::to_string(threads), "1 to 256"});
        REQUIRE(hnorm_get_num_threads() == 3);
    }
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
    const std::string before = hnorm_target();
    require_refused(hnorm_set_target("abacus"), HNORM_INVALID_ARGUMENT,
                    {"hnorm_set_target: ", "\"abacus\" is unknown", hnorm_target_name(0)});
    REQUIRE(hnorm_target() == before);
    for (int i = 0; i < hnorm_target_count(); i++) {
        INFO(hnorm_target_name(i));
        if (hnorm_target_unusable(i)) {
            require_refused(hnorm_set_target(hnorm_target_name(i)), HNORM_UNSUPPORTED,
                            {hnorm_target_name(i), hnorm_target_unusable(i)});
        } else {
            REQUIRE(hnorm_set_target(hnorm_target_name(i)) == HNORM_OK);
            REQUIRE(std::string(hnorm_target()) == hnorm_target_name(i));
        }
        REQUIRE(hnorm_set_target(i % 2 ? "" : nullptr) == HNORM_OK);
        REQUIRE(hnorm_target() == before);
    }
    REQUIRE(hnorm_target_name(-1) == nullptr);
    REQUIRE(hnorm_target_name(hnorm_target_count()) == nullptr);
    REQUIRE(hnorm_target_unusable(-1) != nullptr);
    REQUIRE(hnorm_target_unusable(hnorm_target_count()) != nullptr);
}

TEST_CASE("names of statuses", "[once]") {
    REQUIRE(std::string(hnorm_status_name(HNORM_OK)) == "HNORM_OK");
    REQUIRE(std::string(hnorm_status_name(HNORM_INTERNAL)) == "HNORM_INTERNAL");
    REQUIRE(std::string(hnorm_status_name(HNORM_FILE_ERROR)) == "HNORM_FILE_ERROR");
    REQUIRE(hnorm_status_name(static_cast<hnorm_status>(99)) != nullptr);
    int dots = 0;
    for (const char *c = hnorm_version(); *c; c++) dots += *c == '.';
    REQUIRE(dots == 2);
}
