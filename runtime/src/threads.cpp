#include "threads.h"

#include <HalideRuntime.h>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "context.h"
#include "cores.h"
#include "error.h"
#include "float_environment.h"
#include "past_cache.h"
#include "pool.h"
#include "scratch_memory.h"
#include "witness.h"

namespace hnorm::detail {

namespace {

// Each thread's share of a loop is cut into this many ranges, so that a late thread's share can be
// taken over. Results never depend on it: a kernel's tasks are independent.
constexpr int kRangesPerThread = 8;

// A loop of this many tasks a thread needs no help from the loops inside its tasks.
constexpr int kTasksThatSuffice = 8;

thread_local bool serial_thread = false;

// The code of a task that returned `code`: also that of a loop inside it.
int code_of_task(int code) {
    const int of_loop = take_loop_failure();
    return code != 0 ? code : of_loop;
}

// What HNORM_NUM_THREADS and the machine say.
struct DefaultThreads {
    int count;
    char problem[128];
};
DefaultThreads defaults = {};

void read_defaults() {
    defaults.count = std::clamp(usable_cores(), 1, kMaxThreads);
    const char *const text = std::getenv("HNORM_NUM_THREADS");
    if (text && *text) {
        char *end = nullptr;
        const long value = std::strtol(text, &end, 10);
        if (*end == '\0' && value >= 1 && value <= kMaxThreads) {
            defaults.count = static_cast<int>(value);
        } else {
            std::snprintf(defaults.problem, sizeof defaults.problem,
                          "environment variable HNORM_NUM_THREADS is \"%.40s\": it must be 1 to %d", text, kMaxThreads);
        }
    }
}

// Read once. A static variable's guard would be held for good in a child that is forked meanwhile;
// this one begins anew there.
const DefaultThreads &default_threads() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_defaults);
    return defaults;
}

// What of a loop is one thread's first, or of many threads some threads'; on a cache line of its
// own.
constexpr int kMostShares = 16;  // a loop lies on its caller's stack
struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
};

// A parallel loop of a kernel. Threads take ranges of their own share first, which keeps what a
// thread touched in one loop near it in the next, then ranges of the others'.
struct Loop {
    const hnorm_context *context;
    halide_task_t body;
    void *user_context;
    uint8_t *closure;
    int share_count;
    int64_t range;
    bool serial_inside;
    Share shares[kMostShares];
    std::atomic<int64_t> done{0};
    std::atomic<int> result{0};
    char message[512] = "";

    void run_range(int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const int code = code_of_task(body(user_context, static_cast<int>(i), closure));
            if (code != 0) {
                int none = 0;
                if (result.compare_exchange_strong(none, code)) {
                    // Kernels speak on the thread where they fail; the caller must read it on its
                    // own.
                    std::snprintf(message, sizeof message, "%s", kernel_message());
                }
                return;
            }
        }
        store_fence();
        done.fetch_add(last - first, std::memory_order_relaxed);
    }

    void work(int worker) {
        const FloatEnvironment floats;  // whoever began this thread
        const ContextScope scope(context);
        // A loop that keeps all threads busy runs the loops inside its tasks in place: handing
        // those out would only cost.
        const SerialScope inner(serial_inside);
        for (int i = 0; i < share_count; ++i) {
            Share &share = shares[(worker + i) % share_count];
            while (result.load(std::memory_order_relaxed) == 0) {
                const int64_t first = share.next.fetch_add(range, std::memory_order_relaxed);
                if (first >= share.end) {
                    break;
                }
                run_range(first, std::min(first + range, share.end));
            }
        }
    }
};

int run_serially(void *user_context, halide_task_t body, int min, int size, uint8_t *closure) {
    for (int i = 0; i < size; ++i) {
        const int code = code_of_task(body(user_context, min + i, closure));
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int blame_caller(const char *message) {
    set_kernel_message(message);
    return kCallersFault;
}

int run_loop(void *user_context, halide_task_t body, int min, int size, uint8_t *closure) {
    if (serial_thread) {
        return run_serially(user_context, body, min, size, closure);
    }
    const hnorm_context &context = current_context();
    const int workers = std::min(hnorm_context_get_num_threads(&context), size);
    if (workers <= 1) {
        return run_serially(user_context, body, min, size, closure);
    }
    if (Witness *const asked = witness()) {
        asked->begins_loop(size, workers);
    }
    Loop loop;
    loop.context = &context;
    loop.body = body;
    loop.user_context = user_context;
    loop.closure = closure;
    loop.share_count = std::min(workers, kMostShares);
    loop.range = std::max<int64_t>(size / (int64_t(workers) * kRangesPerThread), 1);
    // The caller's pool is never asked from inside its tasks: one whose threads wait for each other
    // would wait for ever.
    loop.serial_inside = context.parallel_for || size >= workers * kTasksThatSuffice;
    for (int i = 0; i < loop.share_count; ++i) {
        loop.shares[i].next.store(min + int64_t(size) * i / loop.share_count, std::memory_order_relaxed);
        loop.shares[i].end = min + int64_t(size) * (i + 1) / loop.share_count;
    }
    const hnorm_task work = [](void *argument, int index) { static_cast<Loop *>(argument)->work(index); };
    if (context.parallel_for) {
        try {
            context.parallel_for(context.pool, workers, work, &loop);
        } catch (...) {  // It may be C++; a kernel's frames cannot be unwound.
            return blame_caller("the caller's parallel_for threw an exception");
        }
    } else {
        run_on_pool(workers, work, &loop);
    }
    if (loop.result != 0) {
        set_kernel_message(loop.message);
        return loop.result;
    }
    return loop.done == size ? 0 : blame_caller("the caller's parallel_for returned before its tasks had run");
}

// Halide's hook for the parallel loops of kernels.
int parallel_loop(void *user_context, halide_task_t body, int min, int size, uint8_t *closure) {
    const int code = run_loop(user_context, body, min, size, closure);
    if (code != 0) {
        fail_loop(code);
    }
    return code;
}

hnorm_status set_num_threads(const char *function, hnorm_context *context, int threads) {
    if (threads < 0 || threads > kMaxThreads) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: threads is %d: it must be 1 to %d, or 0 for the default", function,
                    threads, kMaxThreads);
    }
    context_or_process(context).threads.store(threads, std::memory_order_relaxed);
    return HNORM_OK;
}

// Before the program's own constructors, which may call. Halide's own pool never begins.
__attribute__((constructor(101))) void install_hooks() {
    // The default handler aborts the process.
    halide_set_error_handler([](void *, const char *message) { set_kernel_message(message); });
    halide_set_custom_do_par_for(parallel_loop);
    install_scratch_memory();
}

}  // namespace

hnorm_status thread_count(const char *function, int *threads) {
    *threads = current_context().threads.load(std::memory_order_relaxed);
    if (*threads == 0) {
        const DefaultThreads &defaults = default_threads();
        if (*defaults.problem) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s", function, defaults.problem);
        }
        *threads = defaults.count;
    }
    return HNORM_OK;
}

hnorm_status parallel_for(const char *function, int64_t count, hnorm_status (*task)(void *argument, int64_t index),
                          void *argument) {
    struct Tasks {
        hnorm_status (*task)(void *, int64_t);
        void *argument;
        std::atomic<int> failure{HNORM_OK};
    } tasks;
    tasks.task = task;
    tasks.argument = argument;
    const auto run = [](void *, int index, uint8_t *closure) {
        Tasks &tasks = *reinterpret_cast<Tasks *>(closure);
        const hnorm_status status = tasks.task(tasks.argument, index);
        if (status == HNORM_OK) {
            return 0;
        }
        int none = HNORM_OK;
        tasks.failure.compare_exchange_strong(none, status);
        set_kernel_message(hnorm_last_error());  // of this thread; the loop hands it to the caller's
        return static_cast<int>(halide_error_code_generic_error);
    };
    const int code = run_loop(nullptr, run, 0, static_cast<int>(count), reinterpret_cast<uint8_t *>(&tasks));
    const auto failure = static_cast<hnorm_status>(tasks.failure.load());
    return failure == HNORM_OK ? kernel_status(function, code) : fail(failure, "%s", kernel_message());
}

SerialScope::SerialScope(bool serial) : before_(serial_thread) { serial_thread = before_ || serial; }
SerialScope::~SerialScope() { serial_thread = before_; }

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_set_num_threads(int threads) { return set_num_threads("hnorm_set_num_threads", nullptr, threads); }

hnorm_status hnorm_context_set_num_threads(hnorm_context *context, int threads) {
    return set_num_threads("hnorm_context_set_num_threads", context, threads);
}

int hnorm_get_num_threads(void) { return hnorm_context_get_num_threads(nullptr); }

int hnorm_context_get_num_threads(const hnorm_context *context) {
    const int requested = context_or_process(context).threads.load(std::memory_order_relaxed);
    return requested ? requested : default_threads().count;
}

void hnorm_shutdown(void) {
    end_pool();
    give_back_scratch_memory();
}

}  // extern "C"
