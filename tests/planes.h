// Planes of one group, for tests of the transcription by itself.
#pragma once

#include "transcription.h"

#include <cstdint>
#include <string>
#include <vector>

namespace test {

// Planes of one group, dense.
struct Planes {
    int64_t S, N;
    bool last, few_channels = false;

    size_t size() const { return static_cast<size_t>(S * N); }
    transcription::Group group(const std::vector<float> &values) const {
        return {values.data(), S, N, S, last, few_channels};
    }
    std::string describe() const {
        return std::to_string(N) + " planes of " + std::to_string(S) + (last ? ", channels last" : "") +
               (few_channels ? ", few" : "");
    }
};

// One of every class, with chunks and runs that are full and others.
inline const std::vector<Planes> kPlanes = {
    {1, 1, true},    {3, 1, false},    {9, 7, false},    {15, 70, false},      {49, 1, false},    {49, 33, false},
    {196, 9, false}, {1000, 3, false}, {1024, 1, false}, {4097, 2, false},     {12544, 1, false}, {7, 40, true},
    {300, 1, true},  {196, 9, true},   {4096, 2, true},  {1000, 2, true, true}};

struct Reference {
    long double mean = 0, variance = 0;

    explicit Reference(const std::vector<float> &x) {
        for (float value : x) mean += value;
        mean /= static_cast<long double>(x.size());
        for (float value : x) variance += (value - mean) * (value - mean);
        variance /= static_cast<long double>(x.size());
    }
};

}  // namespace test
