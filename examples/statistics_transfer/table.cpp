#include "table.h"

#include <algorithm>
#include <iomanip>
#include <string>
#include <vector>

#include "contenders.h"

namespace demo {
namespace {

using namespace hnorm::bench;

constexpr Effort kEffort{0.25, 11, 201};
constexpr const char *kShapes[] = {"32x64x112x112", "32x256x56x56",  "1x32x256x256",  "1x64x128x128",
                                   "64x3x224x224",  "1x3x1024x1024", "32x1024x14x14", "32x2048x7x7"};

// Of the row's contender with that name, and of its floor.
struct Times {
    std::vector<double> seconds, floor;

    double of_floor() const {
        std::vector<double> ratios;
        for (size_t i = 0; i < std::min(seconds.size(), floor.size()); i++) ratios.push_back(floor[i] / seconds[i]);
        return median(ratios);
    }
};

// Contenders of a row, and what they are called.
std::vector<std::pair<std::string, Times>> measured(Calls &calls, const std::string &row) {
    const Case c = parse_case(row);
    calls.reserve({c});
    calls.prepare(c, Data::kPlain);
    const bool is_copy = c.operation->function == Function::kCopy;
    std::vector<Contender> contenders{floor(calls, c)};
    for (const Contender &one : is_copy ? copies(calls, c) : kernels(calls, c))
        if (is_copy || one.name == hnorm_target()) contenders.push_back(one);
    const std::vector<std::vector<double>> seconds = rounds(contenders, kEffort);
    std::vector<std::pair<std::string, Times>> found;
    for (size_t i = 0; i < contenders.size(); i++) found.push_back({contenders[i].name, {seconds[i], seconds[0]}});
    return found;
}

}  // namespace

void show_table(std::ostream &out) {
    Calls calls;
    const int threads = hnorm_get_num_threads();
    out << "forward, f32, channels first; " << hnorm_target() << " kernels, " << threads
        << (threads == 1 ? " thread" : " threads") << ".\nThe floor copies the tensor with ordinary stores ("
        << copy_vectors()
        << ") on the same threads; `of floor` is its time over\n"
           "forward's, the median of rounds that time both side by side. Last, the fastest of ordinary stores\n"
           "(floor), memcpy and streaming stores, relative to the floor.\n\n"
        << "shape          group      time us    GB/s    floor us  of floor  fastest copy" << std::endl;
    for (const std::string shape : kShapes) {
        const std::string format = "/channels_first/f32/" + shape;
        const auto copies = measured(calls, "copy/batch" + format);
        const auto fastest = *std::max_element(copies.begin(), copies.end(), [](const auto &a, const auto &b) {
            return a.second.of_floor() < b.second.of_floor();
        });
        for (const std::string group : {"batch", "instance"}) {
            const std::string row = "forward/" + group + format;
            const Times times = measured(calls, row)[1].second;
            const double seconds = median(times.seconds);
            out << std::left << std::setw(15) << shape << std::setw(9) << group << std::right << std::fixed
                << std::setprecision(1) << std::setw(10) << seconds * 1e6 << std::setw(8)
                << parse_case(row).bytes_moved() * 1e-9 / seconds << std::setw(12) << median(times.floor) * 1e6
                << std::setprecision(2) << std::setw(10) << times.of_floor() << std::setw(8)
                << fastest.second.of_floor() << " " << fastest.first << std::endl;
        }
    }
}

}  // namespace demo
