#include "modules.h"

namespace hnorm::gpu {

void release_modules(ModuleTable &table, void *context, int (*unload)(void *module)) {
    halide_mutex_lock(&table.mutex);
    // A table that has grown counts what it held twice.
    table.count = 0;
    const int size = table.entries ? 1 << table.bits : 0;
    for (int i = 0; i < size; ++i) {
        ModuleTable::Entry &entry = table.entries[i];
        if (entry.id > 1 && entry.context == context) {
            if (unload) (void)unload(entry.module);
            entry = {nullptr, nullptr, 1, 1};  // in use, as far as Halide's own release sees, which leaves it alone
        } else if (entry.id > 1) {
            ++table.count;
        }
    }
    halide_mutex_unlock(&table.mutex);
}

}  // namespace hnorm::gpu
