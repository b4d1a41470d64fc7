// A layer whose batch lies on several ranks (hnorm/comm.h). layer.h knows it as this interface, so
// that programs without ranks are not linked with it.
#pragma once

#include "../backward.h"

struct hnorm_layer;

namespace hnorm::detail {

class LayerOverRanks {
public:
    virtual ~LayerOverRanks() = default;
    // Called for each forward. In training, every rank must come to it. `status`: whether this
    // rank's arguments are valid.
    virtual hnorm_status forward(const char *function, hnorm_status status, hnorm_layer *layer, Forward forward,
                                 bool residual) = 0;
    // Called for each backward after such a forward. The statistics are those of the record.
    virtual hnorm_status backward(const char *function, hnorm_status status, hnorm_layer *layer,
                                  const Backward &backward) = 0;
};

}  // namespace hnorm::detail
