// Ranks with a layer each, for tests of one call on all of them.
#pragma once

#include "ranks.h"

#include <memory>

namespace ranks {

// Ranks with a layer each, which all make a call; what each gets.
struct Outcome {
    hnorm_status status = HNORM_OK;
    std::string message;
};
class Party {
public:
    explicit Party(int count, int64_t channels = 3, std::chrono::milliseconds deadline = std::chrono::seconds(60))
        : group(count, deadline) {
        for (int r = 0; r < count; r++) {
            layers.push_back(std::make_unique<api::Layer>(channels));
            hnorm_comm comm = group.comm(r);
            REQUIRE(hnorm_layer_set_comm(*layers.back(), &comm) == HNORM_OK);
        }
    }
    template <typename Call>
    std::vector<Outcome> call(const Call &call) {
        std::vector<Outcome> outcomes(layers.size());
        on_ranks(static_cast<int>(layers.size()), [&](int rank) {
            const auto r = static_cast<size_t>(rank);
            outcomes[r].status = call(rank, static_cast<hnorm_layer *>(*layers[r]));
            outcomes[r].message = hnorm_last_error();
        });
        return outcomes;
    }
    // Ranks that have made other calls count them anew.
    void begin_anew() {
        for (size_t r = 0; r < layers.size(); r++) {
            const hnorm_comm comm = group.comm(static_cast<int>(r));
            REQUIRE(hnorm_layer_set_comm(*layers[r], &comm) == HNORM_OK);
        }
    }
    // A right step afterwards: the failure has left nothing behind.
    void require_goes_on() {
        for (const Outcome &outcome : call([&](int, hnorm_layer *layer) {
                 api::Pair pair({4, hnorm_layer_num_features(layer), 5});
                 api::Elements dx({4, hnorm_layer_num_features(layer), 5});
                 const hnorm_tensor to = dx.view();
                 const hnorm_status forward = hnorm_layer_forward(layer, &pair.in, &pair.out);
                 return forward == HNORM_OK ? hnorm_layer_backward(layer, &pair.in, &pair.out, &to) : forward;
             })) {
            INFO(outcome.message);
            REQUIRE(outcome.status == HNORM_OK);
        }
    }

    Group group;
    std::vector<std::unique_ptr<api::Layer>> layers;
};

// All ranks fail, and say the same of the rank; `own`: the status of that rank itself.
inline void require_all_failed(const std::vector<Outcome> &outcomes, int rank, hnorm_status own,
                               const std::vector<std::string> &words) {
    for (size_t r = 0; r < outcomes.size(); r++) {
        const bool is_own = static_cast<int>(r) == rank;
        INFO("rank " << r << ": " << outcomes[r].message);
        REQUIRE(outcomes[r].status == (is_own ? own : HNORM_COMM_ERROR));
        for (const std::string &word : words) {
            if (!is_own || own == HNORM_COMM_ERROR) REQUIRE(outcomes[r].message.find(word) != std::string::npos);
        }
    }
}

inline hnorm_status forward_of(hnorm_layer *layer, const std::vector<int64_t> &shape) {
    api::Pair pair(shape);
    return hnorm_layer_forward(layer, &pair.in, &pair.out);
}

}  // namespace ranks
