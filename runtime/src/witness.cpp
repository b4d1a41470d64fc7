#include "witness.h"

namespace hnorm::detail {

std::atomic<Witness *> hnorm_witness{nullptr};

}  // namespace hnorm::detail
