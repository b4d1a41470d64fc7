// Plug-ins with hnorm inside, in a program with hnorm inside.
#include "../api.h"
#include "plugin.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
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

std::vector<float> given(const std::vector<int64_t> &shape = kShape) {
    size_t size = 1;
    for (int64_t extent : shape) size *= static_cast<size_t>(extent);
    std::vector<float> values(size);
    fill(values, 5);
    return values;
}

std::vector<float> forward_of(const PluginFunctions &functions, const std::vector<int64_t> &shape = kShape) {
    std::vector<float> values = given(shape);
    REQUIRE(functions.forward(values.data(), static_cast<int>(shape.size()), shape.data()) == HNORM_OK);
    return values;
}

std::vector<float> forward_here(const std::vector<int64_t> &shape = kShape) {
    std::vector<float> values = given(shape);
    const hnorm_tensor x = hnorm_channels_first(values.data(), static_cast<int>(shape.size()), shape.data());
    REQUIRE(hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, nullptr, nullptr) == HNORM_OK);
    return values;
}

int loops = 0;
void counting_pool(void *pool, int count, hnorm_task task, void *argument) {
    ++*static_cast<int *>(pool);
    for (int i = 0; i < count; i++) task(argument, i);
}

long entries(const char *folder) {
    const std::filesystem::directory_iterator entries(folder);
    return std::distance(begin(entries), end(entries));
}
long thread_count() { return entries("/proc/self/task"); }

// A thread that was joined is in /proc for a moment yet.
void wait_for_threads(long expected) {
    for (int wait = 0; wait < 1000 && thread_count() > expected; wait++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(thread_count() == expected);
}

// The keys of thread-specific data that are left to the process.
int free_keys() {
    std::vector<pthread_key_t> keys;
    for (pthread_key_t key; pthread_key_create(&key, nullptr) == 0;) keys.push_back(key);
    for (pthread_key_t key : keys) pthread_key_delete(key);
    return static_cast<int>(keys.size());
}

long heap_bytes() { return static_cast<long>(mallinfo2().uordblks + mallinfo2().hblkhd); }

long resident_bytes() {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    long all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * sysconf(_SC_PAGESIZE);
#else
    return 0;  // sanitizers and the emulator keep memory of their own
#endif
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
        wait_for_threads(before);
    }
}

TEST_CASE("a plug-in is loaded and unloaded a thousand times beside its host, and leaves nothing") {
    const std::vector<int64_t> shape = {8, 16, 32, 32};
    REQUIRE(hnorm_set_num_threads(2) == HNORM_OK);
    const std::vector<float> expected = forward_here(shape);
    const auto load_and_unload = [&](int i) {
        const long threads = thread_count();
        Library a(PLUGIN_A);
        const PluginFunctions &functions = a.functions();
        REQUIRE(functions.set_num_threads(-1) == HNORM_INVALID_ARGUMENT);  // which each thread keeps the reason of
        REQUIRE(functions.set_num_threads(2 + i % 3) == HNORM_OK);
        REQUIRE(same_bits(forward_of(functions, shape), expected));
        REQUIRE(same_bits(forward_here(shape), expected));
        // A thread that has computed there ends later than the plug-in.
        std::promise<bool> computed;
        std::promise<void> closed;
        std::thread caller([&] {
            std::vector<float> values = given(shape);
            functions.forward(values.data(), static_cast<int>(shape.size()), shape.data());
            computed.set_value(same_bits(values, expected));
            closed.get_future().wait();
        });
        const bool right = computed.get_future().get();
        a.close();
        const bool mapped = is_mapped("plugin_a");
        closed.set_value();
        caller.join();
        REQUIRE(right);
        REQUIRE_FALSE(mapped);
        wait_for_threads(threads);
    };
    for (int i = 0; i < 50; i++) load_and_unload(i);  // what the process keeps for later is there now
    const long files = entries("/proc/self/fd"), heap = heap_bytes(), resident = resident_bytes();
    const int keys = free_keys();
    for (int i = 0; i < 1000; i++) load_and_unload(i);
    REQUIRE(entries("/proc/self/fd") == files);
    REQUIRE(free_keys() == keys);
    INFO("the heap has grown by " << heap_bytes() - heap << " bytes, the process by " << resident_bytes() - resident);
    REQUIRE(heap_bytes() - heap < 16000);
    REQUIRE(resident_bytes() - resident < 2000000);
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

TEST_CASE("the log of a plug-in is written as it is unloaded, and another one can follow") {
    char folder[] = "/tmp/hnorm_plugin_XXXXXX";
    REQUIRE(mkdtemp(folder));
    const std::string log = std::string(folder) + "/log";
    setenv("HNORM_LOG", log.c_str(), 1);
    for (const int64_t positions : {5, 7}) {
        Library a(PLUGIN_A);
        forward_of(a.functions(), {2, 3, positions});
        REQUIRE_FALSE(std::filesystem::exists(log));
        a.close();
        REQUIRE_FALSE(is_mapped("plugin_a"));
        std::ifstream file(log);
        std::string line;
        while (std::getline(file, line) && line[0] == '#') {
        }
        REQUIRE(line.find("2x3x" + std::to_string(positions) + " ") == 0);
        REQUIRE_FALSE(std::getline(file, line));
        std::filesystem::remove(log);
    }
    unsetenv("HNORM_LOG");
    std::filesystem::remove_all(folder);
}

TEST_CASE("the wisdom of a plug-in goes with it") {
    char path[] = "/tmp/hnorm_plugin_XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    {
        std::ofstream rows(path);
        rows << "[machine]\nthreads = 2\n*/*/*/*/* threads=1\n";
        for (int n = 1; n <= 1000; n++) rows << "forward/batch/channels_first/f32/" << n << "x3x4 threads=1\n";
    }
    setenv("HNORM_WISDOM", path, 1);
    const std::vector<int64_t> shape = {8, 3, 4};
    const std::vector<float> expected = forward_here(shape);
    const auto load_and_unload = [&](int times) {
        for (int i = 0; i < times; i++) {
            Library a(PLUGIN_A);
            REQUIRE(a.functions().set_num_threads(2) == HNORM_OK);
            REQUIRE(same_bits(forward_of(a.functions(), shape), expected));
            a.close();
            REQUIRE_FALSE(is_mapped("plugin_a"));
        }
        return heap_bytes();
    };
    const long heap = load_and_unload(20);
    REQUIRE(load_and_unload(200) - heap < 16000);
    unsetenv("HNORM_WISDOM");
    unlink(path);
}
