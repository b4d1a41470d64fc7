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
        if (status_ != HNORM_OK) {
            return sum({0, 1, 0, x_.g0.extent});  // which tells the others
        }
        HNORM_TRY(compute_reserved({exchange_.measures(), 1, 1}, sum_dy, sum_dy_xmu));
        exchange_.set_measures(visited_ > 0);
        if (of_rank_) {
            undo_scales(own_dy, own_dy_xmu);
        }
        return HNORM_OK;
    }

private:
    hnorm_status reserve_all() {
        HNORM_TRY(reserve());
        marks_.visit_together();
        return marks_.clear(function_, x_.groups());
    }

    hnorm_status sum(const Slice &slice) override {
        const Sums own = own_.from(slice.c_begin);
        return RankSums(on_, exchange_, ranked_, measured_ ? 2 : 0)
            .compute(status_, slice, sums_.from(slice.c_begin), of_rank_ ? &own : nullptr,
                     [&](const SumsView &view, int64_t channel, const Stream &stream, const View &x, const View &dy,
                         RunSums &runs) {
                         const int64_t first = slice.c_begin + channel;
                         const Slice from = {0, 1, first, first + 1};
                         const Values<float> values[kGradientValues] = {gate_.m.from(from),
                                                                        gate_.a.from(from),
                                                                        gate_.b.from(from),
                                                                        {scale_x_ + first, 0},
                                                                        {scale_dy_ + first, 0}};
                         RepeatedFloats repeated[kGradientValues];
                         Values<float> of_stream[kGradientValues];
                         for (int i = 0; i < (measured_ ? kGradientValues : kUnscaledValues); ++i) {
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
    hnorm_status status_ = HNORM_OK;
};

}  // namespace hnorm::detail
