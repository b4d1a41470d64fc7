// The moments of groups that lie on several ranks.
#pragma once

#include "../elements.h"
#include "../group_moments.h"
#include "../probe_places.h"
#include "rank_sums.h"

namespace hnorm::detail {

class RankMoments : public GroupMoments {
public:
    RankMoments(const Cpu &on, Exchange &exchange, const RankedView &view)
        : GroupMoments(on.function, view.all()), on_(on), exchange_(exchange), ranked_(view), probed_(view.all()) {}

    // Fails on all ranks if `status` is a failure on one. M2 is divided by the number of elements.
    hnorm_status compute(hnorm_status status, double *mean, double *variance) {
        if (status == HNORM_OK) {
            status = reserve_all();
        }
        HNORM_TRY(gather_probe(status));
        return compute_reserved({true, false}, static_cast<double>(x_.group_size()), mean, variance);
    }

private:
    hnorm_status reserve_all() {
        HNORM_TRY(reserve());
        marks_.visit_together();
        HNORM_TRY(marks_.clear(function_, x_.groups()));
        return elements_.reserve(function_, probed_.count() * of_row());
    }
    // Values of a row of the probe: of all channels of each neighbour.
    int64_t of_row() const { return probed_.neighbours() * x_.g0.extent; }
    int64_t sample_of(int32_t row) const {
        return view_.samples_are_positions ? probed_.position(row) : probed_.plane(row);
    }
    bool is_of(int32_t row, int rank) const {
        const int64_t sample = sample_of(row), start = exchange_.start(rank);
        return start <= sample && sample < start + exchange_.samples(rank);
    }

    // The probe's elements, as they are: with them each rank probes by any scales.
    hnorm_status gather_probe(hnorm_status status) {
        int64_t most = 0;
        for (int r = 0; r < exchange_.ranks(); ++r) {
            int64_t rows = 0;
            for (int32_t i = 0; i < probed_.count(); ++i) {
                rows += is_of(i, r) ? 1 : 0;
            }
            most = std::max(most, rows);
        }
        constexpr int64_t kFloats = sizeof(double) / sizeof(float);
        HNORM_TRY(exchange_.reserve_round(function_, (most * of_row() + kFloats - 1) / kFloats));
        if (status == HNORM_OK) {
            read_mine();
        }
        HNORM_TRY(exchange_.gather(function_, status));
        const int64_t bytes = of_row() * static_cast<int64_t>(sizeof(float));
        for (int r = 0; r < exchange_.ranks(); ++r) {
            const char *from = reinterpret_cast<const char *>(exchange_.of(r));
            for (int32_t i = 0; i < probed_.count(); ++i) {
                if (is_of(i, r)) {
                    std::memcpy(elements_.data() + i * of_row(), from, static_cast<size_t>(bytes));
                    from += bytes;
                }
            }
        }
        return HNORM_OK;
    }
    void read_mine() {
        const View &x = ranked_.mine().x;
        const int64_t start = exchange_.start(exchange_.rank());
        char *to = reinterpret_cast<char *>(exchange_.mine());
        for (int32_t i = 0; i < probed_.count(); ++i) {
            if (!is_of(i, exchange_.rank())) {
                continue;
            }
            const bool positions = view_.samples_are_positions;
            const int64_t s = probed_.position(i) - (positions ? start : 0);
            const int64_t r = probed_.plane(i) - (positions ? 0 : start);
            for (int64_t w = 0; w < probed_.neighbours(); ++w) {
                for (int64_t c = 0; c < x.g0.extent; ++c, to += sizeof(float)) {
                    const float value = element(x.at(s + w, r, c, 0));
                    std::memcpy(to, &value, sizeof value);
                }
            }
        }
    }
    float element(const char *at) const {
        if (x_.type == HNORM_F32) {
            float value;
            std::memcpy(&value, at, sizeof value);
            return value;
        }
        uint16_t bits;
        std::memcpy(&bits, at, sizeof bits);
        return x_.type == HNORM_F16 ? f16_to_float(bits) : bf16_to_float(bits);
    }

    // docs/order.md, "The probe"
    hnorm_status probe(const Slice &slice, int32_t *spread) override {
        const int64_t width = probed_.neighbours(), channels = x_.g0.extent;
        // Channels are adjacent in memory, so some of them go together.
        constexpr int64_t kTogether = 64;
        for (int64_t begin = slice.c_begin; begin < slice.c_end; begin += kTogether) {
            const int64_t count = std::min(kTogether, slice.c_end - begin);
            const float *const scale = scale_ + begin;
            float lanes[4][kTogether] = {};
            float first[kTogether];
            int32_t greatest[kTogether] = {};
            for (int64_t c = 0; c < count; ++c) {
                first[c] = elements_.data()[begin + c] * scale[c];
            }
            for (int32_t i = 0; i < probed_.count(); ++i) {
                for (int64_t w = 0; w < width; ++w) {
                    const float *const values = elements_.data() + (i * width + w) * channels + begin;
                    float *const lane = lanes[w];
                    for (int64_t c = 0; c < count; ++c) {
                        const float difference = values[c] * scale[c] - first[c];
                        lane[c] += difference;
                        greatest[c] = std::max(greatest[c], magnitude(difference));
                    }
                }
            }
            for (int64_t c = 0; c < count; ++c) {
                const float sum = (lanes[0][c] + lanes[2][c]) + (lanes[1][c] + lanes[3][c]);
                center_[begin + c] =
                    static_cast<float>(static_cast<double>(first[c]) +
                                       static_cast<double>(sum) / static_cast<double>(probed_.count() * width));
                spread[begin + c] = greatest[c];
            }
        }
        return HNORM_OK;
    }

    hnorm_status sum(const Slice &slice) override {
        const Sums sums = sums_.from(slice.c_begin);
        return RankSums(on_, exchange_, ranked_, scaled_ ? 1 : 0)
            .compute(HNORM_OK, slice, sums, nullptr,
                     [&](const SumsView &view, int64_t channel, const Stream &stream, const View &x, const View &,
                         RunSums &runs) {
                         const int64_t first = slice.c_begin + channel;
                         RepeatedFloats center, scale;
                         HNORM_TRY(repeat(function_, view.x, stream, center_ + first, &center));
                         HNORM_TRY(repeat(function_, view.x, stream, scale_ + first, &scale));
                         const SerialScope serial(on_.is_serial(x.type, x.elements()));
                         return run_moments_kernel(on_, stream.planes, x, center.data, scaled_ ? scale.data : nullptr,
                                                   0, &runs);
                     });
    }
    const Cpu &on_;
    Exchange &exchange_;
    const RankedView &ranked_;
    ProbePlaces probed_;
    ScratchOf<float> elements_;
};

}  // namespace hnorm::detail
