// The sums of backward of groups that lie on several ranks.
#pragma once

#include "../group_gradient_sums.h"
#include "rank_sums.h"

namespace hnorm::detail {

class RankGradientSums : public GroupGradientSums {
public:
    // of_rank: whether this rank's own sums are wanted.
    RankGradientSums(const Cpu &on, Exchange &exchange, const RankedView &view, const Gate &gate, bool of_rank)
        : GroupGradientSums(on.function, view.all(), gate.slope),
          on_(on),
          exchange_(exchange),
          ranked_(view),
          gate_(gate),
          of_rank_(of_rank) {}

    // Fails on all ranks if `status` is a failure on one.
    hnorm_status compute(hnorm_status status, double *sum_dy, double *sum_dy_xmu, double *own_dy, double *own_dy_xmu) {
        own_ = {own_dy, own_dy_xmu, {}};
        status_ = status == HNORM_OK ? reserve_all() : status;
        HNORM_TRY(share_sample());
        HNORM_TRY(compute_reserved(sum_dy, sum_dy_xmu));
        if (of_rank_) {
            undo_scales(own_dy, own_dy_xmu);
        }
        return HNORM_OK;
    }

private:
    hnorm_status reserve_all() {
        HNORM_TRY(reserve());
        HNORM_TRY(greatest_.reserve(function_, 2 * x_.groups()));
        return marks_.clear(function_, x_.groups());
    }

    // The greatest of this rank's rows of the sample, and of all of them.
    hnorm_status share_sample() {
        const int64_t channels = x_.g0.extent;
        HNORM_TRY(exchange_.reserve_round(function_, channels));
        auto *const bits = reinterpret_cast<char *>(exchange_.mine());
        if (status_ == HNORM_OK) {
            std::fill_n(sample_dy_, channels, 0);
            std::fill_n(sample_x_, channels, 0);
            status_ = sample_mine();
            std::memcpy(bits, sample_dy_, static_cast<size_t>(channels) * sizeof(int32_t));
            std::memcpy(bits + static_cast<size_t>(channels) * sizeof(int32_t), sample_x_,
                        static_cast<size_t>(channels) * sizeof(int32_t));
        }
        HNORM_TRY(exchange_.gather(function_, status_));
        for (int r = 0; r < exchange_.ranks(); ++r) {
            const char *const from = reinterpret_cast<const char *>(exchange_.of(r));
            for (int64_t c = 0; c < 2 * channels; ++c) {
                int32_t value;
                std::memcpy(&value, from + static_cast<size_t>(c) * sizeof value, sizeof value);
                int32_t &greatest = c < channels ? sample_dy_[c] : sample_x_[c - channels];
                greatest = std::max(greatest, value);
            }
        }
        return HNORM_OK;
    }
    // Kernels take as many rows as the sample of their tensor has: these are taken in turns, and
    // the last ones are repeated.
    hnorm_status sample_mine() {
        const SamplePlaces sampled(view_);
        const bool positions = view_.samples_are_positions;
        const int rank = exchange_.rank();
        const int64_t start = exchange_.start(rank), samples = exchange_.samples(rank);
        int32_t places[SamplePlaces::kMost][2], count = 0;
        for (int32_t i = 0; i < sampled.count(); ++i) {
            const int64_t s = sampled.position(i) - (positions ? start : 0);
            const int64_t r = sampled.plane(i) - (positions ? 0 : start), sample = positions ? s : r;
            if (0 <= sample && sample < samples) {
                places[count][view_.transposed ? 1 : 0] = static_cast<int32_t>(r);
                places[count][view_.transposed ? 0 : 1] = static_cast<int32_t>(s);
                ++count;
            }
        }
        if (count == 0) {
            return HNORM_OK;
        }
        const int32_t of_kernel = SamplePlaces(ranked_.mine()).count();
        for (int32_t begin = 0; begin < count; begin += of_kernel) {
            int32_t rows[SamplePlaces::kMost][2];
            for (int32_t i = 0; i < of_kernel; ++i) {
                std::copy_n(places[std::min(begin + i, count - 1)], 2, rows[i]);
            }
            HNORM_TRY(sample_rows(sampled, rows, of_kernel));
        }
        return HNORM_OK;
    }
    hnorm_status sample_rows(const SamplePlaces &sampled, int32_t (*rows)[2], int32_t count) {
        return for_channels(ranked_.mine(), [&](const SumsView &view, int64_t first) {
            const int64_t channels = view.x.g0.extent;
            const View seen_x = sampled.seen(view.x), seen_dy = sampled.seen(view.dy);
            TensorBuffer x(seen_x), dy(seen_dy);
            const Range range = {0, 1, first, first + 1};
            const auto values = [&](const Values<float> &v) { return GroupBuffer(v.from(range).data, view.x, 0); };
            GroupBuffer m = values(gate_.m), a = values(gate_.a), b = values(gate_.b);
            GroupBuffer of_dy(greatest_.data(), view.x), of_x(greatest_.data() + channels, view.x);
            Buffer<2> places(rows, halide_type_of<int32_t>(), {{2, 1}, {count, 2}});
            const SerialScope serial(on_.is_serial(x_.type, view.x.elements()));
            HNORM_TRY(kernel_status(function_, kernel_of(hnorm_kernels_backward_sample, on_, x_.type, sampled.planes())(
                                                   x, dy, m, a, b, slope_bits(gate_.slope), places, of_dy, of_x)));
            for (int64_t c = 0; c < channels; ++c) {
                sample_dy_[first + c] = std::max(sample_dy_[first + c], greatest_.data()[c]);
                sample_x_[first + c] = std::max(sample_x_[first + c], greatest_.data()[channels + c]);
            }
            return HNORM_OK;
        });
    }
    hnorm_status sample() override { return HNORM_OK; }  // share_sample() did it

    hnorm_status sum(const Range &range) override {
        const Sums own = own_.from(range.c_begin);
        return RankSums(on_, exchange_, ranked_, measured_ ? 2 : 0)
            .compute(HNORM_OK, range, sums_.from(range.c_begin), of_rank_ ? &own : nullptr,
                     [&](const SumsView &view, int64_t channel, const Stream &stream, const View &x, const View &dy,
                         RunSums &runs) {
                         const int64_t first = range.c_begin + channel;
                         const Range from = {0, 1, first, first + 1};
                         const Values<float> values[kGradientValues] = {gate_.m.from(from),
                                                                        gate_.a.from(from),
                                                                        gate_.b.from(from),
                                                                        {scale_x_ + first, 0},
                                                                        {scale_dy_ + first, 0}};
                         RepeatedFloats repeated[kGradientValues];
                         Values<float> of_stream[kGradientValues];
                         for (int i = 0; i < kGradientValues; ++i) {
                             HNORM_TRY(repeat(function_, view.x, stream, values[i].data, &repeated[i]));
                             of_stream[i] = {repeated[i].data, 0};
                         }
                         const SerialScope serial(on_.is_serial(x.type, x.elements()));
                         return run_gradient_kernel(on_, stream.planes, x, dy, of_stream, gate_.slope, measured_,
                                                    &runs);
                     });
    }

    const Cpu &on_;
    Exchange &exchange_;
    const RankedView &ranked_;
    const detail::Gate gate_;
    const bool of_rank_;
    Sums own_ = {};
    ScratchOf<int32_t> greatest_;  // of some rows
    hnorm_status status_ = HNORM_OK;
};

}  // namespace hnorm::detail
