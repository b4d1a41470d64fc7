#include "on_device.h"

#include <algorithm>

#include "../cpu.h"
#include "../error.h"
#include "../merge.h"

namespace hnorm::detail {

namespace {

// Memory for a dense tensor like this one.
hnorm_status reserve_like(const char *function, const CheckedTensor &like, LayerValues<float> *memory,
                          CheckedTensor *planes) {
    const int64_t bytes = like.elements() * like.element_size(), size = static_cast<int64_t>(sizeof(float));
    HNORM_TRY(memory->resize(function, static_cast<size_t>((bytes + size - 1) / size)));
    *planes = dense_like(like, memory->data());
    return HNORM_OK;
}

}  // namespace

hnorm_status DeviceRanks::reserve(HostSums *sums) {
    for (LayerValues<double> *values : {&first_, &second_, &count_}) {
        values->move_to(storage_of_thread(layer_->device));
        HNORM_TRY(values->resize(function_, static_cast<size_t>(channels())));
    }
    y_.move_to(storage_of_thread(layer_->device));
    dz_.move_to(storage_of_thread(layer_->device));
    HNORM_TRY(sums->values.reserve(function_, 4 * channels()));
    sums->first = sums->values.data();
    sums->second = sums->first + channels();
    sums->own_first = sums->second + channels();
    sums->own_second = sums->own_first + channels();
    return HNORM_OK;
}

hnorm_status DeviceRanks::forward(hnorm_status status, const Forward &f) {
    HostSums merged;
    if (status == HNORM_OK) {
        status = reserve(&merged);
    }
    HNORM_TRY(exchange_.reserve_round(function_, 2 * channels()));
    HNORM_TRY(exchange_.gather(function_, moments_of_rank(status, f)));
    merge_moments(merged);
    LayerRecord &record = layer_->record;
    HNORM_TRY(record.mean.copy_in(function_, merged.first));
    HNORM_TRY(record.variance.copy_in(function_, merged.second));
    const Normalization by = {group_values<double>(record.mean.data(), f.x, f.group),
                              group_values<double>(record.variance.data(), f.x, f.group), f.affine, f.eps};
    return f.x.empty() ? HNORM_OK
                       : machine_.run(&Device::normalize, compute_normalize<Cpu>, Normalize{f.x, by, f.post, f.y});
}

hnorm_status DeviceRanks::moments_of_rank(hnorm_status status, const Forward &f) {
    if (status != HNORM_OK || f.x.empty()) {
        return status;
    }
    HNORM_TRY(machine_.run(&Device::moments, compute_moments<Cpu>,
                           Moments{f.x, f.group, count_.data(), first_.data(), second_.data()}));
    HNORM_TRY(first_.copy_out(function_, exchange_.mine()));
    return second_.copy_out(function_, exchange_.mine() + channels());
}

// The ranks ascending. The second of `merged` is the variance.
void DeviceRanks::merge_moments(const HostSums &merged) const {
    for (int64_t c = 0; c < channels(); ++c) {
        double count = 0, mean = 0, m2 = 0;
        for (int r = 0; r < exchange_.ranks(); ++r) {
            const double *const of_rank = exchange_.of(r);
            detail::merge_moments(&count, &mean, &m2, elements(r), of_rank[c], of_rank[channels() + c]);
        }
        merged.first[c] = mean;
        merged.second[c] = m2 / count;
    }
}

hnorm_status DeviceRanks::backward(const Backward &b) {
    HostSums sums;
    CheckedTensor dz = b.dy;
    const hnorm_status status = reserve(&sums);
    HNORM_TRY(exchange_.reserve_round(function_, 2 * channels()));
    HNORM_TRY(exchange_.gather(function_, sums_of_rank(status, b, &dz)));
    add_sums(sums);
    if (b.dx && !b.x.empty()) {
        HNORM_TRY(write_dx(b, dz, sums));
    }
    return add_parameter_gradients(b, sums);
}

hnorm_status DeviceRanks::sums_of_rank(hnorm_status status, const Backward &b, CheckedTensor *dz) {
    if (status != HNORM_OK || b.x.empty()) {
        return status;
    }
    HNORM_TRY(gradient_before_activation(b, dz));
    const GroupSums sums = {first_.data(), second_.data(), b.group};
    HNORM_TRY(machine_.run(&Device::backward_reduce, compute_backward_reduce<Cpu>,
                           BackwardReduce{b.x, *dz, b.by.mean, sums}));
    HNORM_TRY(first_.copy_out(function_, exchange_.mine()));
    return second_.copy_out(function_, exchange_.mine() + channels());
}

// *dz: dy, or where it lies in dresidual or in memory of the call.
hnorm_status DeviceRanks::gradient_before_activation(const Backward &b, CheckedTensor *dz) {
    CheckedTensor y = b.dy;  // without an activation dz is a copy
    if (b.slope != 1) {
        if (b.y) {
            y = *b.y;
        } else {
            HNORM_TRY(reserve_like(function_, b.x, &y_, &y));
            PostOps post;
            post.slope = b.slope;
            HNORM_TRY(machine_.run(&Device::normalize, compute_normalize<Cpu>, Normalize{b.x, b.by, post, y}));
        }
    }
    if (b.dresidual) {
        *dz = *b.dresidual;
    } else if (b.slope != 1) {
        HNORM_TRY(reserve_like(function_, b.dy, &dz_, dz));
    }
    return dz->data == b.dy.data && b.slope == 1
               ? HNORM_OK
               : machine_.run(&Device::activation_backward, compute_activation_backward<Cpu>,
                              ActivationBackward{y, b.dy, b.slope, *dz});
}

void DeviceRanks::add_sums(const HostSums &sums) const {
    std::fill_n(sums.first, 4 * channels(), 0.0);
    for (int r = 0; r < exchange_.ranks(); ++r) {
        if (exchange_.samples(r) == 0) {
            continue;
        }
        for (int64_t c = 0; c < channels(); ++c) {
            sums.first[c] += exchange_.of(r)[c];
            sums.second[c] += exchange_.of(r)[channels() + c];
        }
        if (r == exchange_.rank()) {
            std::copy_n(exchange_.of(r), 2 * channels(), sums.own_first);
        }
    }
}

hnorm_status DeviceRanks::write_dx(const Backward &b, const CheckedTensor &dz, const HostSums &sums) {
    const auto count = static_cast<double>(exchange_.all_samples() * exchange_.positions());
    HNORM_TRY(first_.copy_in(function_, sums.first));
    HNORM_TRY(second_.copy_in(function_, sums.second));
    HNORM_TRY(count_.fill(function_, count));
    return machine_.run(&Device::backward_apply, compute_backward_apply<Cpu>,
                        BackwardApply{b.x,
                                      dz,
                                      b.by,
                                      {first_.data(), second_.data(), b.group},
                                      group_values<double>(count_.data(), b.x, b.group),
                                      *b.dx});
}

hnorm_status DeviceRanks::add_parameter_gradients(const Backward &b, const HostSums &sums) const {
    if (!b.wants_parameters()) {
        return HNORM_OK;
    }
    const bool own = exchange_.comm().gradients == HNORM_GRADIENTS_OF_RANK;
    const double *const of_dy = own ? sums.own_first : sums.first, *const of_xmu = own ? sums.own_second : sums.second;
    Scratch variance;
    ScratchOf<float> gradients;
    HNORM_TRY(variance.reserve(function_, channels()));
    HNORM_TRY(gradients.reserve(function_, 2 * channels()));
    float *const dgamma = gradients.data(), *const dbeta = dgamma + channels();
    HNORM_TRY(layer_->record.variance.copy_out(function_, variance.data()));
    HNORM_TRY(layer_->gamma_grad.copy_out(function_, dgamma));
    HNORM_TRY(layer_->beta_grad.copy_out(function_, dbeta));
    for (int64_t c = 0; c < channels(); ++c) {
        dgamma[c] += static_cast<float>(of_xmu[c] * invstd(variance.data()[c], b.by.eps));
        dbeta[c] += static_cast<float>(of_dy[c]);
    }
    HNORM_TRY(layer_->gamma_grad.copy_in(function_, dgamma));
    return layer_->beta_grad.copy_in(function_, dbeta);
}

}  // namespace hnorm::detail
