#include "contenders.h"

#include <chrono>

namespace hnorm::tune {

std::vector<Contender> kernels(Calls &calls, const Case &c) {
    std::vector<Contender> contenders;
    for (const std::string &row : table_rows()) contenders.push_back({row, [row] { use(row); }, calls.call(c)});
    return contenders;
}

Contender floor(Calls &calls, const Case &c) {
    return {"floor", [] {}, floor_of(calls, c)};
}

double timed(const Contender &contender, int times) {
    using Clock = std::chrono::steady_clock;
    contender.prepare();
    wait();
    const auto start = Clock::now();
    for (int i = 0; i < times; i++) contender.call();
    wait();
    return std::chrono::duration<double>(Clock::now() - start).count() / times;
}

}  // namespace hnorm::tune
