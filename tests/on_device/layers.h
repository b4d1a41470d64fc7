// A layer's arrays and the copies of them that tests see.
#pragma once

#include <hnorm/hnorm.h>

namespace on_device {

void copy_layer_in(hnorm_layer *layer);
void copy_layer_back(hnorm_layer *layer);

}  // namespace on_device
