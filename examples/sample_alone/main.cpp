// Does the result of a sample depend on the others of its batch? Each layer normalizes the same
// sample in three batches.
#include <hnorm/hnorm.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

constexpr std::size_t kChannels = 8, kPositions = 12 * 12, kSample = kChannels * kPositions;

std::vector<float> random_values(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(static_cast<float>(seed));  // each batch has its own mean
    std::vector<float> values(count);
    for (float &value : values) value = normal(random);
    return values;
}

// The result of the sample, as the first of a batch with `others`, whose values come from the seed.
std::vector<float> result_of(hnorm::header::Layer &layer, std::vector<float> batch, std::size_t others, unsigned seed) {
    const std::vector<float> more = random_values(others * kSample, seed);
    batch.insert(batch.end(), more.begin(), more.end());
    const hnorm::Tensor x = hnorm::nchw(batch.data(), {static_cast<std::int64_t>(others + 1), kChannels, 12, 12});
    layer.forward(x, x);  // in place
    batch.resize(kSample);
    return batch;
}

void show(const char *name, hnorm::header::Layer &layer) {
    const std::vector<float> sample = random_values(kSample, 1);
    const std::vector<float> alone = result_of(layer, sample, 0, 0);
    bool same = true;
    float largest = 0;
    for (unsigned seed : {2u, 3u}) {
        const std::vector<float> among = result_of(layer, sample, 5 * seed, seed);
        same = same && std::memcmp(among.data(), alone.data(), kSample * sizeof(float)) == 0;
        for (std::size_t i = 0; i < kSample; ++i) largest = std::max(largest, std::abs(among[i] - alone[i]));
    }
    std::printf("%-28s %-10s %.2f\n", name, same ? "same" : "different", largest);
}

}  // namespace

int main() {
    hnorm::BatchNorm batch_norm(kChannels), evaluated(kChannels);
    hnorm::InstanceNorm instance_norm(kChannels);
    hnorm::GroupNorm group_norm(2, kChannels);
    evaluated.eval();
    std::printf("%-28s %-10s %s\n", "layer", "bits", "largest change");
    show("batch norm, training", batch_norm);
    show("batch norm, evaluation", evaluated);
    show("instance norm", instance_norm);
    show("group norm", group_norm);
}
