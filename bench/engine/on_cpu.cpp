#include <cstring>
#include <stdexcept>

#include "place.h"
#include "rounds.h"

extern "C" const char *hnorm_cpu_model(void);  // runtime/src/cpu_model.h

namespace hnorm::bench {

void use(const std::string &row) {
    if (hnorm_set_target(row.c_str()) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
}

std::vector<std::string> table_rows() {
    std::vector<std::string> names;
    for (int i = 0; i < hnorm_target_count(); i++) names.push_back(hnorm_target_name(i));
    return names;
}

std::string machine() {
    std::string usable;
    for (int i = 0; i < hnorm_target_count(); i++)
        if (!hnorm_target_unusable(i)) usable += (usable.empty() ? "\"" : ", \"") + table_rows()[i] + "\"";
    return std::string("{\"target\": \"") + hnorm_target() + "\", \"targets\": [" + usable + "], \"cpu_model\": \"" +
           hnorm_cpu_model() + "\", \"threads\": " + std::to_string(hnorm_get_num_threads()) +
           ", \"copy_vectors\": \"" + copy_vectors() + "\"}";
}
std::vector<int> thread_counts() { return {1, 3}; }
double least_timing() { return Conditions().least_timing; }

void place(Calls &) {}
void send() {}
void fetch() {}
void fill(Calls &calls, const std::string &name, const void *values, int64_t bytes) {
    std::memcpy(calls.memory(name), values, static_cast<size_t>(bytes));
}
void wait() {}

std::function<void()> floor_of(Calls &calls, const Case &c) { return calls.floor(c); }

}  // namespace hnorm::bench
