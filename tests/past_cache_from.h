// From how many bytes on outputs are stored past the cache, for tests.
#pragma once

#include "past_cache.h"

#include <cstdint>

namespace test {

// While it lives, outputs of that many bytes together with their inputs go past the cache.
struct From {
    explicit From(int64_t bytes) { hnorm::detail::hnorm_past_cache_bytes = bytes; }
    ~From() { hnorm::detail::hnorm_past_cache_bytes = -1; }
};

}  // namespace test
