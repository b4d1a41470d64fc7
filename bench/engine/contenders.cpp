#include "contenders.h"

#include <chrono>

namespace hnorm::bench {
namespace {

// prepare is not timed.
Contender timed(std::string name, std::function<void()> prepare, std::function<void()> call) {
    return {std::move(name), [prepare = std::move(prepare), call = std::move(call)](int calls) {
                using Clock = std::chrono::steady_clock;
                prepare();
                wait();
                const auto start = Clock::now();
                for (int i = 0; i < calls; i++) call();
                wait();
                return std::chrono::duration<double>(Clock::now() - start).count() / calls;
            }};
}

void nothing() {}

}  // namespace

std::vector<Contender> kernels(Calls &calls, const Case &c) {
    std::vector<Contender> contenders;
    for (const std::string &row : table_rows()) contenders.push_back(timed(row, [row] { use(row); }, calls.call(c)));
    return contenders;
}

Contender call_after(const std::string &name, const std::function<void()> &prepare, Calls &calls, const Case &c) {
    return timed(name, prepare, calls.call(c));
}

Contender floor(Calls &calls, const Case &c) {
    const std::function<void()> call = floor_of(calls, c);
    return timed("floor", c.operation->function == Function::kCopy ? call : nothing, call);
}

std::vector<Contender> copies(Calls &calls, const Case &c) {
    std::vector<Contender> contenders;
    for (const Copy kind : {Copy::kMemcpy, Copy::kStreaming}) {
        const std::function<void()> call = calls.copy(kind, c);
        contenders.push_back(timed(copy_name(kind), call, call));
    }
    return contenders;
}

Contender plain_loop(Calls &calls, const Case &c) { return timed("plain", nothing, plain_call(calls, c)); }

}  // namespace hnorm::bench
