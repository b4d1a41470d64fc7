#include "machine.h"

#include <hnorm/hnorm.h>

#include <ctime>

#include "failure.h"

namespace hnorm::tools {

std::string now() {
    const std::time_t seconds = std::time(nullptr);
    char text[64] = "";
    std::strftime(text, sizeof text, "%FT%T%z", std::localtime(&seconds));
    return text;
}

void choose(const std::string &target, int threads) {
    if ((!target.empty() && hnorm_set_target(target.c_str()) != HNORM_OK) ||
        (threads != 0 && hnorm_set_num_threads(threads) != HNORM_OK)) {
        throw Failure(hnorm_last_error());
    }
}

}  // namespace hnorm::tools
