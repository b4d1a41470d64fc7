// What backward knows of forward, for tensors of few channels (narrow.h).
#pragma once

#include "gradients.h"
#include "narrow.h"

namespace hnorm::detail {

class NarrowForwardPart {
public:
    hnorm_status repeat(const char *function, const Planes &x, const ForwardPart &forward) {
        eps_ = forward.eps;
        slope_ = forward.slope;
        HNORM_TRY(mean_.repeat(function, x, forward.mean));
        HNORM_TRY(variance_.repeat(function, x, forward.variance));
        return affine_.repeat(function, x, forward.affine);
    }
    operator ForwardPart() const { return {mean_, variance_, affine_, eps_, slope_}; }

private:
    NarrowGroupValues mean_, variance_;
    NarrowAffine affine_;
    double eps_ = 0;
    float slope_ = 1;
};

}  // namespace hnorm::detail
