// Stochastic gradient descent with momentum, as torch.optim.SGD: v = momentum*v + gradient; value
// -= rate*v.
#pragma once

#include "layer.h"

namespace digits {

class Sgd {
public:
    // The parameters' memory must outlive this.
    Sgd(std::vector<Parameter> parameters, double rate, double momentum)
        : parameters_(std::move(parameters)), rate_(float(rate)), momentum_(float(momentum)) {
        for (const Parameter &parameter : parameters_) velocities_.emplace_back(parameter.value.size());
    }

    void step() {
        for (std::size_t p = 0; p < parameters_.size(); ++p)
            for (std::size_t i = 0; i < velocities_[p].size(); ++i) {
                velocities_[p][i] = momentum_ * velocities_[p][i] + parameters_[p].gradient[i];
                parameters_[p].value[i] -= rate_ * velocities_[p][i];
            }
    }

private:
    std::vector<Parameter> parameters_;
    std::vector<std::vector<float>> velocities_;
    float rate_, momentum_;
};

}  // namespace digits
