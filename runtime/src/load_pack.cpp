// Kernel packs (pack.h): loads those that fit, and keeps the one in use.
#include <dlfcn.h>
#include <hnorm/hnorm.h>
#include <pthread.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "pack.h"
#include "pack_file.h"
#include "past_cache.h"
#include "targets.h"

extern "C" {
int hnorm_store_past_cache_avx(char *output, int64_t offset, const char *tile);
int hnorm_store_past_cache_sse(char *output, int64_t offset, const char *tile);
}

namespace hnorm::detail {

namespace {

// What kernels may call. In the archive these functions have other names
// (cmake/RenameSymbols.cmake).
struct Import {
    const char *name;
    const void *function;
};
#define HNORM_IMPORT(function) {#function, reinterpret_cast<const void *>(&(function))}
const Import kImports[] = {
    HNORM_IMPORT(halide_do_par_for),
    HNORM_IMPORT(halide_free),
    HNORM_IMPORT(halide_malloc),
    HNORM_IMPORT(halide_error_access_out_of_bounds),
    HNORM_IMPORT(halide_error_bad_dimensions),
    HNORM_IMPORT(halide_error_bad_type),
    HNORM_IMPORT(halide_error_buffer_allocation_too_large),
    HNORM_IMPORT(halide_error_buffer_argument_is_null),
    HNORM_IMPORT(halide_error_buffer_extents_negative),
    HNORM_IMPORT(halide_error_buffer_extents_too_large),
    HNORM_IMPORT(halide_error_constraint_violated),
    HNORM_IMPORT(halide_error_constraints_make_required_region_smaller),
    HNORM_IMPORT(halide_error_device_dirty_with_no_device_support),
    HNORM_IMPORT(halide_error_host_is_null),
    HNORM_IMPORT(halide_error_out_of_memory),
    HNORM_IMPORT(halide_error_specialize_fail),
    HNORM_IMPORT(halide_error_split_factor_not_positive),
    HNORM_IMPORT(halide_error_storage_bound_too_small),
    {"memcpy", reinterpret_cast<const void *>(&std::memcpy)},
    {"memset", reinterpret_cast<const void *>(&std::memset)},
#if defined(__x86_64__)
    HNORM_IMPORT(hnorm_store_past_cache_avx),
    HNORM_IMPORT(hnorm_store_past_cache_sse),
#endif
};
#undef HNORM_IMPORT

// Why a pack does not fit.
class Refusal {
public:
    Refusal(hnorm_status *status, char *reason, size_t size) : status_(status), reason_(reason), size_(size) {}
    __attribute__((format(printf, 3, 4))) std::nullptr_t operator()(hnorm_status status, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(reason_, size_, format, arguments);
        va_end(arguments);
        if (status_) {
            *status_ = status;
        }
        return nullptr;
    }

private:
    hnorm_status *status_;
    char *reason_;
    size_t size_;
};

const void *import_of(const char *name) {
    for (const Import &known : kImports) {
        if (std::strcmp(known.name, name) == 0) {
            return known.function;
        }
    }
    return nullptr;
}

// A pack that is loaded: this library's target with the pack's kernels, and what hnorm_pack() says
// of it.
struct Loaded {
    Target target;
    char note[512];
};
constexpr int kMostPacks = 32;  // of a process: each new file is one more
Loaded loaded[kMostPacks];
int loaded_count = 0;
// Nothing waits while it holds this, not even for dlopen(), so that fork() need not either.
pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor(101))) void mind_forks() {
    pthread_atfork([] { pthread_mutex_lock(&loading); }, [] { pthread_mutex_unlock(&loading); },
                   [] { pthread_mutex_unlock(&loading); });
}

// A library that is unloaded leaves its packs to others. Threads may still compute when the process
// ends, so what kernels call stays.
__attribute__((destructor)) void leave_packs() {
    pthread_mutex_lock(&loading);
    for (int i = 0; i < loaded_count; ++i) {
        const void *const nobody = nullptr;
        __atomic_store_n(loaded[i].target.pack->owner, nobody, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&loading);
}

// The target of the pack with this library's kernels behind the pack's.
const Target *loaded_target(const char *path, const Pack &pack, const Target &library, Refusal &refuse) {
    for (int i = 0; i < loaded_count; ++i) {
        if (loaded[i].target.pack == &pack) {
            return &loaded[i].target;
        }
    }
    if (loaded_count == kMostPacks) {
        return refuse(HNORM_UNSUPPORTED, "this process has loaded %d packs, the most that it can", kMostPacks);
    }
    for (int i = 0; i < pack.import_count; ++i) {
        if (import_of(pack.import_names[i]) == nullptr) {
            return refuse(HNORM_UNSUPPORTED, "its kernels call %s, which this library does not give",
                          pack.import_names[i]);
        }
    }
    const void *nobody = nullptr, *const me = kImports;  // another copy may load it at the same time
    if (!__atomic_compare_exchange_n(pack.owner, &nobody, me, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return refuse(HNORM_UNSUPPORTED,
                      "another copy of hnorm in this process uses it: give this one a copy of the file");
    }
    for (int i = 0; i < pack.import_count; ++i) {
        pack.imports[i] = import_of(pack.import_names[i]);
    }
    Loaded &added = loaded[loaded_count++];
    added.target = library;
    std::memcpy(added.target.dispatch, pack.target->dispatch, sizeof added.target.dispatch);
    added.target.pack = &pack;
    std::snprintf(added.note, sizeof added.note, "pack %s (%s): %d kernels of %s", pack.name, path, pack.kernel_count,
                  library.name);
    return &added.target;
}

const Target *target_of(const char *path, const PackId &id, Refusal &refuse) {
    char in_folder[4096];  // without a slash dlopen would look into the system's folders
    std::snprintf(in_folder, sizeof in_folder, "%s%s", std::strchr(path, '/') ? "" : "./", path);
    void *const handle = dlopen(in_folder, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        const char *const why = dlerror();
        return refuse(HNORM_UNSUPPORTED, "the system cannot load it: %s", why ? why : "it gives no reason");
    }
    const auto *const pack = static_cast<const Pack *>(dlsym(handle, "hnorm_pack"));
    if (pack == nullptr || pack->layout != kPackLayout) {
        return refuse(HNORM_UNSUPPORTED, "it is of another version of hnorm");
    }
    if (std::strcmp(pack->kernels_digest, hnorm_kernels_digest) != 0) {
        return refuse(HNORM_UNSUPPORTED, "it is of another build: its kernels are %s, this library's %s",
                      pack->kernels_digest, hnorm_kernels_digest);
    }
    if (std::strcmp(pack->id, id.text) != 0) {
        return refuse(HNORM_UNSUPPORTED, "this process has loaded another file of this name before, which it keeps");
    }
    const Target *const library = hnorm_target_named(pack->target->name);
    if (library == nullptr || library->index < 0) {
        return refuse(HNORM_UNSUPPORTED, "it is for target %s, which this library has not", pack->target->name);
    }
    if (const char *const lacking = lacking_feature(pack->target->features)) {
        return refuse(HNORM_UNSUPPORTED, "it is for target %s: %s", pack->target->name, lacking);
    }
    pthread_mutex_lock(&loading);
    const Target *const target = loaded_target(path, *pack, *library, refuse);
    pthread_mutex_unlock(&loading);
    return target;
}

}  // namespace

extern "C" const Target *hnorm_read_pack(const char *path, hnorm_status *status, char *reason, size_t size) {
    Refusal refuse(status, reason, size);
    PackId id;
    if (const char *const why = check_pack_file(path, &id)) {
        return refuse(HNORM_FILE_ERROR, "%s", why);
    }
    return target_of(path, id, refuse);
}

namespace {

std::atomic<const Target *> in_use{nullptr};  // of `loaded`
char ignored[1024] = "";  // why that of the environment is not in use, until another one is asked for
std::atomic<const char *> note{""};

void use(const Target *target) {
    // A target that is loaded is the first member of what has the note.
    note.store(target ? reinterpret_cast<const Loaded *>(target)->note : "", std::memory_order_release);
    in_use.store(target, std::memory_order_release);
}

// A pack is code: a program that runs with its owner's rights does not take it from the
// environment.
void use_that_of_environment() {
    const char *const path = secure_getenv("HNORM_PACK");
    if (path == nullptr || *path == '\0') {
        return;
    }
    char reason[512];
    if (const Target *const target = hnorm_read_pack(path, nullptr, reason, sizeof reason)) {
        use(target);
    } else {
        std::snprintf(ignored, sizeof ignored, "pack %s is ignored: %s", path, reason);
        note.store(ignored, std::memory_order_release);
    }
}

void read_environment() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_that_of_environment);
}

}  // namespace

const Target *with_pack(const Target *target) {
    read_environment();
    const Target *const packed = in_use.load(std::memory_order_acquire);
    return packed && packed->index == target->index ? packed : target;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_load_pack(const char *path) {
    const char *const function = "hnorm_load_pack";
    read_environment();  // not later, over this one
    if (path == nullptr || *path == '\0') {
        use(nullptr);
        return HNORM_OK;
    }
    hnorm_status status;
    char reason[512];
    const Target *const target = hnorm_read_pack(path, &status, reason, sizeof reason);
    if (target == nullptr) {
        return fail(status, "%s: path is \"%.300s\": %s", function, path, reason);
    }
    use(target);
    return HNORM_OK;
}

const char *hnorm_pack(void) {
    read_environment();
    return note.load(std::memory_order_acquire);
}

}  // extern "C"
