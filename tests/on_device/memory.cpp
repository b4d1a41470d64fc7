#include "memory.h"

#include "driver_that_aborts.h"

#include <hnorm/gpu.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace on_device {

namespace {

constexpr size_t kGuard = 256;
constexpr char kGuardByte = 0x5a;
constexpr size_t kMostPlaces = 128, kLeastRoom = 65536;

[[noreturn]] void end(const char *what) {
    std::fprintf(stderr, "the tests' device: %s: %s\n", what, hnorm_last_error());
    std::abort();
}
void require(hnorm_status status, const char *what) {
    if (status != HNORM_OK) end(what);
}

// A place on the device, which has room for a guard.
struct Place {
    size_t room;
    void *memory;
    size_t last_use;
};
std::map<const void *, Place> places;
size_t uses = 0;

// The places least recently used make room: a layer's backward finds its x where forward had it.
void forget_some() {
    while (places.size() > kMostPlaces) {
        const auto oldest = std::min_element(places.begin(), places.end(), [](const auto &a, const auto &b) {
            return a.second.last_use < b.second.last_use;
        });
        require(hnorm_device_free(device(), oldest->second.memory), "freeing");
        places.erase(oldest);
    }
}

}  // namespace

hnorm_device device() {
    static const hnorm_device named = [] {
        const char *const value = std::getenv("HNORM_TEST_DEVICE");
        const std::string name = value && *value ? value : "opencl";
        if (name != "opencl" && name != "cuda") {
            std::fprintf(stderr, "HNORM_TEST_DEVICE is '%s': it must be opencl or cuda\n", name.c_str());
            std::abort();
        }
        return name == "cuda" ? HNORM_CUDA : HNORM_OPENCL;
    }();
    return named;
}

void use() {
    thread_local bool used = false;
    if (used) return;
    const auto ask = [] {
        return device() == HNORM_CUDA ? hnorm_use_cuda(nullptr, nullptr) : hnorm_use_opencl(nullptr, nullptr);
    };
    skip_where_driver_aborts(ask);
    const hnorm_status status = ask();
    if (status == HNORM_UNSUPPORTED && !std::getenv("HNORM_TEST_DEVICE_NEEDED")) {
        std::printf("skipped: no driver: %s\n", hnorm_last_error());  // ctest takes this line for a reason to skip
        std::fflush(stdout);
        std::_Exit(0);
    }
    require(status, "using it");
    used = true;
}

void *Arrays::place(const void *memory, size_t bytes) {
    if (memory == nullptr) return nullptr;
    char *const host = static_cast<char *>(const_cast<void *>(memory));
    const auto known = placed_.find(host);
    if (known != placed_.end() && known->second.bytes >= bytes) return known->second.on_device;

    forget_some();
    Place &place = places[memory];
    if (place.memory == nullptr || place.room < bytes + kGuard) {
        if (place.memory) require(hnorm_device_free(device(), place.memory), "freeing");
        place.room = std::max(bytes + kGuard, kLeastRoom);  // the call may know the array as a longer one, too
        require(hnorm_device_allocate(device(), place.room, &place.memory), "allocating");
    }
    place.last_use = ++uses;
    Placed &placed = placed_[host];
    placed = {bytes, place.memory, std::vector<char>(bytes + kGuard, kGuardByte)};
    if (bytes) std::memcpy(placed.before.data(), host, bytes);
    require(hnorm_device_copy_in(device(), place.memory, placed.before.data(), placed.before.size()), "copying in");
    return place.memory;
}

void *Arrays::nowhere() {
    static void *const memory = [] {
        void *result = nullptr;
        require(hnorm_device_allocate(device(), 8, &result), "allocating");
        return result;
    }();
    return memory;
}

void Arrays::copy_back() {
    for (auto &[host, placed] : placed_) {
        std::vector<char> after(placed.before.size());
        require(hnorm_device_copy_out(device(), after.data(), placed.on_device, after.size()), "copying back");
        if (std::any_of(after.begin() + static_cast<std::ptrdiff_t>(placed.bytes), after.end(),
                        [](char byte) { return byte != kGuardByte; })) {
            end("something was written behind an array");
        }
        for (size_t i = 0; i < placed.bytes; i++)
            if (after[i] != placed.before[i]) host[i] = after[i];
    }
}

}  // namespace on_device
