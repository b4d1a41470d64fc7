#include "device_arrays.h"

#include <algorithm>

namespace hnorm::tune {

DeviceArrays::DeviceArrays(Calls &calls, Device device) : calls_(calls), device_(device) {
    for (const Calls::Array &array : calls.arrays())
        arrays_.emplace(array.memory, DeviceArray<char>(device, static_cast<size_t>(array.bytes)));
    calls.place(static_cast<hnorm_device>(device), [this](void *memory) { return of(memory); });
}

void DeviceArrays::send() {
    for (const Calls::Array &array : calls_.arrays())
        header::require_ok(hnorm_device_copy_in(static_cast<hnorm_device>(device_), of(array.memory), array.memory,
                                                static_cast<size_t>(array.bytes)));
}

void DeviceArrays::fetch() {
    for (const Calls::Array &array : calls_.arrays())
        header::require_ok(hnorm_device_copy_out(static_cast<hnorm_device>(device_), array.memory, of(array.memory),
                                                 static_cast<size_t>(array.bytes)));
}

std::function<void()> DeviceArrays::copies(const Case &c, int64_t bytes_moved) const {
    const auto on_device = [this](const char *name) { return of(calls_.memory(name)); };
    const int64_t tensor = c.tensor_bytes();
    void *const from[] = {on_device("x"), on_device("dy"), on_device("residual")};
    void *const to[] = {on_device("y"), on_device("dresidual"), on_device("y")};
    return [=, device = static_cast<hnorm_device>(device_)] {
        int64_t left = bytes_moved / 2;
        for (int i = 0; left > 0; i++) {
            const int64_t bytes = std::min(left, tensor);
            header::require_ok(hnorm_device_copy(device, to[i], from[i], static_cast<size_t>(bytes)));
            left -= bytes;
        }
    };
}

}  // namespace hnorm::tune
