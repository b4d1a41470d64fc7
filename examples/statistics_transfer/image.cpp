#include "image.h"

#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

namespace demo {
namespace {

constexpr int kMargin = 12;
constexpr int kMostHeight = 1000, kMostWidth = 2000;  // of one picture in a row

std::vector<uint8_t> read_file(const std::string &what, const std::string &path) {
    if (std::filesystem::is_directory(path)) throw std::runtime_error(what + " is a folder, not a picture");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(what + " cannot be opened: " + std::strerror(errno));
    return {std::istreambuf_iterator<char>(file), {}};
}

// Over white, in encoded values, as browsers do.
uint8_t over_white(uint8_t value, uint8_t alpha) {
    return static_cast<uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

Picture resized(const Picture &picture, int width, int height) {
    if (width == picture.width && height == picture.height) return picture;
    Picture result{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
    if (!stbir_resize_uint8_srgb(picture.rgb.data(), picture.width, picture.height, 0, result.rgb.data(), width, height,
                                 0, 3, STBIR_ALPHA_CHANNEL_NONE, 0))
        throw std::runtime_error("out of memory: a picture could not be resized");
    return result;
}

}  // namespace

Picture load_picture(const std::string &role, const std::string &path) {
    const std::string what = "the " + role + " '" + path + "'";
    const std::vector<uint8_t> bytes = read_file(what, path);
    if (bytes.size() > INT32_MAX) throw std::runtime_error(what + " is over 2 GiB: too large for a picture");
    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<stbi_uc, void (*)(void *)> rgba(
        stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 4),
        stbi_image_free);
    if (!rgba)
        throw std::runtime_error(what + " is not a picture that can be read (PNG or JPEG): " + stbi_failure_reason());

    Picture picture{width, height, {}};
    picture.rgb.resize(picture.pixels() * 3);
    for (size_t i = 0; i < picture.pixels(); i++)
        for (int c = 0; c < 3; c++) picture.rgb[3 * i + c] = over_white(rgba.get()[4 * i + c], rgba.get()[4 * i + 3]);
    return picture;
}

void write_png(const std::string &path, const Picture &picture) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error) throw std::runtime_error("the folder '" + folder.string() + "' cannot be made: " + error.message());
    errno = 0;
    if (!stbi_write_png(path.c_str(), picture.width, picture.height, 3, picture.rgb.data(), 0))
        throw std::runtime_error("'" + path + "' cannot be written" +
                                 (errno ? std::string(": ") + std::strerror(errno) : ""));
}

Picture side_by_side(const std::vector<Picture> &pictures) {
    double height_limit = std::min(kMostHeight, pictures.at(0).height);
    for (const Picture &p : pictures) height_limit = std::min(height_limit, kMostWidth * (double(p.height) / p.width));
    const int height = std::max(1, static_cast<int>(height_limit));

    std::vector<Picture> scaled;
    int total_width = kMargin;
    for (const Picture &p : pictures) {
        const int width = std::clamp(static_cast<int>(double(p.width) / p.height * height + 0.5), 1, kMostWidth);
        scaled.push_back(resized(p, width, height));
        total_width += width + kMargin;
    }
    Picture row{total_width, height + 2 * kMargin, {}};
    row.rgb.assign(row.pixels() * 3, 255);
    int left = kMargin;
    for (const Picture &p : scaled) {
        for (int y = 0; y < height; y++)
            std::copy_n(&p.rgb[size_t(y) * p.width * 3], p.width * 3,
                        &row.rgb[(size_t(y + kMargin) * row.width + left) * 3]);
        left += p.width + kMargin;
    }
    return row;
}

}  // namespace demo
