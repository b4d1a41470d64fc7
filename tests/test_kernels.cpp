// Each compiled kernel by itself, from the runtime's private table, on shapes and strides for which
// the runtime would choose another: every class, every target, bit for bit.
#include "catch.hpp"
#include "compare.h"
#include "kernel_calls.h"
#include "machine.h"

#include <set>
#include <string>
#include <vector>

using namespace test;

namespace {

int target_index(const std::string &name) {
    int i = 0;
    while (name != hnorm_target_name(i)) i++;
    return i;
}

std::string planes_of(const Tensor &x) {
    return x.format().channels_last ? "last" : kManifestPlanes[hnorm::detail::plane_class(x.positions())];
}

void check(const Shape &shape, Padding padding, uint64_t seed, const std::vector<int> &thread_counts) {
    const auto fill_data = [&](Tensor &x, Tensor &dy) {
        if (seed % 2)
            fill_mixed(x, seed);
        else
            fill(x, {kAllKinds[seed / 2 % kKinds], seed % 3 ? 100.0 : 0.0, 1, seed});
        if (seed / 2 % 2)
            fill_mixed(dy, seed + 5000);
        else
            fill(dy, {kAllKinds[seed / 4 % kKinds], 1, 1, seed + 5000});
    };
    for (hnorm_group group : kGroups) {
        KernelInputs in(group, shape, padding, seed, fill_data);
        moments(in.x, HNORM_BATCH);  // the first call of the library puts its parallel loop into Halide's runtime
        for (const ManifestKernel &kernel : kManifestKernels) {
            if (kernel.planes != planes_of(in.x)) continue;
            const KernelCase &of = kKernelCases.at(kernel.signature);
            for (size_t variant = 0; variant < of.variants.size(); variant++) {
                const Results expected = of.results(in, static_cast<int>(variant));
                for (const std::string &target : usable_targets()) {
                    for (int threads : thread_counts) {
                        const Machine machine(target, threads);
                        for (Place place : of.places) {
                            const std::string where = kernel.name + name(place) + " " + of.variants[variant] + ", " +
                                                      name(group) + " " + in.x.describe() + ", seed " +
                                                      std::to_string(seed) + ", " + machine.describe();
                            INFO(where);
                            const Results found = call(in, kernel, static_cast<int>(variant), place,
                                                       target_index(target), tensor_format().type);
                            const std::string wrong = difference("result", found, expected);
                            if (!wrong.empty()) FAIL(where << ": " << wrong);
                        }
                    }
                }
            }
        }
    }
    SUCCEED();
}

// Kernels of the two types of 16 bits differ in their conversions alone: each type takes every
// second case.
bool is_mine(size_t i) {
    const hnorm_type type = tensor_format().type;
    return type == HNORM_F32 || i % 2 == (type == HNORM_F16 ? 0 : 1);
}

void check_positions(const std::vector<int64_t> &positions) {
    constexpr int64_t kCounts[][2] = {{1, 1},  {1, 17}, {3, 2},  {17, 1}, {2, 33},
                                      {65, 1}, {5, 3},  {33, 5}, {70, 2}, {129, 1}};
    uint64_t seed = 0;
    for (int64_t S : positions) {
        for (const auto &[N, C] : kCounts) {
            if (N * C * S > 40'000) continue;
            seed++;
            if (!is_mine(seed)) continue;
            const Padding padding{static_cast<int64_t>(seed % 5 == 1 ? 3 : 0),
                                  static_cast<int64_t>(seed % 7 == 2 ? 9 : 0), seed % 2 == 0};
            check({N, C, S}, padding, seed, thread_counts(seed));
        }
    }
}

}  // namespace

TEST_CASE("every kernel of the manifest has a case, and every case a kernel") {
    std::set<std::string> signatures, cases;
    for (const ManifestKernel &kernel : kManifestKernels) signatures.insert(kernel.signature);
    for (const auto &entry : kKernelCases) cases.insert(entry.first);
    CHECK(signatures == cases);
}

TEST_CASE("every kernel for tiny planes gives the transcription's bits on shapes of any size") {
    check_positions({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST_CASE("every kernel for small planes gives the transcription's bits on shapes of any size") {
    std::vector<int64_t> list;
    for (int64_t S = 16; S <= 66; S++) list.push_back(S);
    for (int64_t S : {100, 196, 255, 257, 511, 512, 513, 514, 784, 1007, 1008, 1009, 1022, 1023, 1024})
        list.push_back(S);
    check_positions(list);
}

TEST_CASE("every kernel for large planes gives the transcription's bits on shapes of any size") {
    check_positions({1025, 1087, 1088, 1089, 2049, 4095, 4096, 4097, 4160, 4161, 8191, 8192, 8193, 12544});
}

TEST_CASE("every kernel gives the transcription's bits where chunks and groups outnumber the threads") {
    uint64_t seed = 500;
    for (const Shape &shape : std::vector<Shape>{{1, 1, 200'001},
                                                 {2, 3, 30'000},
                                                 {900, 2, 7, 7},
                                                 {2, 300, 14, 14},
                                                 {5000, 1, 3},
                                                 {300, 70, 2},
                                                 {20, 300, 9},
                                                 {2, 90, 33, 33},
                                                 {1, 40, 66, 66}})
        for (int i = 0; i < 2; i++, seed++)
            if (is_mine(seed)) check(shape, {i * 5, i * 11, i == 0}, seed, {1, 2, 3, 7});
}
