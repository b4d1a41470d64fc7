// Kernels that compute nothing and say that they were called: a table of them tells which kernels a call takes, by asking the
// runtime itself. Only the table that the tuner writes for that purpose includes this.
#pragma once

#include <set>
#include <string>

namespace hnorm::tune {

std::set<std::string> &kernels_called();

template <typename Kernel, const char *name>
struct Probe;

template <const char *name, typename... Arguments>
struct Probe<int (*)(Arguments...), name> {
    static int call(Arguments...) {
        kernels_called().insert(name);
        return 0;
    }
};

}  // namespace hnorm::tune
