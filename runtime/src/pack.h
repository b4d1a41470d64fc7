// A kernel pack: a shared object with kernels that go before those of a library that is linked
// already. ./dev tune --pack makes it (tune/pack.py), hnorm_load_pack and HNORM_PACK load it. It
// needs no other library. What its kernels call, the library gives it when it is loaded.
#pragma once

#include <hnorm/hnorm.h>

#include "kernels.h"

namespace hnorm::detail {

constexpr int kPackLayout = 1;  // changes with this structure, whose first members stay where they are

struct Pack {
    int layout;
    const char *kernels_digest;  // hnorm_kernels_digest of the sources that it was made from
    const char *id;              // of the contents; the file's last line has it, too
    const char *name;
    const Target *target;               // its name, what it needs, and its dispatch values
    const void *of_kernel[kKernelIds];  // a table [type][class], with null for kernels of the library; or null
    int kernel_count;
    const char *const *import_names;  // what its kernels call
    const void **imports;             // the same number of addresses
    int import_count;
    const void **owner;  // the copy of hnorm in this process that has filled them; null: none, or one that is gone

    template <typename Kernel, KernelId id>
    const Kernel *kernels(int type) const {
        return of_kernel[id] ? static_cast<const Kernel *>(of_kernel[id]) + type * kPlaneClasses : nullptr;
    }
};

// A row's kernel of the target for elements of the type and planes of the class: that of a pack
// first.
template <typename Kernel, KernelId id>
Kernel kernel_of(const Kernels<Kernel, id> *row, const Target &target, int type, int planes) {
    const Kernel *const packed = target.pack ? target.pack->kernels<Kernel, id>(type) : nullptr;
    return packed && packed[planes] ? packed[planes] : row[target.index][type][planes];
}

extern "C" {
// Loads a pack for this process: the target with its kernels and dispatch values. It stays loaded
// to the process's end. Null, and a sentence in `reason`, if it does not fit; `status`, if not
// null, says of which kind the failure is. Later calls with the same file give the same target.
const Target *hnorm_read_pack(const char *path, hnorm_status *status, char *reason, size_t size);
}

// The target of the pack in use, if that is for this target; else the target.
const Target *with_pack(const Target *target);

}  // namespace hnorm::detail
