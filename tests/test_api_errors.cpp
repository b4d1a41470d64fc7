// Every bad tensor, to every function that takes one: refused in words that name it, with nothing
// written. The strides are those of channels-first tensors; test_api_layouts.cpp has what is
// refused of channels-last ones.
#include "api.h"

using namespace api;

namespace {

constexpr int64_t kLimit = 2000000000;

// One way to spoil a tensor of shape (2, 3, 4, 5), and what the refusal says after "function: x" or
// "function: y".
struct Spoiled {
    const char *what;
    std::function<void(hnorm_tensor &)> spoil;
    hnorm_status status;
    std::vector<std::string> words;
};

const std::vector<Spoiled> &spoiled() {
    static const std::vector<Spoiled> all = {
        {"no data",
         [](hnorm_tensor &t) { t.data = nullptr; },
         HNORM_INVALID_ARGUMENT,
         {".data is null", "(2, 3, 4, 5)"}},
        {"misaligned data",
         [](hnorm_tensor &t) { t.data = static_cast<char *>(t.data) + 1; },
         HNORM_INVALID_ARGUMENT,
         {".data is 0x", "multiple of " + std::to_string(test::tensor_format().element_size()) + " bytes"}},
        {"type",
         [](hnorm_tensor &t) { t.type = static_cast<hnorm_type>(3); },
         HNORM_UNSUPPORTED,
         {".type is 3", "HNORM_F32 (0)"}},
        {"device",
         [](hnorm_tensor &t) { t.device = static_cast<hnorm_device>(3); },
         HNORM_UNSUPPORTED,
         {".device is 3", "HNORM_CPU (0)"}},
        {"rank 1", [](hnorm_tensor &t) { t.rank = 1; }, HNORM_INVALID_ARGUMENT, {".rank is 1", "2 to 5"}},
        {"rank 6", [](hnorm_tensor &t) { t.rank = 6; }, HNORM_INVALID_ARGUMENT, {".rank is 6", "2 to 5"}},
        {"rank -1", [](hnorm_tensor &t) { t.rank = -1; }, HNORM_INVALID_ARGUMENT, {".rank is -1", "2 to 5"}},
        {"negative extent",
         [](hnorm_tensor &t) { t.shape[2] = -4; },
         HNORM_INVALID_ARGUMENT,
         {".shape[2] is -4", "0 or more"}},
        {"negative extent beside an empty one",
         [](hnorm_tensor &t) { t.shape[0] = 0, t.shape[3] = -1; },
         HNORM_INVALID_ARGUMENT,
         {".shape[3] is -1"}},
        {"too large",
         [](hnorm_tensor &t) { t.shape[0] = t.shape[2] = 1000000; },
         HNORM_UNSUPPORTED,
         {".shape is (1000000, 3, 1000000, 5)", "more than 1099511627776 elements"}},
        {"too many groups",
         [](hnorm_tensor &t) { t.shape[0] = kLimit / 3 + 1; },
         HNORM_UNSUPPORTED,
         {".shape is (666666667, 3, 4, 5)", "N*C of more than 2000000000"}},
        {"planes too large",
         [](hnorm_tensor &t) { t.shape[3] = kLimit / 4 + 1; },
         HNORM_UNSUPPORTED,
         {".shape is (2, 3, 4, 500000001)", "planes of more than 2000000000"}},
        {"far too large",
         [](hnorm_tensor &t) { t.shape[0] = t.shape[1] = t.shape[2] = INT64_MAX; },
         HNORM_UNSUPPORTED,
         {".shape is (9223372036854775807, 9223372036854775807, ", "2000000000"}},
        {"stride too large",
         [](hnorm_tensor &t) { t.strides[0] = kLimit + 1; },
         HNORM_UNSUPPORTED,
         {".strides[0] is 2000000001", "more than 2000000000 are not supported"}},
        {"span too large",
         [](hnorm_tensor &t) { t.shape[0] = 1000, t.strides[0] = kLimit; },
         HNORM_UNSUPPORTED,
         {".strides (2000000000, 20, ...)", "more than 1099511627776 are not supported"}},
        {"stride of the largest integer",
         [](hnorm_tensor &t) { t.strides[1] = INT64_MAX; },
         HNORM_UNSUPPORTED,
         {".strides[1] is 9223372036854775807"}},
        {"innermost axis not dense",
         [](hnorm_tensor &t) { t.strides[3] = 2; },
         HNORM_INVALID_ARGUMENT,
         {".strides[3] is 2", "dense", "must be 1"}},
        {"spatial axes not dense",
         [](hnorm_tensor &t) { t.strides[2] = 8; },
         HNORM_INVALID_ARGUMENT,
         {".strides[2] is 8", "dense", "must be 5"}},
        {"negative n",
         [](hnorm_tensor &t) { t.strides[0] = -60; },
         HNORM_INVALID_ARGUMENT,
         {".strides[0] is -60", "negative"}},
        {"negative c",
         [](hnorm_tensor &t) { t.strides[1] = -20; },
         HNORM_INVALID_ARGUMENT,
         {".strides[1] is -20", "negative"}},
        {"broadcast n",
         [](hnorm_tensor &t) { t.strides[0] = 0; },
         HNORM_INVALID_ARGUMENT,
         {".strides[0] is 0", "overlap"}},
        {"broadcast c",
         [](hnorm_tensor &t) { t.strides[1] = 0; },
         HNORM_INVALID_ARGUMENT,
         {".strides[1] is 0", "overlap"}},
        {"planes overlap by one",
         [](hnorm_tensor &t) { t.strides[1] = 19; },
         HNORM_INVALID_ARGUMENT,
         {".strides[1] is 19", "overlap"}},
        {"samples overlap by one",
         [](hnorm_tensor &t) { t.strides[0] = 59; },
         HNORM_INVALID_ARGUMENT,
         {".strides[0] is 59", "overlap"}},
        {"samples within the gaps of channels, too wide",
         [](hnorm_tensor &t) { t.strides[0] = 20, t.strides[1] = 39; },
         HNORM_INVALID_ARGUMENT,
         {".strides[1] is 39", "overlap"}},
    };
    return all;
}

}  // namespace

TEST_CASE("a bad tensor is refused by every function, and nothing is written") {
    Layer layer(3);
    const std::vector<double> running_mean(3, 0.0);
    for (const Function &function : computing_functions(layer, 3)) {
        for (const char *which : {"x", "y"}) {
            const bool spoil_y = which[0] == 'y';
            if (spoil_y && !function.writes_y) continue;
            for (const Spoiled &bad : spoiled()) {
                INFO(function.name << ", " << which << ": " << bad.what);
                Pair pair({2, 3, 4, 5});
                Arrays arrays(3);
                const Elements x = pair.x;
                bad.spoil(spoil_y ? pair.out : pair.in);
                const hnorm_status status = function.call(&pair.in, &pair.out, arrays);
                std::vector<std::string> words = bad.words;
                words.push_back(std::string(function.name) + ": " + which + ".");
                require_refused(status, bad.status, words);
                REQUIRE(all_are(pair.y, kSentinel));
                REQUIRE(same_bits(pair.x, x));
                REQUIRE(arrays.untouched());
            }
            INFO(function.name << ", " << which << " null");
            Pair pair({2, 3, 4, 5});
            Arrays arrays(3);
            require_refused(function.call(spoil_y ? &pair.in : nullptr, spoil_y ? nullptr : &pair.out, arrays),
                            HNORM_INVALID_ARGUMENT, {std::string(function.name) + ": " + which + " is null"});
            REQUIRE(all_are(pair.y, kSentinel));
            REQUIRE(arrays.untouched());
        }
    }
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 0);
    REQUIRE(std::equal(running_mean.begin(), running_mean.end(), hnorm_layer_running_mean(layer)));
}

TEST_CASE("x and y of different shapes are refused with both shapes") {
    Layer layer(3);
    for (const Function &function : computing_functions(layer, 3)) {
        if (!function.writes_y) continue;
        INFO(function.name);
        Pair pair({2, 3, 4, 5});
        Arrays arrays(3);
        const std::vector<int64_t> shapes[] = {{2, 3, 5, 4}, {1, 3, 4, 5}, {2, 3, 20}, {2, 3, 4, 5, 1}};
        const char *const texts[] = {"(2, 3, 5, 4)", "(1, 3, 4, 5)", "(2, 3, 20)", "(2, 3, 4, 5, 1)"};
        for (int i = 0; i < 4; i++) {
            const hnorm_tensor y = pair.y.view(shapes[i]);
            require_refused(function.call(&pair.in, &y, arrays), HNORM_INVALID_ARGUMENT,
                            {std::string(function.name) + ": y.shape is " + texts[i] + " but x.shape is (2, 3, 4, 5)",
                             "must be equal"});
        }
        REQUIRE(all_are(pair.y, kSentinel));
        REQUIRE(arrays.untouched());
    }
}

TEST_CASE("y may be x, or interleave with it, but shares no element with it otherwise") {
    Layer layer(2);
    struct Place {
        int64_t shift, x_stride_n, x_stride_c, y_stride_n, y_stride_c;
        bool allowed;
        const char *words;
    };
    const Place places[] = {
        {0, 8, 4, 8, 4, true, ""},                             // in place
        {24, 8, 4, 8, 4, true, ""},                            // directly after
        {23, 8, 4, 8, 4, false, "y overlaps x, 23 elements"},  // the last element
        {-23, 8, 4, 8, 4, false, "y overlaps x, -23 elements"},
        {1, 8, 4, 8, 4, false, "y overlaps x, 1 elements"},
        {8, 8, 4, 8, 4, false, "y overlaps x, 8 elements"},  // whole samples, exactly
        {8, 16, 4, 16, 4, true, ""},                         // the two halves of the channels of one buffer
        {7, 16, 4, 16, 4, false, "y overlaps x, 7 elements"},
        {9, 16, 4, 16, 4, false, "y overlaps x, 9 elements"},  // into the next sample's
        {4, 16, 8, 16, 8, true, ""},                           // even and odd channels
        {3, 16, 8, 16, 8, false, "y overlaps x, 3 elements"},
        {4, 8, 24, 8, 24, true, ""},   // c outside n, interleaved
        {12, 4, 32, 4, 32, true, ""},  // where a fourth sample would be
        {0, 8, 4, 16, 4, false, "y lies within x but has other strides"},
        {8, 16, 4, 16, 5, false, "y lies within x but has other strides"},
    };
    for (const Function &function : computing_functions(layer, 2)) {
        if (!function.writes_y) continue;
        for (const Place &place : places) {
            INFO(function.name << ": shift " << place.shift << ", strides of x " << place.x_stride_n << ", "
                               << place.x_stride_c << ", of y " << place.y_stride_n << ", " << place.y_stride_c);
            Elements memory({1, 1, 256});
            fill(memory, 5);
            const Elements before = memory;
            hnorm_tensor x = memory.view({3, 2, 4}), y = x;
            x.data = memory.data(64);
            y.data = memory.data(64 + place.shift);
            x.strides[0] = place.x_stride_n, x.strides[1] = place.x_stride_c;
            y.strides[0] = place.y_stride_n, y.strides[1] = place.y_stride_c;
            Arrays arrays(2);
            const hnorm_status status = function.call(&x, &y, arrays);
            if (place.allowed) {
                INFO(hnorm_last_error());
                REQUIRE(status == HNORM_OK);
                REQUIRE(!same_bits(memory, before));
            } else {
                require_refused(status, HNORM_INVALID_ARGUMENT, {place.words});
                REQUIRE(same_bits(memory, before));
                REQUIRE(arrays.untouched());
            }
        }
    }
}

TEST_CASE("axes of extent 1 may have any stride") {
    Layer layer(1);
    for (const Function &function : computing_functions(layer, 1)) {
        INFO(function.name);
        Pair pair({1, 1, 1, 6});
        Arrays arrays(1);
        for (hnorm_tensor *t : {&pair.in, &pair.out}) t->strides[0] = -7, t->strides[1] = INT64_MAX, t->strides[2] = 0;
        REQUIRE(function.call(&pair.in, &pair.out, arrays) == HNORM_OK);
        REQUIRE(function.writes_y == !all_are(pair.y, kSentinel));
        // Nor do they tell x in place from x.
        hnorm_tensor same = pair.in;
        same.strides[0] = 3, same.strides[1] = 2, same.strides[2] = 1;
        const Elements x = pair.x;
        REQUIRE(function.call(&pair.in, &same, arrays) == HNORM_OK);
        REQUIRE(function.writes_y == !same_bits(pair.x, x));
    }
}

TEST_CASE("an empty tensor is valid input to every function, writes nothing and needs no memory") {
    Layer layer(3);
    const int64_t shapes[][4] = {{0, 3, 4, 5}, {2, 3, 0, 5}, {2, 3, INT64_MAX, 0}, {0, 3, INT64_MAX, INT64_MAX}};
    for (const Function &function : computing_functions(layer, 3)) {
        for (const int64_t *shape : shapes) {
            INFO(function.name << ", (" << shape[0] << ", 3, " << shape[2] << ", " << shape[3] << ")");
            const hnorm_tensor x = hnorm_channels_first(nullptr, 4, shape), y = x;
            Arrays arrays(3);
            REQUIRE(function.call(&x, &y, arrays) == HNORM_OK);
            if (function.writes_y) {
                REQUIRE(arrays.untouched());
            } else {
                REQUIRE(arrays.count == std::vector<double>(3, 0.0));
                REQUIRE(arrays.mean == std::vector<double>(3, 0.0));
                REQUIRE(arrays.m2 == std::vector<double>(3, 0.0));
            }
        }
    }
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 0);
    const int64_t no_sample[] = {0, 3, 4};
    const hnorm_tensor x = hnorm_channels_first(nullptr, 3, no_sample);
    REQUIRE(hnorm_moments(&x, HNORM_INSTANCE, nullptr, nullptr, nullptr) == HNORM_OK);
}
