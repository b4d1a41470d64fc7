// 8-bit colour pictures: reading, writing, and laying them side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace demo {

// sRGB, 3 bytes a pixel, rows from the top.
struct Picture {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb;

    size_t pixels() const { return static_cast<size_t>(width) * height; }
};

// Reads PNG or JPEG (and what else stb_image knows). Grey becomes colour; transparent pixels are
// laid over white. `role` is what the picture is to the user ("content"): std::runtime_error names
// it, the path and what is wrong.
Picture load_picture(const std::string &role, const std::string &path);

// Makes the folder where it is missing. Throws std::runtime_error with path and reason.
void write_png(const std::string &path, const Picture &picture);

// The pictures in a row on white with a margin, scaled to the same height: the first one's, or less
// where that would be unwieldy.
Picture side_by_side(const std::vector<Picture> &pictures);

}  // namespace demo
