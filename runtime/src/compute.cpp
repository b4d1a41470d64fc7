#include "compute.h"

#include <algorithm>
#include <cinttypes>
#include <new>

#include "error.h"
#include "targets.h"
#include "threads.h"

namespace hnorm::detail {

bool channels_last(std::initializer_list<const Planes *> tensors) {
    const auto last = [](const Planes *p) { return p != nullptr && p->layout == Layout::kChannelsLast; };
    const auto first = [](const Planes *p) { return p != nullptr && p->layout == Layout::kChannelsFirst; };
    const Planes &x = **tensors.begin();
    return x.s > 1 && x.c == 1 ? std::any_of(tensors.begin(), tensors.end(), last)
                               : std::none_of(tensors.begin(), tensors.end(), first);
}

PlaneClass pointwise_class(std::initializer_list<const Planes *> tensors) {
    return channels_last(tensors) ? kLast : plane_class((*tensors.begin())->s);
}
bool is_one_plane(const Planes &x, hnorm_group group) { return x.s == 1 && group == HNORM_BATCH; }

Planes one_plane(const Planes &x) {
    Planes p = x;
    p.layout = Layout::kChannelsLast;
    p.s = x.n;
    p.stride_s = x.n > 1 ? x.stride_n : 1;
    p.n = 1;
    p.stride_n = 0;
    return p;
}

bool runs_serially(const Machine &machine, const Planes &x) {
    return machine.threads == 1 || x.elements() < machine.dispatch(x).serial_below;
}

hnorm_status find_machine(const char *function, hnorm_device device, Machine *machine, Operation operation) {
    machine->operation = operation;
    machine->device = device_of_thread(device);
    if (machine->device) {
        return HNORM_OK;
    }
    HNORM_TRY(active_target(function, &machine->target));
    return thread_count(function, &machine->threads);
}

template <typename T>
hnorm_status ScratchOf<T>::reserve(const char *function, int64_t count) {
    if (count > kSmall) {
        large_ = new (std::nothrow) T[static_cast<size_t>(count)];
        if (large_ == nullptr) {
            return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " statistics", function, count);
        }
    }
    return HNORM_OK;
}
template class ScratchOf<double>;
template class ScratchOf<float>;
template class ScratchOf<int32_t>;

}  // namespace hnorm::detail
