#include "over_ranks.h"

#include <cinttypes>
#include <new>

#include "../given.h"
#include "../layer.h"
#include "../validate.h"
#include "gradient_sums.h"
#include "moments.h"
#include "on_device.h"

namespace hnorm::detail {

namespace {

// Operations over ranks, for Machine::run.
struct ForwardOfRanks : Forward {
    ForwardOfRanks(const Forward &forward, Exchange &its_exchange, hnorm_status its_status)
        : Forward(forward), exchange(its_exchange), status(its_status) {}
    Exchange &exchange;
    hnorm_status status;
};
struct BackwardOfRanks : Backward {
    BackwardOfRanks(const Backward &backward, Exchange &its_exchange) : Backward(backward), exchange(its_exchange) {}
    Exchange &exchange;
};

hnorm_status compute_forward(const Cpu &on, const ForwardOfRanks &a) {
    const RankedView view(a.exchange, a.x, nullptr);
    HNORM_TRY(RankMoments(on, a.exchange, view).compute(a.status, a.mean, a.variance));
    const Normalization by = {group_values<double>(a.mean, a.x, a.group),
                              group_values<double>(a.variance, a.x, a.group), a.affine, a.eps};
    return compute_normalize(on, Normalize{a.x, by, a.post, a.y});
}

// What each rank does before and after the sums of all.
class BackwardOfRank {
public:
    BackwardOfRank(const Cpu &on, const BackwardOfRanks &given)
        : on_(on), exchange_(given.exchange), given_(given), behind_(on, given), gate_(on), memory_(on) {}

    hnorm_status compute() {
        const hnorm_status ready = prepare();
        const Backward &b = behind_.rest;
        const RankedView view(exchange_, b.x, &b.dy);
        const bool of_rank = exchange_.comm().gradients == HNORM_GRADIENTS_OF_RANK;
        double *const sums = memory_.data(), *const own = sums + 2 * channels();
        detail::Gate gate = gate_;
        gate.slope = b.slope;  // A rank without samples has computed no gate, and decides as the others do.
        HNORM_TRY(RankGradientSums(on_, exchange_, view, gate, of_rank)
                      .compute(ready, sums, sums + channels(), own, own + channels()));
        about_the_mean(sums);
        if (of_rank) {
            about_the_mean(own);
        }
        HNORM_TRY(write_dx(of(sums)));
        const GroupSums of_parameters = of(of_rank ? own : sums);
        HNORM_TRY(on_.weigh(b, all_of(b.x), of_parameters));
        return b.wants_parameters() ? on_.parameter_gradients(b, of_parameters) : HNORM_OK;
    }

private:
    int64_t channels() const { return given_.x.c; }
    GroupSums of(double *sums) const { return {sums, sums + channels(), given_.group}; }

    hnorm_status prepare() {
        HNORM_TRY(memory_.reserve(4 * channels()));
        HNORM_TRY(behind_.reserve());
        if (given_.x.empty()) {
            return HNORM_OK;
        }
        HNORM_TRY(behind_.compute_dz(all_of(given_.x)));
        return on_.gate(behind_.rest.x, behind_.rest.by, behind_.rest.slope, &gate_);
    }
    void about_the_mean(double *sums) const {
        for (int64_t c = 0; c < channels(); ++c) {
            const double mean = given_.by.mean.at(0, c);
            sums[channels() + c] -= (mean - static_cast<double>(static_cast<float>(mean))) * sums[c];
        }
    }
    hnorm_status write_dx(const GroupSums &sums) const {
        const Backward &b = behind_.rest;
        if (b.dx && !b.x.empty()) {
            const auto count = static_cast<double>(exchange_.all_samples() * exchange_.positions());
            Cpu::Gradient gradient(on_);
            HNORM_TRY(on_.gradient(b.x, b.by, b.group, count, sums, &gradient));
            HNORM_TRY(on_.apply(b.x, b.dy, gradient, gate_, *b.dx, on_.goes_past_cache(*b.dx, {&b.x, &b.dy})));
        }
        return given_.x.empty() ? HNORM_OK : behind_.write_dx(all_of(b.x));
    }

    const Cpu &on_;
    Exchange &exchange_;
    const Backward &given_;
    BehindResidual<Cpu> behind_;
    Cpu::Gate gate_;
    Cpu::Memory<double> memory_;
};

hnorm_status compute_backward(const Cpu &on, const BackwardOfRanks &a) { return BackwardOfRank(on, a).compute(); }

class LayerOfRanks : public LayerOverRanks {
public:
    explicit LayerOfRanks(const hnorm_comm &comm) : exchange_(comm) {}
    hnorm_status reserve(const char *function) { return exchange_.reserve(function); }

    hnorm_status forward(const char *function, hnorm_status status, hnorm_layer *layer, Forward f,
                         bool residual) override {
        Machine machine;
        HNORM_TRY(agree(function, status, &machine, *layer, kForwardOverRanks, f.x, f.x, residual, f.post.slope));
        const int64_t elements = exchange_.all_samples() * exchange_.positions();
        if (elements == 0) {
            return HNORM_OK;
        }
        if (elements == 1) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: expected more than 1 value per channel in training, got 1 on all ranks together",
                        function);
        }
        return noted(compute(function, machine, layer, f, residual));
    }

    hnorm_status backward(const char *function, hnorm_status status, hnorm_layer *layer, const Backward &b) override {
        Machine machine;
        const CheckedTensor dz = status == HNORM_OK ? PlaceOfDz(b).like(b.dy) : b.dy;
        HNORM_TRY(agree(function, status, &machine, *layer, kBackwardOverRanks, b.x, dz, b.has_residual(), b.slope));
        if (exchange_.all_samples() * exchange_.positions() == 0) {
            return HNORM_OK;
        }
        machine.log_as(b.kind());
        return noted(layer->device == HNORM_CPU
                         ? machine.run(&Device::backward, compute_backward, BackwardOfRanks(b, exchange_))
                         : DeviceRanks(function, machine, exchange_, layer).backward(b));
    }

private:
    hnorm_status compute(const char *function, const Machine &machine, hnorm_layer *layer, Forward f, bool residual) {
        const hnorm_status room = layer->record.begin_training(function, f.x.c, true);
        f.mean = layer->record.mean.data();
        f.variance = layer->record.variance.data();
        machine.log_as(f.kind());
        HNORM_TRY(layer->device == HNORM_CPU
                      ? machine.run(&Device::forward, compute_forward, ForwardOfRanks(f, exchange_, room))
                      : DeviceRanks(function, machine, exchange_, layer).forward(room, f));
        if (layer->tracks()) {
            const auto elements = static_cast<double>(exchange_.all_samples() * exchange_.positions());
            HNORM_TRY(machine.run(&Device::track, compute_track<Cpu>, layer->tracked(1, elements, f.mean, f.variance)));
            ++layer->num_batches_tracked;
        }
        layer->record.end(f.x, f.y, true, residual, true);
        return HNORM_OK;
    }

    // A failure of this rank alone, after the last round, is told to the others in the next call.
    hnorm_status noted(hnorm_status status) {
        if (status != HNORM_OK && !exchange_.failed_together()) {
            failed_alone_ = status;
        }
        return status;
    }

    hnorm_status agree(const char *function, hnorm_status status, Machine *machine, const hnorm_layer &layer,
                       int16_t operation, const CheckedTensor &x, const CheckedTensor &dy, bool residual, float slope) {
        if (failed_alone_ != HNORM_OK) {
            status = fail(failed_alone_, "%s: the call of this layer before has failed on this rank alone, with %s",
                          function, hnorm_status_name(failed_alone_));
            failed_alone_ = HNORM_OK;
        }
        if (status == HNORM_OK) {
            status = machine->find(function, layer.device, layer.context);
        }
        RankCall call = {};
        call.step = step_++;
        call.operation = static_cast<int16_t>(operation + (layer.device == HNORM_CPU ? 0 : kOnDevice));
        call.status = static_cast<int16_t>(status);
        if (status == HNORM_OK) {
            const bool last = sums_view(x, &dy, {HNORM_BATCH, 1}).adjacent;
            call.channels = x.c;
            call.samples = x.empty() ? 0 : x.n;
            call.positions = x.s;
            call.type = static_cast<int16_t>(x.type);
            call.channels_last = static_cast<int16_t>(x.empty() || x.s == 1 ? -1 : last ? 1 : 0);
            call.residual = residual ? 1 : 0;
            call.slope = slope;
        }
        return exchange_.agree(function, call);
    }

    Exchange exchange_;
    int64_t step_ = 0;
    hnorm_status failed_alone_ = HNORM_OK;
};

hnorm_status check_comm(const char *function, const hnorm_comm &comm) {
    if (comm.ranks < 1) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: comm.ranks is %d: it must be 1 or more", function, comm.ranks);
    }
    if (comm.rank < 0 || comm.rank >= comm.ranks) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: comm.rank is %d: it must be 0 to %d, which is comm.ranks - 1",
                    function, comm.rank, comm.ranks - 1);
    }
    if (comm.reserved != 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: comm.reserved is %d: it must be 0", function, comm.reserved);
    }
    if (comm.all_gather == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: comm.all_gather is null: a function is needed", function);
    }
    if (comm.gradients != HNORM_GRADIENTS_OF_ALL && comm.gradients != HNORM_GRADIENTS_OF_RANK) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: comm.gradients is %d: it must be HNORM_GRADIENTS_OF_ALL (0) or HNORM_GRADIENTS_OF_RANK (1)",
                    function, static_cast<int>(comm.gradients));
    }
    return HNORM_OK;
}

}  // namespace

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" hnorm_status hnorm_layer_set_comm(hnorm_layer *layer, const hnorm_comm *comm) {
    const char *const function = "hnorm_layer_set_comm";
    if (layer == nullptr) {
        return null_layer(function);
    }
    std::unique_ptr<LayerOfRanks> made;
    if (comm) {
        hnorm_comm read;
        HNORM_TRY(read_given(function, "comm", *comm, &read));
        HNORM_TRY(check_comm(function, read));
        if (layer->options.group != HNORM_BATCH) {
            return fail(HNORM_UNSUPPORTED, "%s: the layer is no batch norm: only these share statistics", function);
        }
        made.reset(new (std::nothrow) LayerOfRanks(read));
        if (made == nullptr) {
            return fail(HNORM_OUT_OF_MEMORY, "%s: no memory", function);
        }
        HNORM_TRY(made->reserve(function));
    }
    HNORM_TRY(check_device(function, "layer", layer->device));
    layer->record.move_to(storage_of_thread(layer->device));
    layer->over_ranks = std::move(made);
    return HNORM_OK;
}
