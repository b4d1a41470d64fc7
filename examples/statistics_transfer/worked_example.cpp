#include "worked_example.h"

#include "check.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <memory>

namespace demo {
namespace {

constexpr int kSamples = 2, kChannels = 2, kPositions = 6, kElements = kSamples * kChannels * kPositions;
constexpr int64_t kShape[] = {kSamples, kChannels, 2, 3};

// The published input has four digits, so the published output, computed from the unrounded one,
// can only be met to that: half a unit of the fourth digit in x, divided by a deviation of about 1,
// plus the output's own half unit.
constexpr double kBound = 2e-4;

constexpr float kInput[kElements] = {
    0.0242f,  -0.4434f, 0.0058f,  -0.2674f, 1.8737f,  1.8069f,  // sample 0, channel 0
    -0.3274f, -0.7689f, 0.3982f,  0.7088f,  -0.4982f, 1.3230f,  // sample 0, channel 1
    -2.0022f, 1.2179f,  1.0144f,  -0.0057f, 0.3186f,  0.4562f,  // sample 1, channel 0
    0.3482f,  -0.0875f, -1.1406f, 1.5080f,  0.8830f,  0.0946f,  // sample 1, channel 1
};

constexpr float kPublished[kElements] = {
    -0.3023f, -0.7597f, -0.3203f, -0.5875f, 1.5068f,  1.4414f,  //
    -0.6781f, -1.2420f, 0.2489f,  0.6456f,  -0.8962f, 1.4301f,  //
    -2.2844f, 0.8653f,  0.6663f,  -0.3316f, -0.0144f, 0.1203f,  //
    0.1849f,  -0.3717f, -1.7169f, 1.6665f,  0.8681f,  -0.1391f,
};

// A fresh layer of PyTorch's defaults, in training, over the example's input.
void run_layer(hnorm_group group, float *y) {
    const hnorm_layer_options options = hnorm_layer_defaults(group);
    hnorm_layer *created = nullptr;
    check(hnorm_layer_create(kChannels, &options, &created));
    const std::unique_ptr<hnorm_layer, void (*)(hnorm_layer *)> layer(created, hnorm_layer_destroy);
    const hnorm_tensor in = hnorm_channels_first(const_cast<float *>(kInput), 4, kShape);
    const hnorm_tensor out = hnorm_channels_first(y, 4, kShape);
    check(hnorm_layer_forward(layer.get(), &in, &out));
}

void print_plane(std::ostream &out, const char *label, const float *values) {
    out << "    " << std::left << std::setw(11) << label << std::right << std::fixed << std::setprecision(4);
    for (int i = 0; i < kPositions; i++) out << std::setw(9) << values[i];
    out << "\n";
}

void print_statistics(std::ostream &out, hnorm_group group) {
    constexpr int kMostGroups = kSamples * kChannels;
    double count[kMostGroups], mean[kMostGroups], m2[kMostGroups];
    const hnorm_tensor in = hnorm_channels_first(const_cast<float *>(kInput), 4, kShape);
    check(hnorm_moments(&in, group, count, mean, m2));
    const int groups = group == HNORM_BATCH ? kChannels : kMostGroups;
    for (int g = 0; g < groups; g++) {
        out << "  ";
        if (group == HNORM_INSTANCE) out << "sample " << g / kChannels << ", ";
        out << "channel " << g % kChannels << ": mean " << std::fixed << std::setprecision(4) << mean[g]
            << ", biased variance " << m2[g] / count[g] << "\n";
    }
}

}  // namespace

bool show_worked_example(std::ostream &out) {
    float y[kElements];
    run_layer(HNORM_BATCH, y);
    double difference = 0;
    for (int i = 0; i < kElements; i++) difference = std::max(difference, std::fabs(double(y[i]) - kPublished[i]));
    const bool agrees = difference <= kBound;  // false for NaN too

    out << "BatchNorm2d(2), gamma 1, beta 0, eps 1e-5, in training, on a published input of shape (2, 2, 2, 3)\n";
    print_statistics(out, HNORM_BATCH);
    out << "  (published for channel 0: mean 0.3332, biased variance 1.0452)\n";
    for (int plane = 0; plane < kSamples * kChannels; plane++) {
        out << "  sample " << plane / kChannels << ", channel " << plane % kChannels << "\n";
        print_plane(out, "hnorm", y + plane * kPositions);
        print_plane(out, "published", kPublished + plane * kPositions);
    }
    out << std::scientific << std::setprecision(1) << "Largest difference " << difference << ", "
        << (agrees ? "within" : "NOT WITHIN") << " the bound of " << kBound
        << " (the published input is itself rounded to four digits).\n";

    run_layer(HNORM_INSTANCE, y);
    out << "\nInstanceNorm2d(2) on the same input: each sample's channel by itself\n";
    print_statistics(out, HNORM_INSTANCE);
    for (int plane = 0; plane < kSamples * kChannels; plane++) {
        out << "  sample " << plane / kChannels << ", channel " << plane % kChannels << "\n";
        print_plane(out, "hnorm", y + plane * kPositions);
    }
    return agrees;
}

}  // namespace demo
