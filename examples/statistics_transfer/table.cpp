#include "table.h"

#include "machine.h"
#include "workspace.h"

#include <iomanip>

namespace demo {
namespace {

using namespace hnorm::bench;

constexpr Effort kEffort{0.5, 11, 201};

void print_row(std::ostream &out, const Shape &shape, hnorm_group group, const Comparison &forward,
               const CopySpeeds &copies) {
    const double gigabytes = bytes_moved(Op::kForward, shape) * 1e-9;
    out << std::left << std::setw(15) << shape.name() << std::setw(9) << group_name(group) << std::right << std::fixed
        << std::setprecision(1) << std::setw(10) << forward.seconds * 1e6 << std::setw(8) << gigabytes / forward.seconds
        << std::setw(12) << forward.reference_seconds * 1e6 << std::setprecision(2) << std::setw(10) << forward.ratio
        << "  " << forward.ratio_lower << " to " << forward.ratio_upper << std::setw(10) << copies.fastest_ratio << " "
        << copy_name(copies.fastest) << std::endl;
}

}  // namespace

void show_table(std::ostream &out) {
    Workspace workspace;
    const int threads = hnorm_get_num_threads();
    out << "forward, f32, channels first; " << hnorm_target() << " kernels on " << cpu_name() << ", " << threads
        << (threads == 1 ? " thread" : " threads") << ".\nThe floor copies the tensor with ordinary stores ("
        << copy_vectors()
        << ") on the same threads; `of floor` is its time over\n"
           "forward's, median and quartiles of pairs timed side by side. Last, the fastest of ordinary stores, memcpy\n"
           "and streaming stores, relative to the floor.\n\n"
        << "shape          group      time us    GB/s    floor us  of floor  quartiles       fastest copy" << std::endl;
    for (const Shape &shape : kTableShapes) {
        const CopySpeeds copies = workspace.compare_copies(shape, kEffort);
        for (const hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE})
            print_row(out, shape, group, workspace.compare_with_floor(Op::kForward, group, shape, kEffort), copies);
    }
}

}  // namespace demo
