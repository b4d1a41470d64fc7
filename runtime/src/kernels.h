// The table of compiled kernels. The runtime knows kernels only by this table. CMake makes it from
// generators/kernels.json, the list of kernels, and schedules/*.json, the targets and their values.
//
// Kernels see a tensor as x(s, r, g0, g1) (docs/order.md).
// - Tensors are 4-D buffers. They have stride 1 in s, or in g0 if they are channels-last. Other
//   strides are free.
// - Values of groups are 2-D buffers over (g0, g1), with stride 1 in g0.
// - The results of sums are 4-D buffers over (g0, a, b, g1), with stride 1 in g0. (a, b) is the
//   run.
// - slope: the slope of the activation, a float, as its bits (slope_bits()). It is 1 for no
//   activation.
// - stores: how the output is stored (Stores).
#pragma once

#include <HalideRuntime.h>

#include <cstdint>
#include <cstring>

namespace hnorm::detail {

// places: (plane or position, row) of the probe's rows; spread: D's bits. Both are of x*scale.
using ProbeKernel = int (*)(halide_buffer_t *x, halide_buffer_t *scale, halide_buffer_t *places,
                            halide_buffer_t *center, halide_buffer_t *spread);
// E and Q by run, of d = x - center.
using MomentsKernel = int (*)(halide_buffer_t *x, halide_buffer_t *center, halide_buffer_t *e, halide_buffer_t *q);
// Those and the bits of L by run, of d = x*scale - center.
using MomentsMeasuredKernel = int (*)(halide_buffer_t *x, halide_buffer_t *center, halide_buffer_t *scale,
                                      halide_buffer_t *e, halide_buffer_t *q, halide_buffer_t *greatest);
using NormalizeKernel = int (*)(halide_buffer_t *x, halide_buffer_t *m, halide_buffer_t *a, halide_buffer_t *b,
                                int32_t slope, int32_t stores, halide_buffer_t *y);
using NormalizeResidualKernel = int (*)(halide_buffer_t *x, halide_buffer_t *m, halide_buffer_t *a, halide_buffer_t *b,
                                        int32_t slope, halide_buffer_t *residual, int32_t stores, halide_buffer_t *y);

// E and Q by run; the slope is 1 or 0.
using BackwardReduceKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *m, halide_buffer_t *a,
                                     halide_buffer_t *b, int32_t slope, halide_buffer_t *e, halide_buffer_t *q);
// Those and the bits of Ly and Lx by run, of dy*scale_dy and x*scale_x - m*scale_x; any slope.
using BackwardReduceMeasuredKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *m,
                                             halide_buffer_t *a, halide_buffer_t *b, int32_t slope,
                                             halide_buffer_t *scale_x, halide_buffer_t *scale_dy, halide_buffer_t *e,
                                             halide_buffer_t *q, halide_buffer_t *greatest_dy,
                                             halide_buffer_t *greatest_x);
// a, b: forward's, for the activation's sign; not read where slope is 1.
using BackwardApplyKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *m, halide_buffer_t *scale,
                                    halide_buffer_t *k1, halide_buffer_t *power, halide_buffer_t *k2,
                                    halide_buffer_t *a, halide_buffer_t *b, int32_t slope, int32_t stores,
                                    halide_buffer_t *dx);
using ActivationBackwardKernel = int (*)(halide_buffer_t *y, halide_buffer_t *dy, int32_t slope, halide_buffer_t *dz);

inline int32_t slope_bits(float slope) {
    int32_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    return bits;
}

// How a pointwise kernel stores its output. kInPlace: the output may be one of the inputs. kApart:
// it is none of them. kPastCache: it is none of them, and goes past the cache (past_cache.h).
enum Stores : int32_t { kInPlace, kApart, kPastCache };

// docs/order.md, "Chunks and runs", in the manifest's order.
enum PlaneClass { kTiny, kSmall, kLarge, kLast, kPlaneClasses };

// The class of channels-first planes of S positions.
inline PlaneClass plane_class(int64_t positions) {
    return positions < 16 ? kTiny : positions <= 1024 ? kSmall : kLarge;
}

constexpr int kElementTypes = 3;  // hnorm_type, in its order

// The kernels of the manifest, in its order, by which a pack (pack.h) has them. The table's writer
// takes them by their numbers.
enum KernelId {
    kProbeId,
    kMomentsId,
    kMomentsMeasuredId,
    kNormalizeId,
    kNormalizeResidualId,
    kBackwardReduceId,
    kBackwardReduceMeasuredId,
    kBackwardApplyId,
    kActivationBackwardId,
    kKernelIds
};

// A kernel of the manifest with the values of one schedule file, by [type][class], or null if there
// is none.
template <typename Kernel, KernelId id>
struct Kernels {
    Kernel of[kElementTypes][kPlaneClasses];
    const Kernel *operator[](int type) const { return of[type]; }
};

// A row of the table: a kernel by [schedule file]. Each row is an object file of its own in the
// archive, so that a program links only the kernels of the functions that it calls.
template <typename Kernel, KernelId id>
using KernelRow = const Kernels<Kernel, id>[];

// They have C names, so that tests can use them. The archive renames C++ names.
extern "C" {
extern KernelRow<ProbeKernel, kProbeId> hnorm_kernels_probe;
extern KernelRow<MomentsKernel, kMomentsId> hnorm_kernels_moments;
extern KernelRow<MomentsMeasuredKernel, kMomentsMeasuredId> hnorm_kernels_moments_measured;
extern KernelRow<NormalizeKernel, kNormalizeId> hnorm_kernels_normalize;
extern KernelRow<NormalizeResidualKernel, kNormalizeResidualId> hnorm_kernels_normalize_residual;
extern KernelRow<BackwardReduceKernel, kBackwardReduceId> hnorm_kernels_backward_reduce;
extern KernelRow<BackwardReduceMeasuredKernel, kBackwardReduceMeasuredId> hnorm_kernels_backward_reduce_measured;
extern KernelRow<BackwardApplyKernel, kBackwardApplyId> hnorm_kernels_backward_apply;
extern KernelRow<ActivationBackwardKernel, kActivationBackwardId> hnorm_kernels_activation_backward;
}

// The operations that have dispatch values of their own. Moments alone are part of forward, and the
// parts of backward are part of backward.
enum Operation { kForward, kNormalize, kBackward, kOperations };

// When and how the runtime uses threads and stores past the cache: the defaults are in
// schedules/space/cpu.json, and other values in the target's schedule file. The table's writer has
// the fields in alphabetical order.
struct Dispatch {
    // The size of a block, in elements of the tensors that are read: a thread sums and writes the
    // groups of a block while they are in its cache. The first is for batch norm, whose groups are
    // pieces of each sample (longer pieces are better), the second for instance norm.
    int64_t batch_block_elements, block_elements;
    // Small planes as one channels-last position (view.h): elements of a sample that a task takes,
    // so that their values stay in the first cache.
    int64_t flat_elements;
    // The least percentage of threads that must be busy if each thread works on groups of its own.
    // Below it the threads share each group.
    int64_t least_busy_percent;
    // A percentage of the last-level cache. An output goes past the cache if the output and its
    // inputs take more than that. 0: never.
    int64_t past_cache_percent;
    // Channels-last samples with more elements are computed one after the other, each by all
    // threads.
    int64_t sample_elements;
    int64_t serial_below;  // tensors of fewer elements run on the calling thread
};

struct Pack;

// A target that the project knows, in this library or not, with the values of one schedule file.
struct Target {
    const char *name;             // "x86-64-avx2"
    const char *const *features;  // CPU features it needs, null-terminated, as in /proc/cpuinfo ("avx2")
    int index;                    // of its kernels in every row; -1: not in this library
    const char *schedule;         // the file: "x86-64-avx2", or of schedules/by_cpu "x86-64-avx2.zen3"
    const char *const *cpus;      // the CPU models that the file was tuned for (cpu_model.h); null: any
    int schedule_count;
    const Target *schedules;  // the same target with the values of schedules/by_cpu
    const Pack *pack;         // kernels that go before those of the rows; null: none
    Dispatch dispatch[kOperations][kElementTypes];
};

extern "C" {
extern const Target hnorm_targets[];  // best first
extern const int hnorm_targets_count;
// The target of that name, with the values that are nearest to this CPU; null if there is none.
const Target *hnorm_target_named(const char *name);
extern const char hnorm_kernels_digest[];  // hnorm_kernels_digest() in cmake/Manifest.cmake
extern const bool hnorm_has_type[];        // by hnorm_type: whether there are kernels for it
extern const char hnorm_types_in_words[];  // "HNORM_F32 (0) and HNORM_F16 (1)"
}

}  // namespace hnorm::detail
