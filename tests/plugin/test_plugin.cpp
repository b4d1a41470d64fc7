// Plug-ins with hnorm inside, in a program with hnorm inside.
#include "../api.h"
#include "plugin.h"

#include <dlfcn.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace api;

namespace {

const std::vector<int64_t> kShape = {32, 16, 64, 64};

class Library {
public:
    explicit Library(const char *path, int flags = RTLD_NOW | RTLD_GLOBAL) : handle_(dlopen(path, flags)) {
        INFO(path);
        REQUIRE(handle_);
    }
    ~Library() { close(); }
    Library(const Library &) = delete;
    Library &operator=(const Library &) = delete;

    void close() {
        if (handle_) dlclose(handle_);
        handle_ = nullptr;
    }
    template <typename T>
    T *find(const char *name) const {
        void *const found = dlsym(handle_, name);
        INFO(name);
        REQUIRE(found);
        return reinterpret_cast<T *>(found);
    }
    const PluginFunctions &functions() const { return *find<const PluginFunctions>("plugin_functions"); }

private:
    void *handle_;
};

std::vector<float> given() {
    size_t size = 1;
    for (int64_t extent : kShape) size *= static_cast<size_t>(extent);
    std::vector<float> values(size);
    fill(values, 5);
    return values;
}

std::vector<float> forward_of(const PluginFunctions &functions) {
    std::vector<float> values = given();
    REQUIRE(functions.forward(values.data(), static_cast<int>(kShape.size()), kShape.data()) == HNORM_OK);
    return values;
}

std::vector<float> forward_here() {
    std::vector<float> values = given();
    const hnorm_tensor x = hnorm_channels_first(values.data(), static_cast<int>(kShape.size()), kShape.data());
    REQUIRE(hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, nullptr, nullptr) == HNORM_OK);
    return values;
}

int loops = 0;
void counting_pool(void *pool, int count, hnorm_task task, void *argument) {
    ++*static_cast<int *>(pool);
    for (int i = 0; i < count; i++) task(argument, i);
}

long thread_count() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
}

bool is_mapped(const std::string &name) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find(name) != std::string::npos) return true;
    return false;
}

}  // namespace

TEST_CASE("plug-ins and their host each have their own settings") {
    Library a(PLUGIN_A), b(PLUGIN_B);
    REQUIRE(a.functions().set_num_threads(2) == HNORM_OK);
    REQUIRE(b.functions().set_num_threads(2) == HNORM_OK);
    REQUIRE(hnorm_set_num_threads(2) == HNORM_OK);
    REQUIRE(a.functions().set_parallel_for(counting_pool, &loops) == HNORM_OK);
    const std::vector<float> expected = forward_of(a.functions());
    REQUIRE(loops > 0);
    const int of_a = loops;
    REQUIRE(same_bits(forward_of(b.functions()), expected));
    REQUIRE(same_bits(forward_here(), expected));
    REQUIRE(loops == of_a);
    REQUIRE(same_bits(forward_of(a.functions()), expected));
    REQUIRE(loops == 2 * of_a);
}

TEST_CASE("a plug-in that has computed on threads is unloaded, and so are its threads") {
    REQUIRE(hnorm_set_num_threads(1) == HNORM_OK);
    const std::vector<float> expected = forward_here();
    const long before = thread_count();
    for (int i = 0; i < 10; i++) {
        Library a(PLUGIN_A);
        REQUIRE(a.functions().set_num_threads(4) == HNORM_OK);
        REQUIRE(same_bits(forward_of(a.functions()), expected));
        REQUIRE(thread_count() == before + 3);
        std::thread([&] { forward_of(a.functions()); }).join();
        a.close();
        REQUIRE_FALSE(is_mapped("plugin_a"));
        // A thread that was joined is in /proc for a moment yet.
        for (int wait = 0; wait < 1000 && thread_count() > before; wait++)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        REQUIRE(thread_count() == before);
    }
}

TEST_CASE("the shared library is for who loads it") {
    const std::vector<float> expected = forward_here();
    Library library(HNORM_SHARED, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library.find<const char *()>("hnorm_version")() == std::string(hnorm_version()));
    std::vector<float> values = given();
    const hnorm_tensor x = hnorm_channels_first(values.data(), static_cast<int>(kShape.size()), kShape.data());
    REQUIRE(library.find<decltype(hnorm_forward)>("hnorm_forward")(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, nullptr,
                                                                   nullptr) == HNORM_OK);
    REQUIRE(same_bits(values, expected));
}
