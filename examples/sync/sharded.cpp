#include "sharded.h"

#include <algorithm>

namespace sync_example {

using digits::Array;

Array samples(const Array &array, int begin, int count) {
    Array result(count, array.c, array.h, array.w);
    std::copy_n(array.sample(begin), result.values.size(), result.values.data());
    return result;
}

namespace {

// result is that of all samples, of which `part` are those from `begin` on.
void put(const Array &part, int begin, int all, Array &result) {
    if (begin == 0) result = Array(all, part.c, part.h, part.w);
    std::copy(part.values.begin(), part.values.end(), result.sample(begin));
}

}  // namespace

Array Sharded::forward(Array x) {
    Array y;
    for (int begin = 0; begin < x.n; begin += shard_)
        put(layer_->forward(samples(x, begin, std::min(shard_, x.n - begin))), begin, x.n, y);
    x_ = std::move(x);
    return y;
}

Array Sharded::backward(Array dy) {
    Array dx;
    gradients_.clear();
    for (int begin = 0; begin < dy.n; begin += shard_) {
        const int count = std::min(shard_, dy.n - begin);
        // The layer has kept the x of its latest forward only.
        if (count < dy.n) layer_->forward(samples(x_, begin, count));
        for (const digits::Parameter &parameter : parameters())
            std::fill(parameter.gradient.begin(), parameter.gradient.end(), 0.0f);
        put(layer_->backward(samples(dy, begin, count)), begin, dy.n, dx);
        for (const digits::Parameter &parameter : parameters())
            gradients_.insert(gradients_.end(), parameter.gradient.begin(), parameter.gradient.end());
    }
    return dx;
}

}  // namespace sync_example
