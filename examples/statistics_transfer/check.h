// hnorm's statuses as exceptions.
#pragma once

#include <hnorm/hnorm.h>

#include <stdexcept>
#include <string>

namespace demo {

inline void check(hnorm_status status) {
    if (status != HNORM_OK)
        throw std::runtime_error(std::string(hnorm_status_name(status)) + ": " + hnorm_last_error());
}

}  // namespace demo
