// The gradients give the bits of the plain serial transcription of docs/order.md, "Backward", for
// every target and number of threads, through the public interface. (test_kernels.cpp: each kernel
// by itself.)
#include "check_bits.h"

using namespace test;

namespace {

void check_case(const Case &test_case) { check_backward_bits(test_case); }

}  // namespace

TEST_CASE("gradients of tiny planes, 1 to 15 positions, have the transcription's bits") {
    std::vector<int64_t> list;
    for (int64_t S = 1; S < 16; S++) list.push_back(S);
    check_positions(list, 20'000, 8, check_case);
}

TEST_CASE("gradients of small planes, 16 to 1024 positions, have the transcription's bits") {
    check_positions({16,  17,  18,  31,  32,  33,  47,  48,  49,  63,  64,  65,   79,   80,   81,
                     196, 255, 256, 257, 511, 512, 513, 527, 528, 529, 543, 1008, 1009, 1023, 1024},
                    20'000, 4, check_case);
}

TEST_CASE("gradients of large planes, from 1025 positions, have the transcription's bits") {
    check_positions({1025, 1087, 1088, 1089, 2047, 2048, 2049, 2111, 2112, 2113, 4095, 4096, 4097, 8193, 12'544},
                    40'000, 3, check_case);
}

TEST_CASE("gradients of few groups, where threads work inside a group, have the transcription's bits") {
    const std::vector<Shape> shapes = {{1, 1, 300, 1024}, {1, 3, 409, 211},  {64, 1, 71, 71}, {700, 2, 14, 14},
                                       {6000, 1, 7, 7},   {40'000, 1, 3, 3}, {90'001, 2},     {150'001, 1}};
    REQUIRE(classes_shared(shapes, GroupCount::kFew) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) check_case(varied(shapes[i], i + 3));
}

TEST_CASE("gradients of many groups, where threads share the groups, have the transcription's bits") {
    const std::vector<Shape> shapes = {{2, 70, 41, 43}, {32, 65, 14, 14}, {8, 257, 7, 7}, {5, 513, 3, 3},
                                       {64, 1025},      {3, 2100, 5, 5},  {700, 33, 7},   {300, 70, 20}};
    REQUIRE(classes_shared(shapes, GroupCount::kMany) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) check_case(varied(shapes[i], i + 102));
}

TEST_CASE("gradients of ranks 2 to 5 with padded strides have the transcription's bits") {
    check_padded({{1, 1},
                  {17, 70},
                  {611, 3},
                  {550, 15, 1, 1},
                  {4, 3, 29},
                  {2, 5, 1, 1},
                  {1, 2, 33, 65},
                  {3, 2, 5, 7, 11},
                  {2, 3, 1, 40, 1},
                  {300, 3, 5},
                  {1025, 1, 2},
                  {611, 1},
                  {128, 1},
                  {255, 1, 7},
                  {90, 1, 2}},
                 {Padding{0, 0, false}, Padding{1, 0, true}, Padding{16, 64, true}}, check_case);
}

// dz gets memory of its own, in which dy's channels are no longer apart.
TEST_CASE("few adjacent channels of x, and those of dy apart, behind a residual, have the transcription's bits") {
    for (const Activation &activation : kActivations) {
        Case test_case = varied({700, 5}, 3), dy_case = varied({700, 5}, 7);
        test_case.padding = {0, 0, false};
        dy_case.padding = {3, 5, false};
        test_case.activation = activation;
        test_case.residual = true;
        check_backward_bits(test_case, dy_case);
    }
}

TEST_CASE("gradients of groups beyond float's range, NaN and infinities have the transcription's bits") {
    check_mixed({{70, 9, 1},
                 {70, 9, 3},
                 {9, 9, 15},
                 {70, 9, 16},
                 {33, 8, 49},
                 {3, 9, 1000},
                 {2, 9, 4097},
                 {5, 70, 7, 7},
                 {20, 5, 70, 70},
                 {611, 1},
                 {200, 1, 3}},
                check_case);
}

TEST_CASE("gradients whose sums of dy alone come near float's range, or leave it, have the transcription's bits") {
    uint64_t seed = 2000;
    for (const Shape &shape : std::vector<Shape>{{70, 9, 1},
                                                 {70, 9, 3},
                                                 {9, 9, 15},
                                                 {70, 9, 16},
                                                 {33, 8, 49},
                                                 {3, 5, 1000},
                                                 {2, 3, 4097},
                                                 {300, 9, 3},
                                                 {600, 1, 15},
                                                 {611, 1},
                                                 {200, 1, 3}}) {
        for (const auto &[scale, ratio] : std::vector<std::pair<double, double>>{{1e36, 0}, {5e36, 0}, {3e36, 3}}) {
            Case test_case = varied(shape, seed++), dy_case;
            test_case.mixed = false;
            dy_case.recipe = {Kind::kNormal, ratio, scale, seed};
            // Constant x leaves no deviation that a scale could follow from.
            for (const Recipe &recipe :
                 {Recipe{Kind::kNormal, 0, 1e-6, seed}, Recipe{Kind::kConstant, 0, 1e10, seed}}) {
                test_case.recipe = recipe;
                check_backward_bits(test_case, dy_case);
            }
        }
    }
}

// Among them: magnitudes between two scales; and great products that cancel, in the sum of a lane
// at once, so that the sum is ordinary. With scales what is left would be subnormal.
TEST_CASE("gradients of data that leave float's range have the same bits, whatever was computed before") {
    check_one_after_the_other({{1, 1},
                               {1e-20, 1e-20},
                               {0x1.7p-58, 1e-15},
                               {1e-38, 1e-40},
                               {1e-9, 1e-12},
                               {1e-25, 1e10},
                               {1e20, 1e20},
                               {1, 1, 1e30F},
                               {1e16, 1e16, 0, Kind::kTwoValued, Kind::kTwoValued},
                               {1, 1e15, 0x1p57F},
                               {1e-22, 1e15, 0x1p57F, Kind::kNormal, Kind::kConstant, 1},
                               {1e-22, 1e15, 0x1p57F, Kind::kNormal, Kind::kConstant, 16},
                               {1e-22, 1e15, 0x1p57F, Kind::kNormal, Kind::kConstant, 64},
                               {1e-30, 0}},
                              [](const Case &x, const Case &dy) { check_backward_bits(x, dy); });
}
