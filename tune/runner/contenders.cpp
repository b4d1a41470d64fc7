#include "contenders.h"

#include <chrono>
#include <stdexcept>

namespace hnorm::tune {

void use(const std::string &row) {
    if (hnorm_set_target(row.c_str()) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
}

std::vector<std::string> table_rows() {
    std::vector<std::string> names;
    for (int i = 0; i < hnorm_target_count(); i++) names.push_back(hnorm_target_name(i));
    return names;
}

std::vector<Contender> kernels(Calls &calls, const Case &c) {
    std::vector<Contender> contenders;
    for (const std::string &row : table_rows()) contenders.push_back({row, [row] { use(row); }, calls.call(c)});
    return contenders;
}

Contender floor(Calls &calls, const Case &c) {
    return {"floor", [] {}, calls.floor(c)};
}

double timed(const Contender &contender, int times) {
    using Clock = std::chrono::steady_clock;
    contender.prepare();
    const auto start = Clock::now();
    for (int i = 0; i < times; i++) contender.call();
    return std::chrono::duration<double>(Clock::now() - start).count() / times;
}

}  // namespace hnorm::tune
