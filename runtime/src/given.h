// Structures that callers pass. Each begins with its size, so that it can grow without breaking the
// programs that were compiled before.
#pragma once

#include <hnorm/comm.h>
#include <hnorm/context.h>
#include <hnorm/hnorm.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "error.h"

namespace hnorm::detail {

// The first version of a structure: its size and its name.
template <typename T>
struct First;
// `last` is the last field of the first version. There must be no padding behind it: a field that
// is added later could lie there, and an older caller's padding holds anything.
#define HNORM_FIRST(type, last)                                                    \
    template <>                                                                    \
    struct First<type> {                                                           \
        static constexpr size_t kSize = offsetof(type, last) + sizeof(type::last); \
        static constexpr const char *kName = #type;                                \
        static_assert(kSize % alignof(type) == 0);                                 \
    }
// NOLINTBEGIN(bugprone-sizeof-expression): the size of a field, which may be a pointer
HNORM_FIRST(hnorm_tensor, strides);
HNORM_FIRST(hnorm_affine, stride_c);
HNORM_FIRST(hnorm_post_ops, residual);
HNORM_FIRST(hnorm_post_ops_gradient, dresidual);
HNORM_FIRST(hnorm_layer_options, negative_slope);
HNORM_FIRST(hnorm_allocator, argument);
HNORM_FIRST(hnorm_comm, reserved);
// NOLINTEND(bugprone-sizeof-expression)
#undef HNORM_FIRST

// Refuses a size below `first`, and a byte behind the first `known` ones that is not 0.
hnorm_status check_other_size(const char *function, const char *name, const char *type, const void *given, size_t first,
                              size_t known);

template <typename T>
hnorm_status check_size(const char *function, const char *name, const T &given) {
    return given.size == sizeof(T)
               ? HNORM_OK
               : check_other_size(function, name, First<T>::kName, &given, First<T>::kSize, sizeof(T));
}

// Reads a structure of whatever version the caller has. Fields that its version lacks become 0.
template <typename T>
hnorm_status read_given(const char *function, const char *name, const T &given, T *read) {
    HNORM_TRY(check_size(function, name, given));
    *read = {};
    std::memcpy(read, &given, std::min(given.size, sizeof(T)));
    read->size = sizeof(T);
    return HNORM_OK;
}

}  // namespace hnorm::detail
