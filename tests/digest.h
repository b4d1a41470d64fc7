// The digests of tests/digests.txt: one for each kernel of the manifest, class of planes, group and
// type of elements, over fixed inputs. write_digests makes the file, by the serial transcription
// alone; test_digests compares kernels with it.
#pragma once

#include "kernel_cases.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

// FNV-1a of the bits of doubles; a float is one. All NaN are one NaN: which it is differs between
// targets.
class Digest {
public:
    void add(double value) {
        const uint64_t all = std::isnan(value) ? 0x7ff8000000000000 : bits(value);
        for (int shift = 0; shift < 64; shift += 8) {
            hash_ = (hash_ ^ (all >> shift & 255)) * 0x100000001b3;
        }
    }
    template <typename T>
    void add(const std::vector<T> &values) {
        for (T value : values) add(static_cast<double>(value));
    }
    std::string text() const {
        char result[17];
        std::snprintf(result, sizeof result, "%016llx", static_cast<unsigned long long>(hash_));
        return result;
    }

private:
    uint64_t hash_ = 0xcbf29ce484222325;
};

// A class of planes of the manifest, and the shapes (N, C, S) by which it is known: no plane of one
// position, which batch norm sums in another way; channels and chunks that vectors and threads do
// not divide.
struct DigestClass {
    std::string planes;
    bool channels_last;
    std::vector<Shape> shapes;
};

inline const std::vector<DigestClass> &digest_classes() {
    static const std::vector<DigestClass> classes = {
        {"tiny", false, {{33, 19, 7}, {5, 70, 3}, {70, 3, 15}}},
        {"small", false, {{5, 33, 49}, {3, 5, 1000}, {40, 6, 16}, {2, 19, 197}}},
        {"large", false, {{2, 5, 4097}, {3, 3, 1089}, {1, 2, 12545}}},
        {"last", true, {{3, 70, 49}, {2, 17, 1000}, {1, 33, 197}, {5, 5, 16}, {33, 19, 7}, {70, 3, 15}}},
    };
    return classes;
}

inline const DigestClass &digest_class(const std::string &planes) {
    for (const DigestClass &known : digest_classes())
        if (known.planes == planes) return known;
    throw std::runtime_error("tests/digest.h has no shapes for planes '" + planes + "' of the manifest");
}

using DigestInputs = std::vector<std::unique_ptr<KernelInputs>>;

// One for each shape of the class; sets the current format.
inline DigestInputs digest_inputs(const DigestClass &of, hnorm_group group, hnorm_type type) {
    current_format() = {of.channels_last, type};
    DigestInputs result;
    for (const Shape &shape : of.shapes) {
        const uint64_t seed = 10 + result.size();
        result.push_back(
            std::make_unique<KernelInputs>(group, shape, Padding{3, 7, true}, seed, [&](Tensor &x, Tensor &dy) {
                if (seed % 2)
                    fill_mixed(x, seed);
                else
                    fill(x, {Kind::kNormal, 100, 1, seed});
                fill(dy, {Kind::kNormal, 1, 1, seed + 5000});
            }));
    }
    return result;
}

// A kernel's digest: of all its variants. results(inputs, variant) of one call.
template <typename Results>
std::string digest_of(const ManifestKernel &kernel, const DigestInputs &list, Results results) {
    Digest digest;
    for (const auto &inputs : list)
        for (size_t variant = 0; variant < kKernelCases.at(kernel.signature).variants.size(); variant++)
            digest.add(results(*inputs, static_cast<int>(variant)));
    return digest.text();
}

// A line of the file, but for the digest.
inline std::string digest_key(const std::string &kernel, const DigestClass &of, hnorm_group group, hnorm_type type) {
    return kernel + " " + of.planes + " " + name(group) + " " + TensorFormat{of.channels_last, type}.name();
}

}  // namespace test
