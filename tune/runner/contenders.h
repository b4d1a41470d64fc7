// What a row times: its call with the kernels of each row of the table, and the copy floor.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "place.h"

namespace hnorm::tune {

struct Contender {
    std::string name;               // a row of the table, or "floor"
    std::function<void()> prepare;  // not timed
    std::function<void()> call;
};

std::vector<Contender> kernels(Calls &calls, const Case &c);
Contender floor(Calls &calls, const Case &c);

// Seconds of a call, over so many.
double timed(const Contender &contender, int times);

}  // namespace hnorm::tune
