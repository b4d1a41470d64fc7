// What the tests of forward's properties share: shapes of every kind, and every target.
#pragma once

#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "machine.h"

#include <string>
#include <vector>

namespace test {

// One or more of each class, rank and way of sharing the work.
inline const std::vector<Shape> kShapes = {
    {70, 5},      {33, 4, 3},     {9, 6, 15},       {65, 3, 17}, {20, 5, 7, 7}, {6, 4, 2, 5, 5},  {3, 3, 32, 32},
    {2, 3, 1025}, {3, 2, 65, 63}, {1, 2, 300, 301}, {1, 4, 9},   {2, 3, 4096},  {600, 2, 14, 14}, {2, 70, 30, 31}};

// Calls check(group, where) for every target and group that `shape` can be normalized by.
template <typename Check>
void for_each_group(const Shape &shape, Check check) {
    for (const std::string &target : targets_for_properties()) {
        for (int threads : {1, 3}) {
            const Machine machine(target, threads);
            for (hnorm_group group : kGroups) {
                if (group_size(Tensor(shape), group) < 2) continue;
                const std::string where = std::string(name(group)) + " " + to_string(shape) + ", " + machine.describe();
                INFO(where);
                check(group, where);
            }
        }
    }
    SUCCEED();
}

inline void require_same(const std::string &difference, const std::string &where) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

}  // namespace test
