#include "memory.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "error.h"

namespace hnorm::gpu {

namespace {

using detail::fail;

// Eight sizes for every power of two: similar ones share memory, and an eighth is lost at most.
int64_t rounded(int64_t bytes) {
    int64_t step = 32;
    while (step * 16 < bytes) step *= 2;
    return std::max<int64_t>((bytes + step - 1) / step * step, 256);
}

struct Kept {
    std::mutex mutex;
    std::map<std::pair<Place, int64_t>, std::vector<void *>> unused;
    std::unordered_map<void *, void *> context_of;  // of memory that outlives calls
    std::map<void *, Constants> constants;          // of contexts
};

// Never destroyed: the order in which a process's last objects go is not known, and what is on the device goes with it.
Kept &kept(const Driver &driver) {
    static Kept *const all = new Kept[2];
    return all[driver.device() == HNORM_CUDA ? 0 : 1];
}

hnorm_status no_memory(const char *function) {
    return fail(HNORM_OUT_OF_MEMORY, "%s: no memory on the CPU to keep account of a device's", function);
}

void release_unused(Driver &driver, Kept &kept, void *context) {
    const std::lock_guard<std::mutex> lock(kept.mutex);
    for (auto &[where, unused] : kept.unused) {
        if (where.first.context == context) {
            for (void *memory : unused) driver.release(context, memory);
            unused.clear();
        }
    }
}

}  // namespace

hnorm_status take(const char *function, Driver &driver, int64_t bytes, void **memory) {
    const int64_t size = rounded(bytes);
    const Place place = driver.place();
    Kept &kept = gpu::kept(driver);
    try {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        std::vector<void *> &unused = kept.unused[{place, size}];
        if (!unused.empty()) {
            *memory = unused.back();
            unused.pop_back();
            return HNORM_OK;
        }
    } catch (const std::bad_alloc &) {
        return no_memory(function);
    }
    hnorm_status status = driver.allocate(function, size, memory);
    if (status == HNORM_OUT_OF_MEMORY) {
        release_unused(driver, kept, place.context);
        status = driver.allocate(function, size, memory);
    }
    return status;
}

void give_back(Driver &driver, void *memory, int64_t bytes) {
    const Place place = driver.place();
    Kept &kept = gpu::kept(driver);
    try {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        kept.unused[{place, rounded(bytes)}].push_back(memory);
    } catch (const std::bad_alloc &) {
        driver.release(place.context, memory);
    }
}

void release_kept(Driver &driver, void *context) {
    Kept &kept = gpu::kept(driver);
    release_unused(driver, kept, context);
    const std::lock_guard<std::mutex> lock(kept.mutex);
    const auto found = kept.constants.find(context);
    if (found == kept.constants.end()) return;
    const Constants &constants = found->second;
    for (const void *memory : std::initializer_list<const void *>{constants.one_float, constants.zero_float,
                                                                  constants.one, constants.zero}) {
        driver.release(context, const_cast<void *>(memory));
    }
    kept.constants.erase(found);
}

hnorm_status allocate(const char *function, Driver &driver, int64_t bytes, void **memory) {
    HNORM_TRY(driver.allocate(function, std::max<int64_t>(bytes, 1), memory));
    Kept &kept = gpu::kept(driver);
    try {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        kept.context_of[*memory] = driver.place().context;
    } catch (const std::bad_alloc &) {
        driver.release(driver.place().context, *memory);
        return no_memory(function);
    }
    return HNORM_OK;
}

void release(Driver &driver, void *memory) {
    Kept &kept = gpu::kept(driver);
    void *context = nullptr;
    {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        const auto found = kept.context_of.find(memory);
        if (found == kept.context_of.end()) return;
        context = found->second;
        kept.context_of.erase(found);
    }
    driver.release(context, memory);
}

hnorm_status constants(const char *function, Driver &driver, Constants *constants) {
    Kept &kept = gpu::kept(driver);
    const std::lock_guard<std::mutex> lock(kept.mutex);
    const auto found = kept.constants.find(driver.place().context);
    if (found != kept.constants.end()) {
        *constants = found->second;
        return HNORM_OK;
    }
    const auto make = [&](const auto &value, auto **place) {
        void *memory = nullptr;
        HNORM_TRY(driver.allocate(function, sizeof value, &memory));
        HNORM_TRY(driver.copy_in(function, memory, &value, sizeof value));
        *place = static_cast<std::remove_reference_t<decltype(value)> *>(memory);
        return HNORM_OK;
    };
    HNORM_TRY(make(1.0F, &constants->one_float));
    HNORM_TRY(make(0.0F, &constants->zero_float));
    HNORM_TRY(make(1.0, &constants->one));
    HNORM_TRY(make(0.0, &constants->zero));
    try {
        kept.constants[driver.place().context] = *constants;
    } catch (const std::bad_alloc &) {
        return no_memory(function);
    }
    return HNORM_OK;
}

}  // namespace hnorm::gpu
