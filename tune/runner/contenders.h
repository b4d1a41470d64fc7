// What a row times: its call with the kernels of each row of the table, and the copy floor.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "calls.h"

namespace hnorm::tune {

struct Contender {
    std::string name;               // a row of the table, or "floor"
    std::function<void()> prepare;  // not timed
    std::function<void()> call;
};

// Makes the kernels of a row of the table those in use.
void use(const std::string &row);
std::vector<std::string> table_rows();

std::vector<Contender> kernels(Calls &calls, const Case &c);
Contender floor(Calls &calls, const Case &c);

// Seconds of a call, over so many.
double timed(const Contender &contender, int times);

}  // namespace hnorm::tune
