// The promise of docs/order.md: every target and every number of threads gives the bits of the
// plain serial transcription, through the public interface. (test_kernels.cpp: each kernel by
// itself.)
#include "check_bits.h"

using namespace test;

TEST_CASE("tiny planes, 1 to 15 positions, give the transcription's bits") {
    std::vector<int64_t> list;
    for (int64_t S = 1; S < 16; S++) list.push_back(S);
    check_positions(list, 70'000, 20, check_forward_bits);
}

TEST_CASE("small planes, 16 to 1024 positions, give the transcription's bits") {
    check_positions({16,  17,  18,  19,  20,  31,  32,  33,  47,  48,  49,   63,   64,   65,   79,
                     80,  81,  196, 255, 256, 257, 337, 511, 512, 513, 527,  514,  528,  529,  543,
                     544, 545, 575, 576, 577, 639, 640, 641, 784, 961, 1007, 1008, 1009, 1023, 1024},
                    50'000, 10, check_forward_bits);
}

TEST_CASE("large planes, from 1025 positions, give the transcription's bits") {
    check_positions({1025, 1026, 1087, 1088, 1089, 2047, 2048, 2049, 2111, 2112, 2113, 4032, 4033,  4095,  4096,
                     4097, 4098, 4159, 4160, 4161, 8191, 8192, 8193, 8256, 6143, 6144, 6145, 12288, 12289, 12544},
                    80'000, 8, check_forward_bits);
}

// Large enough for the runtime to share the work among threads; with few groups it does so inside a
// group.
TEST_CASE("few groups, where threads work inside a group, give the transcription's bits") {
    const std::vector<Shape> shapes = {{1, 1, 1024, 1024}, {1, 3, 409, 511}, {3, 1, 300'001},   {64, 1, 71, 71},
                                       {700, 3, 14, 14},   {600, 1, 31, 33}, {7000, 1, 7, 7},   {3001, 3, 5, 5},
                                       {40'000, 1, 3, 3},  {90'001, 2},      {20, 3, 112, 112}, {150'001, 1}};
    REQUIRE(classes_shared(shapes, GroupCount::kFew) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) {
        Case test_case = varied(shapes[i], i);
        check_forward_bits(test_case);
        if (tensor_format().type != HNORM_F32) continue;
        test_case.mixed = !test_case.mixed;
        check_forward_bits(test_case);
    }
}

TEST_CASE("many groups, where threads share the groups, give the transcription's bits") {
    const std::vector<Shape> shapes = {{2, 70, 41, 43}, {3, 64, 56, 56},  {32, 65, 14, 14}, {8, 257, 7, 7},
                                       {5, 513, 3, 3},  {9, 1000, 4, 3},  {64, 1025},       {1, 70, 65, 64},
                                       {33, 130, 8, 8}, {16, 16, 32, 32}, {3, 2100, 5, 5},  {2, 2049, 2, 3},
                                       {700, 33, 7},    {300, 70, 20}};
    REQUIRE(classes_shared(shapes, GroupCount::kMany) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) {
        Case test_case = varied(shapes[i], i + 100);
        check_forward_bits(test_case);
        if (tensor_format().type != HNORM_F32) continue;
        test_case.mixed = !test_case.mixed;
        check_forward_bits(test_case);
    }
}

TEST_CASE("ranks 2 to 5 with padded strides give the transcription's bits") {
    const std::vector<Shape> shapes = {
        {1, 1},          {17, 70},         {611, 3},          {550, 15, 1, 1}, {2, 33},
        {4, 3, 1},       {4, 3, 29},       {2, 5, 1, 1},      {2, 5, 7, 9},    {1, 2, 33, 65},
        {2, 3, 2, 3, 4}, {3, 2, 5, 7, 11}, {1, 2, 9, 21, 23}, {5, 4, 1, 1, 1}, {2, 3, 1, 40, 1},
        {300, 3, 5},     {255, 4, 15},     {256, 4, 15},      {1025, 1, 2},    {611, 1},
        {128, 1},        {255, 1, 7},      {90, 1, 2}};
    check_padded(shapes, {Padding{0, 0, false}, Padding{1, 0, true}, Padding{0, 1, false}, Padding{16, 64, true}},
                 check_forward_bits);
}

// In the widest, groups that are summed again lie among many that are not.
TEST_CASE("groups beyond float's range, NaN and infinities among ordinary ones give the transcription's bits") {
    check_mixed({{70, 9, 1},
                 {70, 9, 3},
                 {9, 9, 15},
                 {70, 9, 16},
                 {33, 8, 49},
                 {3, 9, 1000},
                 {2, 9, 4097},
                 {3, 5, 12'545},
                 {2, 130, 33},
                 {5, 70, 7, 7},
                 {30, 9, 70, 70},
                 {300, 9, 3},
                 {600, 1, 15},
                 {611, 1},
                 {200, 1, 3}},
                check_forward_bits);
}

// Among them: outliers whose squares are infinite, are just infinite, and are finite.
TEST_CASE("data that leave float's range have the same bits, whatever was computed before") {
    check_one_after_the_other({{1, 1},
                               {1, 1, 1e30F},
                               {1, 1, 2e19F},
                               {1, 1, 1.2e19F},
                               {1, 1, 1e18F},
                               {1e-20, 1},
                               {1e20, 1},
                               {1, 1, 0, Kind::kConstant}},
                              [](const Case &x, const Case &) { check_forward_bits(x); });
}
