// The digests of tests/digests.txt: one for each kernel of the manifest, class of planes, group and type of elements, over
// fixed inputs. write_digests makes the file, by the serial transcription alone; test_digests compares kernels with it.
#pragma once

#include "expected.h"
#include "manifest.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

// The manifest.
struct ManifestKernel {
    std::string name, signature, planes;
};
inline const std::vector<ManifestKernel> kManifestKernels = {
#define KERNEL(name, signature, planes, index) {#name, #signature, #planes},
    HNORM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
};
inline const std::vector<std::string> kManifestPlanes = {HNORM_PLANES};
constexpr hnorm_type kManifestTypes[] = {HNORM_TYPES};

// FNV-1a of the bits of doubles; a float is one. All NaN are one NaN: which it is differs between targets.
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

// A class of planes of the manifest, and the shapes (N, C, S) by which it is known: no plane of one position, which batch norm
// sums in another way; channels and chunks that vectors and threads do not divide.
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
        {"last", true, {{3, 70, 49}, {2, 17, 1000}, {1, 33, 197}, {5, 5, 16}}},
        {"last_tiny", true, {{33, 19, 7}, {5, 70, 3}, {70, 3, 15}}},
    };
    return classes;
}

inline const DigestClass &digest_class(const std::string &planes) {
    for (const DigestClass &known : digest_classes())
        if (known.planes == planes) return known;
    throw std::runtime_error("tests/digest.h has no shapes for planes '" + planes + "' of the manifest");
}

// What kernels are given, of the current format, and from the transcription: what depends on other kernels' results.
struct DigestInputs {
    hnorm_group group;
    Tensor x, dy, residual, y;  // y: forward's, without an activation
    Tensor dz;                  // dy behind the activation's gradient: not rounded to elements
    Affine affine;
    Activation activation;
    double eps = 1e-5;
    std::vector<double> count, mean, m2, variance;
    Sums sums;  // of dz
    WeightedSums weights;

    DigestInputs(hnorm_group group_, const Shape &shape, uint64_t seed)
        : group(group_),
          x(shape, {3, 7, true}),
          dy(shape, {1, 0, false}),
          residual(shape, {0, 5, true}),
          y(shape, {2, 1, false}),
          dz(shape),
          affine(group == HNORM_BATCH ? AffineKind::kChannel : AffineKind::kSampleAndChannel, x, seed),
          activation(kActivations[seed % 5]) {
        if (seed % 2)
            fill_mixed(x, seed);
        else
            fill(x, {Kind::kNormal, 100, 1, seed});
        fill(dy, {Kind::kNormal, 1, 1, seed + 5000});
        fill(residual, {Kind::kNormal, 0, 1, seed + 9000});
        const Statistics moments = transcribed_moments(x, group);
        count = moments.count;
        mean = moments.mean;
        m2 = moments.m2;
        variance = variances(moments);
        const std::vector<float> z = transcribed_z(x, group, mean, variance, affine, eps);
        y.set_elements(z);
        dz.set_exact(transcribed_gate(dy, z, activation));
        sums = transcribed_sums(x, dz, group, mean);
        weights = transcribed_weights(x, group, sums, affine);
    }
};

using DigestInputsList = std::vector<std::unique_ptr<DigestInputs>>;

// One for each shape of the class; sets the current format.
inline DigestInputsList digest_inputs(const DigestClass &of, hnorm_group group, hnorm_type type) {
    current_format() = {of.channels_last, type};
    DigestInputsList result;
    for (const Shape &shape : of.shapes)
        result.push_back(std::make_unique<DigestInputs>(group, shape, 10 + result.size()));
    return result;
}

// A line of the file, but for the digest.
inline std::string digest_key(const std::string &kernel, const DigestClass &of, hnorm_group group, hnorm_type type) {
    return kernel + " " + of.planes + " " + name(group) + " " + TensorFormat{of.channels_last, type}.name();
}

}  // namespace test
