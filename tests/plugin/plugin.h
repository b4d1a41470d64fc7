// What a plug-in gives its host.
#pragma once

#include <hnorm/hnorm.h>

struct PluginFunctions {
    hnorm_status (*set_num_threads)(int threads);
    hnorm_status (*set_parallel_for)(hnorm_parallel_for parallel_for, void *pool);
    // hnorm_forward of a channels-first tensor, batch norm.
    hnorm_status (*forward)(float *data, int rank, const int64_t *shape);
};
