#include "given.h"

namespace hnorm::detail {

hnorm_status check_other_size(const char *function, const char *name, const char *type, const void *given, size_t first,
                              size_t known) {
    size_t size;
    std::memcpy(&size, given, sizeof size);
    if (size < first) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s.size is %zu: it must be sizeof(%s), which is %zu or more (functions of hnorm.h that "
                    "return one set it)",
                    function, name, size, type, first);
    }
    // Far more than any version will have: no size, but memory that nobody has set.
    constexpr size_t kMost = 4096;
    if (size > kMost) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.size is %zu: it must be sizeof(%s), which is %zu", function, name,
                    size, type, known);
    }
    const char *const bytes = static_cast<const char *>(given);
    if (size > known && std::any_of(bytes + known, bytes + size, [](char byte) { return byte != 0; })) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s has fields that are not 0 behind the %zu bytes that this library, version %s, knows of %s: "
                    "the program needs a newer one",
                    function, name, known, hnorm_version(), type);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
