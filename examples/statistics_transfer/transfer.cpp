#include "transfer.h"

#include "check.h"
#include "colour.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <stdexcept>

namespace demo {
namespace {

// A deviation below this is the rounding of constant data (1e-7 or so), not a picture's: one pixel
// in a million, one 8-bit step off, gives more.
constexpr double kConstant = 1e-6;

// Far too small against any variance to be seen in the result.
constexpr double kRelativeEps = 1e-9;

hnorm_tensor as_tensor(const LabPicture &picture) {
    const int64_t shape[] = {1, 3, picture.height, picture.width};
    return hnorm_channels_first(const_cast<float *>(picture.values.data()), 4, shape);
}

ChannelStatistics statistics(const LabPicture &picture) {
    const hnorm_tensor x = as_tensor(picture);
    double count[3], mean[3], m2[3];
    check(hnorm_moments(&x, HNORM_INSTANCE, count, mean, m2));
    ChannelStatistics result;
    for (int c = 0; c < 3; c++) result[c] = {mean[c], std::sqrt(m2[c] / count[c])};
    return result;
}

// Says what it read as soon as it has: large pictures take seconds.
Picture load_for_transfer(const std::string &role, const std::string &path, std::ostream &out) {
    const Picture picture = load_picture(role, path);
    if (picture.pixels() == 1)
        throw std::runtime_error("the " + role + " '" + path + "' is a single pixel: its channels have no deviation");
    out << std::left << std::setw(11) << role << std::right << path << ", " << picture.width << " x " << picture.height
        << std::endl;
    return picture;
}

void write_and_say(const std::string &role, const std::string &path, const Picture &picture, std::ostream &out) {
    write_png(path, picture);
    out << std::left << std::setw(11) << role << std::right << path << ", " << picture.width << " x " << picture.height
        << std::endl;
}

// Target and achieved statistics, channel by channel. Returns whether all agree within
// kTransferBound.
bool print_agreement(const Transfer &transfer, std::ostream &out) {
    const ChannelStatistics achieved = plain_statistics(transfer.result);
    out << "\nStatistics in l-alpha-beta, before clipping to 8 bits:\n"
        << "channel    mean: target   achieved  rel. diff.   deviation: target   achieved  rel. diff.\n";
    bool agrees = true;
    for (int c = 0; c < 3; c++) {
        const Statistics &want = transfer.target[c], &got = achieved[c];
        const double of_mean = relative_difference(got.mean, want.mean);
        const double of_deviation = relative_difference(got.deviation, want.deviation);
        const bool constant = transfer.content_constant[c];
        out << std::left << std::setw(10) << kChannelNames[c] << std::right << std::fixed << std::setprecision(6)
            << std::setw(13) << want.mean << std::setw(11) << got.mean << std::scientific << std::setprecision(1)
            << std::setw(12) << of_mean << std::fixed << std::setprecision(6) << std::setw(20) << want.deviation
            << std::setw(11) << got.deviation;
        if (constant)
            out << "  (constant in the content: nothing to scale)\n";
        else
            out << std::scientific << std::setprecision(1) << std::setw(12) << of_deviation << "\n";
        agrees = agrees && of_mean <= kTransferBound && (constant || of_deviation <= kTransferBound);
    }
    out << std::defaultfloat << (agrees ? "All within " : "NOT ALL WITHIN ") << kTransferBound << " relative.\n"
        << std::endl;
    return agrees;
}

}  // namespace

LabPicture to_lab_picture(const Picture &picture) {
    double linear[256];
    for (int i = 0; i < 256; i++) linear[i] = decode(i / 255.0);

    LabPicture lab{picture.width, picture.height, std::vector<float>(picture.pixels() * 3)};
    for (size_t i = 0; i < picture.pixels(); i++) {
        const uint8_t *rgb = &picture.rgb[3 * i];
        const Triple pixel = to_lab({linear[rgb[0]], linear[rgb[1]], linear[rgb[2]]});
        for (int c = 0; c < 3; c++) lab.values[c * picture.pixels() + i] = static_cast<float>(pixel[c]);
    }
    return lab;
}

Picture from_lab_picture(const LabPicture &lab) {
    Picture picture{static_cast<int>(lab.width), static_cast<int>(lab.height), {}};
    const size_t pixels = picture.pixels();
    picture.rgb.resize(pixels * 3);
    for (size_t i = 0; i < pixels; i++) {
        const Triple rgb = from_lab({lab.values[i], lab.values[pixels + i], lab.values[2 * pixels + i]});
        for (int c = 0; c < 3; c++)
            picture.rgb[3 * i + c] = static_cast<uint8_t>(encode(std::clamp(rgb[c], 0.0, 1.0)) * 255 + 0.5);
    }
    return picture;
}

Transfer transfer_statistics(const LabPicture &content, const LabPicture &style) {
    Transfer transfer{
        {content.width, content.height, std::vector<float>(content.values.size())}, statistics(style), {}};
    const ChannelStatistics own = statistics(content);

    float gamma[3], beta[3];
    double least_variance = std::numeric_limits<double>::infinity();
    for (int c = 0; c < 3; c++) {
        transfer.content_constant[c] = own[c].deviation < kConstant;
        // To scale a constant channel would be to show its rounding errors.
        gamma[c] = transfer.content_constant[c] ? 0.0f : static_cast<float>(transfer.target[c].deviation);
        beta[c] = static_cast<float>(transfer.target[c].mean);
        if (!transfer.content_constant[c])
            least_variance = std::min(least_variance, own[c].deviation * own[c].deviation);
    }
    const double eps = std::isfinite(least_variance) ? kRelativeEps * least_variance : 1;

    const hnorm_tensor x = as_tensor(content), y = as_tensor(transfer.result);
    const hnorm_affine affine = hnorm_affine_of_samples(gamma, beta, 3);
    check(hnorm_forward(&x, HNORM_INSTANCE, &affine, eps, nullptr, &y, nullptr, nullptr));
    return transfer;
}

ChannelStatistics plain_statistics(const LabPicture &picture) {
    ChannelStatistics result;
    const size_t pixels = picture.pixels();
    for (int c = 0; c < 3; c++) {
        const float *values = &picture.values[c * pixels];
        double sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) sum += values[i];
        const double mean = sum / pixels;
        for (size_t i = 0; i < pixels; i++) squares += (values[i] - mean) * (values[i] - mean);
        result[c] = {mean, std::sqrt(squares / pixels)};
    }
    return result;
}

double relative_difference(double achieved, double target) {
    return std::fabs(achieved - target) / std::max(std::fabs(target), 1e-3);
}

bool show_transfer(const std::string &content_path, const std::string &style_path, const std::string &out_folder,
                   std::ostream &out) {
    const Picture content = load_for_transfer("content", content_path, out);
    const Picture style = load_for_transfer("style", style_path, out);
    const Transfer transfer = transfer_statistics(to_lab_picture(content), to_lab_picture(style));
    const bool agrees = print_agreement(transfer, out);

    const Picture result = from_lab_picture(transfer.result);
    write_and_say("result", out_folder + "/result.png", result, out);
    write_and_say("all three", out_folder + "/statistics_transfer.png", side_by_side({content, style, result}), out);
    return agrees;
}

}  // namespace demo
