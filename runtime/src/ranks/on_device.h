// A layer on a device whose batch lies on several ranks. Ranks tell each other the moments and sums
// of their samples, which are merged in the order of the ranks: the same on all of them.
#pragma once

#include "../call.h"
#include "../layer.h"
#include "../scratch.h"
#include "exchange.h"

namespace hnorm::detail {

class DeviceRanks {
public:
    DeviceRanks(const char *function, const Machine &machine, Exchange &exchange, hnorm_layer *layer)
        : function_(function), machine_(machine), exchange_(exchange), layer_(layer) {}

    // Both fail on all ranks if `status` is a failure on one. The statistics are those of the
    // layer's record.
    hnorm_status forward(hnorm_status status, const Forward &forward);
    hnorm_status backward(const Backward &backward);

private:
    struct HostSums {
        ScratchOf<double> values;
        double *first = nullptr, *second = nullptr, *own_first = nullptr, *own_second = nullptr;
    };

    int64_t channels() const { return layer_->num_features; }
    double elements(int rank) const { return static_cast<double>(exchange_.samples(rank) * exchange_.positions()); }
    hnorm_status reserve(HostSums *sums);
    hnorm_status moments_of_rank(hnorm_status status, const Forward &forward);
    void merge_moments(const HostSums &merged) const;
    hnorm_status sums_of_rank(hnorm_status status, const Backward &b, CheckedTensor *dz);
    hnorm_status gradient_before_activation(const Backward &b, CheckedTensor *dz);
    void add_sums(const HostSums &sums) const;
    hnorm_status write_dx(const Backward &b, const CheckedTensor &dz, const HostSums &sums);
    hnorm_status add_parameter_gradients(const Backward &b, const HostSums &sums) const;

    const char *const function_;
    const Machine &machine_;
    Exchange &exchange_;
    hnorm_layer *const layer_;
    LayerValues<double> first_, second_, count_;  // one a channel, on the device
    LayerValues<float> y_, dz_;                   // memory of tensors
};

}  // namespace hnorm::detail
