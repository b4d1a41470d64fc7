// The digits: 8 x 8 grey pixels and a label each, and their split into training and held-out ones.
#pragma once

#include "array.h"

#include <cstdint>
#include <string>
#include <vector>

namespace digits {

constexpr int kClasses = 10;

// images is (N, 1, 8, 8) with pixels from 0 to 1; labels holds N numbers from 0 to 9.
struct Data {
    Array images;
    std::vector<int> labels;
    int size() const { return images.n; }
};

// Reads a file whose rows are 64 pixels (0 to 16) and the label, separated by commas. Throws
// std::runtime_error with the line where it is not that.
Data load(const std::string &path);

// The samples with these indices, in this order.
Data pick(const Data &data, const std::vector<int> &indices);

struct Split {
    Data training, held_out;
};

// A fifth of the samples, drawn by the seed, is held out.
Split split(const Data &data, std::uint64_t seed);

}  // namespace digits
