#include "call.h"

#include <cinttypes>

#include "error.h"
#include "scratch.h"
#include "targets.h"
#include "threads.h"

namespace hnorm::detail {

hnorm_status Machine::find(const char *function, hnorm_device device, const hnorm_context *context) {
    logged_.begin();
    context_.use(context);
    device_ = device_of_thread(device);
    cpu_.function = function;
    if (device_) {
        return HNORM_OK;
    }
    HNORM_TRY(active_target(function, &cpu_.target));
    return thread_count(function, &cpu_.threads);
}

template <typename T>
hnorm_status ScratchOf<T>::reserve(const char *function, int64_t count) {
    free_scratch(large_);
    large_ = nullptr;
    if (count > kSmall) {
        large_ = static_cast<T *>(allocate_scratch(static_cast<size_t>(count) * sizeof(T)));
        if (large_ == nullptr) {
            return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " values", function, count);
        }
    }
    return HNORM_OK;
}
template class ScratchOf<double>;
template class ScratchOf<float>;
template class ScratchOf<int32_t>;
template class ScratchOf<char>;

}  // namespace hnorm::detail
