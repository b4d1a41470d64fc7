#include "copies.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The entry of the thread pool that the compiled kernels call (libhnorm.a carries Halide's runtime;
// hnorm puts its own pool behind this symbol). Declared here since the installed headers need no
// Halide.
extern "C" int hnorm_halide_do_par_for(void *user_context, int (*task)(void *user_context, int index, uint8_t *closure),
                                       int min, int size, uint8_t *closure);

namespace hnorm::bench {
namespace {

constexpr int64_t kTaskFloats = 64 * 1024 / sizeof(float);

using CopyRange = void (*)(const float *x, float *y, int64_t count);
using AddRange = void (*)(const float *x, const float *y, float *z, int64_t count);

void memcpy_range(const float *x, float *y, int64_t count) { std::memcpy(y, x, count * sizeof(float)); }

#if defined(__x86_64__)

// Functions of one instruction set, in intrinsics, so that the vector's width is what the name says
// whatever the compiler prefers. Four vectors a turn: in cache the loop's own instructions must not
// be the limit. The whole vectors end at a multiple of 64 floats; only a tensor's last task has a
// rest. This file is compiled so that no loop becomes a call of memcpy.
#define HNORM_COPY(name, isa, width, load, store)                                     \
    __attribute__((target(isa))) void name(const float *x, float *y, int64_t count) { \
        int64_t i = 0;                                                                \
        for (; i + 4 * width <= count; i += 4 * width) {                              \
            const auto a = load(x + i), b = load(x + i + width);                      \
            const auto c = load(x + i + 2 * width), d = load(x + i + 3 * width);      \
            store(y + i, a);                                                          \
            store(y + i + width, b);                                                  \
            store(y + i + 2 * width, c);                                              \
            store(y + i + 3 * width, d);                                              \
        }                                                                             \
        for (; i < count; i++) y[i] = x[i];                                           \
    }

#define HNORM_COPIES(name, isa, width, prefix)                                                                  \
    HNORM_COPY(ordinary_##name, isa, width, prefix##_loadu_ps, prefix##_storeu_ps)                              \
    HNORM_COPY(unfenced_##name, isa, width, prefix##_loadu_ps, prefix##_stream_ps)                              \
    __attribute__((target(isa))) void streaming_##name(const float *x, float *y, int64_t count) {               \
        unfenced_##name(x, y, count);                                                                           \
        _mm_sfence();                                                                                           \
    }                                                                                                           \
    __attribute__((target(isa))) void add_##name(const float *x, const float *y, float *z, int64_t count) {     \
        int64_t i = 0;                                                                                          \
        for (; i + 2 * width <= count; i += 2 * width) {                                                        \
            const auto a = prefix##_add_ps(prefix##_loadu_ps(x + i), prefix##_loadu_ps(y + i));                 \
            const auto b = prefix##_add_ps(prefix##_loadu_ps(x + i + width), prefix##_loadu_ps(y + i + width)); \
            prefix##_storeu_ps(z + i, a);                                                                       \
            prefix##_storeu_ps(z + i + width, b);                                                               \
        }                                                                                                       \
        for (; i < count; i++) z[i] = x[i] + y[i];                                                              \
    }

HNORM_COPIES(avx512, "avx512f", 16, _mm512)
HNORM_COPIES(avx, "avx", 8, _mm256)
HNORM_COPIES(sse2, "sse2", 4, _mm)

struct Vectors {
    const char *name;
    CopyRange ordinary, streaming;
    AddRange add;
};

const Vectors &vectors() {
    static const Vectors chosen =
        __builtin_cpu_supports("avx512f") ? Vectors{"avx512", ordinary_avx512, streaming_avx512, add_avx512}
        : __builtin_cpu_supports("avx")   ? Vectors{"avx", ordinary_avx, streaming_avx, add_avx}
                                          : Vectors{"sse2", ordinary_sse2, streaming_sse2, add_sse2};
    return chosen;
}

#else

// The compiler's own vectorization: enough where one width is all there is (NEON).
void ordinary_compiled(const float *__restrict x, float *__restrict y, int64_t count) {
    for (int64_t i = 0; i < count; i++) y[i] = x[i];
}

void add_compiled(const float *__restrict x, const float *__restrict y, float *__restrict z, int64_t count) {
    for (int64_t i = 0; i < count; i++) z[i] = x[i] + y[i];
}

struct Vectors {
    const char *name;
    CopyRange ordinary, streaming;
    AddRange add;
};

const Vectors &vectors() {
    static const Vectors only{"compiler", ordinary_compiled, ordinary_compiled, add_compiled};
    return only;
}

#endif

// range(begin, count) over all of `count`, in tasks.
template <typename Range>
void run_tasks(int64_t count, const Range &range) {
    struct Job {
        const Range &range;
        int64_t count;
    } job{range, count};
    const int tasks = static_cast<int>((count + kTaskFloats - 1) / kTaskFloats);
    if (tasks <= 1) {
        range(0, count);  // as the library: one task stays on the calling thread
        return;
    }
    const auto run_task = [](void *, int index, uint8_t *closure) {
        const Job &job = *reinterpret_cast<const Job *>(closure);
        const int64_t begin = index * kTaskFloats;
        job.range(begin, std::min(kTaskFloats, job.count - begin));
        return 0;
    };
    hnorm_halide_do_par_for(nullptr, run_task, 0, tasks, reinterpret_cast<uint8_t *>(&job));
}

}  // namespace

void copy(Copy kind, const float *x, float *y, int64_t count) {
    const CopyRange range = kind == Copy::kMemcpy      ? memcpy_range
                            : kind == Copy::kStreaming ? vectors().streaming
                                                       : vectors().ordinary;
    run_tasks(count, [=](int64_t begin, int64_t n) { range(x + begin, y + begin, n); });
}

void add(const float *x, const float *y, float *z, int64_t count) {
    const AddRange range = vectors().add;
    run_tasks(count, [=](int64_t begin, int64_t n) { range(x + begin, y + begin, z + begin, n); });
}

const char *copy_name(Copy kind) {
    return kind == Copy::kMemcpy ? "memcpy" : kind == Copy::kStreaming ? "streaming" : "ordinary";
}

const char *copy_vectors() { return vectors().name; }

}  // namespace hnorm::bench
