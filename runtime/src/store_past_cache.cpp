// What kernels call to store past the cache.
#include "past_cache.h"

extern "C" {

std::atomic<int64_t> hnorm_past_cache_bytes{-1};

#if defined(__x86_64__)

// 256 bytes from a tile to an output, at an offset from its beginning in bytes
// (schedules/past_cache.h).
__attribute__((target("avx"))) int hnorm_store_past_cache_avx(char *output, int64_t offset, const char *tile) {
    auto *const to = reinterpret_cast<float *>(output + offset);
    const auto *const from = reinterpret_cast<const float *>(tile);
#pragma GCC unroll 8
    for (int i = 0; i < 64; i += 8) {
        _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
    }
    return 0;
}

int hnorm_store_past_cache_sse(char *output, int64_t offset, const char *tile) {
    auto *const to = reinterpret_cast<float *>(output + offset);
    const auto *const from = reinterpret_cast<const float *>(tile);
#pragma GCC unroll 16
    for (int i = 0; i < 64; i += 4) {
        _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
    }
    return 0;
}

#endif

}  // extern "C"
