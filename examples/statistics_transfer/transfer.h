// Statistics transfer: one picture takes over the mean and deviation of each colour channel of
// another.
#pragma once

#include "image.h"

#include <array>
#include <cstdint>
#include <ostream>
#include <vector>

namespace demo {

inline constexpr const char *kChannelNames[3] = {"l", "alpha", "beta"};

// A picture in the colour space of colour.h, as a dense tensor (1, 3, height, width).
struct LabPicture {
    int64_t width = 0, height = 0;
    std::vector<float> values;

    int64_t pixels() const { return width * height; }
};

struct Statistics {
    double mean, deviation;  // the deviation is biased: divided by the number of pixels
};

using ChannelStatistics = std::array<Statistics, 3>;

struct Transfer {
    LabPicture result;
    ChannelStatistics target;              // the style's, by hnorm_moments
    std::array<bool, 3> content_constant;  // such a channel gets the style's mean; it has no deviation to scale
};

LabPicture to_lab_picture(const Picture &picture);
// Encodes and clips to 8 bits.
Picture from_lab_picture(const LabPicture &picture);

// Instance norm of the content with gamma and beta per sample and channel: the style's deviation
// and mean. Throws std::runtime_error with hnorm's reason.
Transfer transfer_statistics(const LabPicture &content, const LabPicture &style);

// By two plain passes in double, independent of hnorm's kernels.
ChannelStatistics plain_statistics(const LabPicture &picture);

// |achieved - target| relative to |target|, or to 0.001 where the target is less (a grey style's
// alpha and beta): a thousandth in log10 of light is below one 8-bit step.
double relative_difference(double achieved, double target);

inline constexpr double kTransferBound = 1e-3;

// Transfers, writes result.png and statistics_transfer.png (content, style, result) into
// `out_folder`, and prints target and achieved statistics. Returns whether they agree within
// kTransferBound. Throws std::runtime_error for pictures that cannot be read, one-pixel pictures
// and files that cannot be written.
bool show_transfer(const std::string &content_path, const std::string &style_path, const std::string &out_folder,
                   std::ostream &out);

}  // namespace demo
