// hnorm_moments, and what it computes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "chunk_by_chunk.h"
#include "cpu.h"
#include "error.h"
#include "group_moments.h"
#include "probe_places.h"
#include "threads.h"
#include "validate.h"

namespace hnorm::detail {

namespace {

// The moments of groups that lie in one tensor on the CPU.
class CpuMoments : public GroupMoments {
public:
    CpuMoments(const Cpu &on, const SumsView &view)
        : GroupMoments(on.function, view),
          on_(on),
          probed_(view),
          serial_(on.is_serial(view.x.type, view.x.elements())) {}

    hnorm_status compute(double divisor, double *mean, double *m2) {
        auto &expected = remembered<ExpectedMoments>(view_.x);
        HNORM_TRY(reserve());
        HNORM_TRY(compute_reserved(expected, divisor, mean, m2));
        expected = expected_next();
        return HNORM_OK;
    }

private:
    hnorm_status probe(const Slice &slice, int32_t *spread) override {
        const View part = probed_.seen(cropped(x_, slice));
        const int64_t first = x_.first(slice), stride_n = x_.g0.extent;
        TensorBuffer x(part);
        GroupBuffer scale(scale_ + first, part, stride_n), center(center_ + first, part, stride_n);
        GroupBuffer spreads(spread + first, part, stride_n);
        probed_.prefetch(part);
        const SerialScope serial(serial_);
        return kernel_status(on_.function, kernel_of(hnorm_kernels_probe, on_, x_.type, probed_.planes())(
                                               x, scale, probed_.buffer(), center, spreads));
    }

    hnorm_status sum(const Slice &slice) override {
        const View part = cropped(x_, slice);
        const int64_t first = x_.first(slice), channels = x_.g0.extent;
        RepeatedFloats centers, scales;
        if (const ChunkByChunk chunks(view_, part); chunks.applies()) {
            HNORM_TRY(centers.repeat_value(on_.function, center_[first], chunks.side_by_side()));
            HNORM_TRY(scales.repeat_value(on_.function, scale_[first], chunks.side_by_side()));
            return chunks.compute(on_.function, sums_.from(first), [&](const auto &of, const Sums &sums) {
                return sum_part(of(part), kTiny, centers.data, scales.data, 0, sums, 0);
            });
        }
        if (view_.transposed) {
            HNORM_TRY(centers.repeat_positions(on_.function, part, center_ + first));
            HNORM_TRY(scales.repeat_positions(on_.function, part, scale_ + first));
            return sum_part(positions_as_channels(part), view_.planes, centers.data, scales.data, 0, sums_.from(first),
                            channels, part.r.extent);
        }
        if (view_.dense) {
            HNORM_TRY(centers.repeat(on_.function, part, center_ + first, channels));
            HNORM_TRY(scales.repeat(on_.function, part, scale_ + first, channels));
        }
        return for_parts(on_.function, view_, part, sums_.from(first),
                         [&](const auto &of, int64_t repeats, const Sums &sums, int64_t stride_n) {
                             return repeats == 1 ? sum_part(of(part), view_.planes, center_ + first, scale_ + first,
                                                            channels, sums, stride_n)
                                                 : sum_part(of(part), view_.planes, centers.data, scales.data,
                                                            centers.stride_n, sums, stride_n);
                         });
    }

    hnorm_status sum_part(const View &part, PlaneClass planes, const float *centers, const float *scales,
                          int64_t values_n, const Sums &sums, int64_t stride_n, int64_t together = 1) {
        RunSums runs(part, planes, scaled_ ? sums : Sums{sums.e, sums.q, {}}, stride_n, together);
        HNORM_TRY(runs.reserve(on_.function));
        const SerialScope serial(serial_);
        HNORM_TRY(run_moments_kernel(on_, planes, part, centers, scaled_ ? scales : nullptr, values_n, &runs));
        runs.add_up();
        return HNORM_OK;
    }

    const Cpu &on_;
    ProbePlaces probed_;
    const bool serial_;
};

// Of groups of `together` channels, from those of their channels (docs/order.md, "Groups of
// channels"). `size` elements are in each channel. M2 is divided by `divisor`.
void merge_channels(int64_t groups, int64_t together, double size, double divisor, const double *means,
                    const double *m2s, double *mean, double *m2) {
    for (int64_t g = 0; g < groups; ++g, means += together, m2s += together) {
        double sum = 0, within = 0, between = 0;
        for (int64_t c = 0; c < together; ++c) {
            sum += means[c];
            within += m2s[c];
        }
        mean[g] = sum / static_cast<double>(together);
        for (int64_t c = 0; c < together; ++c) {
            const double offset = means[c] - mean[g];
            between += offset * offset;
        }
        m2[g] = (within + size * between) / divisor;
    }
}

// A dense copy of the view's planes.
View packed(const View &view, char *copy) {
    const int64_t size = view.element_size(), positions = view.s.extent;
    char *to = copy;
    for (int64_t n = 0; n < view.g1.extent; ++n) {
        for (int64_t g = 0; g < view.g0.extent; ++g) {
            for (int64_t s = 0; s < positions; ++s, to += size) {
                std::memcpy(to, view.at(s, 0, g, n), static_cast<size_t>(size));
            }
        }
    }
    return {copy, view.type, {positions, 1}, {}, {view.groups(), positions}, {}};
}

}  // namespace

hnorm_status Cpu::moments(const CheckedTensor &x, const Grouping &group, double divisor, double *mean,
                          double *m2) const {
    SumsView all = one_row(sums_view(x, nullptr, group));
    ScratchOf<char> copy;
    // Kernels want the positions of a plane adjacent. Only channels of one position can be apart.
    const bool apart = all.planes != kLast && all.x.s.extent > 1 && all.x.s.stride != 1;
    if (apart || faster_side_by_side(all)) {
        HNORM_TRY(copy.reserve(function, all.x.elements() * all.x.element_size()));
        all.x = apart ? packed(all.x, copy.data()) : side_by_side(all.x, copy.data());
    }
    const auto compute = [&](double by, double *means, double *m2s) {
        return for_channels(all, [&](const SumsView &view, int64_t first) {
            return CpuMoments(*this, view).compute(by, means + first, m2s + first);
        });
    };
    if (all.merged == 1) {
        return compute(divisor, mean, m2);
    }
    const int64_t channels = all.x.groups();
    Scratch of_channels;
    HNORM_TRY(of_channels.reserve(function, 2 * channels));
    double *const means = of_channels.data(), *const m2s = means + channels;
    HNORM_TRY(compute(1, means, m2s));
    merge_channels(channels / all.merged, all.merged, static_cast<double>(all.x.group_size()), divisor, means, m2s,
                   mean, m2);
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2) {
    const char *const function = "hnorm_moments";
    CheckedTensor planes;
    HNORM_TRY(read_tensor(function, "x", x, &planes));
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", group, planes.c, &grouping));
    const int64_t groups = grouping.count(planes);
    const Array counts("count", count, groups), means("mean", mean, groups), m2s("m2", m2, groups);
    for (const Array *array : {&counts, &means, &m2s}) {
        HNORM_TRY(check_array(function, *array, "x", planes));
    }
    HNORM_TRY(check_apart(function, counts, means, planes.device));
    HNORM_TRY(check_apart(function, counts, m2s, planes.device));
    HNORM_TRY(check_apart(function, means, m2s, planes.device));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    return machine.run(&Device::moments, compute_moments<Cpu>, Moments{planes, grouping, count, mean, m2});
}

}  // extern "C"
