// A row: op/group/layout/type/NxCx..., the first five parts of a benchmark's name.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>
#include <string>
#include <vector>

#include "operations.h"

namespace hnorm::bench {

// Bytes of an element.
int64_t size_of(hnorm_type type);

struct Case {
    std::string name;
    const Operation *operation;
    hnorm_group group;
    bool channels_last;
    hnorm_type type;
    std::vector<int64_t> shape;

    int64_t elements() const;
    int64_t tensor_bytes() const;  // of x, or any of its shape
    int64_t bytes_moved() const;   // what a call must read and write at least
    int64_t groups() const;
};

// Throws std::runtime_error that says what is wrong with the name.
Case parse_case(const std::string &name);

}  // namespace hnorm::bench
