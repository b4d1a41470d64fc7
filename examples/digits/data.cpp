#include "data.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>

namespace digits {
namespace {

constexpr int kSide = 8, kPixels = kSide * kSide, kBrightest = 16;

[[noreturn]] void refuse(const std::string &where) {
    throw std::runtime_error(where + ": not 64 pixels from 0 to 16 and a label from 0 to 9");
}

// The next number of the row, from 0 to largest.
int number(std::istream &row, int largest, const std::string &where) {
    int value = -1;
    char comma = ',';
    if (!(row >> value) || value < 0 || value > largest || (row >> comma && comma != ',')) refuse(where);
    return value;
}

}  // namespace

Data load(const std::string &path) {
    std::ifstream file(path);
    Data data;
    std::vector<float> pixels;
    std::string line;
    while (std::getline(file, line)) {
        const std::string where = path + ", line " + std::to_string(data.labels.size() + 1);
        std::istringstream row(line);
        for (int i = 0; i < kPixels; ++i) pixels.push_back(float(number(row, kBrightest, where)) / kBrightest);
        data.labels.push_back(number(row, kClasses - 1, where));
        if (row) refuse(where);  // a comma after the label
    }
    if (data.labels.empty()) throw std::runtime_error(path + ": cannot be read, or is empty");
    data.images = Array(int(data.labels.size()), 1, kSide, kSide);
    data.images.values = std::move(pixels);
    return data;
}

Data pick(const Data &data, const std::vector<int> &indices) {
    Data result{Array(int(indices.size()), data.images.c, data.images.h, data.images.w), {}};
    for (int i = 0; i < result.size(); ++i) {
        std::copy_n(data.images.sample(indices[i]), data.images.sample_size(), result.images.sample(i));
        result.labels.push_back(data.labels[indices[i]]);
    }
    return result;
}

Split split(const Data &data, std::uint64_t seed) {
    std::vector<int> order(data.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    const auto border = order.begin() + data.size() / 5;
    return {pick(data, {border, order.end()}), pick(data, {order.begin(), border})};
}

}  // namespace digits
