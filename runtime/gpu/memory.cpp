#include "memory.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <set>
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
    std::set<Place> captured;                       // whose memory graphs may use
    std::unordered_map<void *, void *> context_of;  // of memory that outlives calls
    std::map<void *, Constants> constants;          // of contexts
};

// Never destroyed: the order in which a process's last objects go is not known, and what is on the
// device goes with it.
Kept &kept(const Driver &driver) {
    static Kept *const all = new Kept[2];
    return all[driver.device() == HNORM_CUDA ? 0 : 1];
}

hnorm_status no_memory(const char *function) {
    return fail(HNORM_OUT_OF_MEMORY, "%s: no memory on the CPU to keep account of a device's", function);
}

// Freeing memory waits for the device, here and below: other threads must not wait for the lock
// meanwhile.
void release_unused(Driver &driver, Kept &kept, void *context, bool of_graphs) {
    decltype(kept.unused) taken;
    {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        for (auto at = kept.unused.begin(); at != kept.unused.end();) {
            const auto here = at++;
            const Place &place = here->first.first;
            if (place.context == context && (of_graphs || kept.captured.count(place) == 0)) {
                taken.insert(kept.unused.extract(here));
            }
        }
    }
    for (const auto &[where, unused] : taken) {
        for (void *memory : unused) driver.release(context, memory);
    }
}

// The driver's, of memory that it has or that is unused.
hnorm_status allocate_any(const char *function, Driver &driver, int64_t bytes, void **memory) {
    hnorm_status status = driver.allocate(function, bytes, memory);
    if (status == HNORM_OUT_OF_MEMORY) {
        release_unused(driver, kept(driver), driver.place().context, false);
        status = driver.allocate(function, bytes, memory);
    }
    return status;
}

hnorm_status make_constants(const char *function, Driver &driver, Constants *constants) {
    const auto make = [&](const auto &value, auto **place) {
        void *memory = nullptr;
        HNORM_TRY(allocate_any(function, driver, sizeof value, &memory));
        *place = static_cast<std::remove_reference_t<decltype(value)> *>(memory);
        return driver.copy_in(function, memory, &value, sizeof value);
    };
    HNORM_TRY(make(1.0F, &constants->one_float));
    HNORM_TRY(make(0.0F, &constants->zero_float));
    HNORM_TRY(make(1.0, &constants->one));
    return make(0.0, &constants->zero);
}

void release_constants(Driver &driver, void *context, const Constants &constants) {
    for (const void *memory : std::initializer_list<const void *>{constants.one_float, constants.zero_float,
                                                                  constants.one, constants.zero}) {
        if (memory) driver.release(context, const_cast<void *>(memory));
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
    return allocate_any(function, driver, size, memory);
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

hnorm_status keep_for_graphs(const char *function, Driver &driver) {
    Kept &kept = gpu::kept(driver);
    try {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        kept.captured.insert(driver.place());
        return HNORM_OK;
    } catch (const std::bad_alloc &) {
        return no_memory(function);
    }
}

void release_kept(Driver &driver, void *context) {
    Kept &kept = gpu::kept(driver);
    release_unused(driver, kept, context, true);
    decltype(kept.constants)::node_type taken;
    {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        for (auto at = kept.captured.begin(); at != kept.captured.end();) {
            at = at->context == context ? kept.captured.erase(at) : std::next(at);
        }
        taken = kept.constants.extract(context);
    }
    if (taken) release_constants(driver, context, taken.mapped());
}

hnorm_status allocate(const char *function, Driver &driver, int64_t bytes, void **memory) {
    HNORM_TRY(allocate_any(function, driver, std::max<int64_t>(bytes, 1), memory));
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

bool context_of(Driver &driver, void *memory, void **context) {
    Kept &kept = gpu::kept(driver);
    const std::lock_guard<std::mutex> lock(kept.mutex);
    const auto found = kept.context_of.find(memory);
    if (found == kept.context_of.end()) return false;
    *context = found->second;
    return true;
}

hnorm_status constants(const char *function, Driver &driver, Constants *constants) {
    Kept &kept = gpu::kept(driver);
    void *const context = driver.place().context;
    {
        const std::lock_guard<std::mutex> lock(kept.mutex);
        const auto found = kept.constants.find(context);
        if (found != kept.constants.end()) {
            *constants = found->second;
            return HNORM_OK;
        }
    }
    Constants made = {};
    hnorm_status status = make_constants(function, driver, &made);
    if (status == HNORM_OK) {
        try {
            const std::lock_guard<std::mutex> lock(kept.mutex);
            const auto [at, is_ours] = kept.constants.emplace(context, made);
            *constants = at->second;
            if (is_ours) return HNORM_OK;  // else another thread was first
        } catch (const std::bad_alloc &) {
            status = no_memory(function);
        }
    }
    release_constants(driver, context, made);
    return status;
}

}  // namespace hnorm::gpu
