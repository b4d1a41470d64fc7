// Layouts and types through the public interface: known answers, what is refused and in which
// words.
#include "api.h"
#include "half.h"

#include <hnorm/hnorm.hpp>

#include <sys/mman.h>

#include <cmath>

using namespace api;

namespace {

const std::vector<int64_t> kShape = {2, 3, 4, 5};

// y of batch norm over `x`, by way of any view of it.
hnorm_status forward(const hnorm_tensor &x, const hnorm_tensor &y) {
    return hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &y, nullptr, nullptr);
}

hnorm_tensor dense(void *data, hnorm_type type, int last, const std::vector<int64_t> &shape = kShape) {
    return hnorm_dense(data, type, last, static_cast<int>(shape.size()), shape.data());
}

void refused(const hnorm_tensor &x, const hnorm_tensor &y, const std::vector<std::string> &words) {
    require_refused(forward(x, y), HNORM_INVALID_ARGUMENT, words);
}

}  // namespace

TEST_CASE("hnorm_dense gives the strides of both layouts, for the shape as it is") {
    const hnorm_tensor first = dense(nullptr, HNORM_F16, 0), last = dense(nullptr, HNORM_BF16, 1);
    const int64_t expected_first[] = {60, 20, 5, 1}, expected_last[] = {60, 1, 15, 3};
    for (int axis = 0; axis < 4; axis++) {
        REQUIRE((first.shape[axis] == kShape[axis] && last.shape[axis] == kShape[axis]));
        REQUIRE((first.strides[axis] == expected_first[axis] && last.strides[axis] == expected_last[axis]));
    }
    REQUIRE((first.type == HNORM_F16 && last.type == HNORM_BF16 && first.rank == 4 && first.device == HNORM_CPU));
}

TEST_CASE("channels-last and channels-first agree to rounding, element by element") {
    const int64_t S = 20;
    Pair first(kShape);
    std::vector<float> x(first.x.size()), y(x.size());
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t s = 0; s < S; s++) x[(n * S + s) * 3 + c] = first.x[(n * 3 + c) * S + s];
    REQUIRE(forward(first.in, first.out) == HNORM_OK);
    REQUIRE(forward(dense(x.data(), HNORM_F32, 1), dense(y.data(), HNORM_F32, 1)) == HNORM_OK);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t s = 0; s < S; s++)
                REQUIRE(std::fabs(y[(n * S + s) * 3 + c] - first.y[(n * 3 + c) * S + s]) < 1e-6f);
}

TEST_CASE("every value of 16 bits goes through a kernel as it is, on every target") {
    for (const auto &[type, format] :
         {std::make_pair(HNORM_F16, test::kF16), std::make_pair(HNORM_BF16, test::kBf16)}) {
        for (int last : {0, 1}) {
            for (const std::vector<int64_t> &shape :
                 {std::vector<int64_t>{1, 1, 65536}, {1, 2, 32768}, {64, 16, 8, 8}, {1024, 16, 2, 2}, {2048, 32}}) {
                for (int i = 0; i < hnorm_target_count(); i++) {
                    if (hnorm_target_unusable(i)) continue;
                    REQUIRE(hnorm_set_target(hnorm_target_name(i)) == HNORM_OK);
                    std::vector<uint16_t> x(65536), y(65536, 0x1234);
                    for (size_t v = 0; v < 65536; v++) x[v] = static_cast<uint16_t>(v);
                    const std::vector<double> mean(32, 0), variance(32, 1);
                    // beta -0, since x + 0 would make +0 of -0
                    const std::vector<float> beta(32, -0.0f);
                    const hnorm_affine affine = hnorm_affine_of(nullptr, beta.data());
                    const hnorm_tensor in = dense(x.data(), type, last, shape),
                                       out = dense(y.data(), type, last, shape);
                    REQUIRE(hnorm_normalize(&in, HNORM_BATCH, mean.data(), variance.data(), &affine, 0, nullptr,
                                            &out) == HNORM_OK);
                    for (size_t v = 0; v < 65536; v++) {
                        INFO(format.name << " " << v << " became " << y[v] << ", target " << hnorm_target_name(i));
                        if (!test::same(y[v], x[v], format)) FAIL("changed");
                    }
                }
            }
        }
    }
    REQUIRE(hnorm_set_target("") == HNORM_OK);
}

TEST_CASE("f16 of +-60,000 overflows no statistics") {
    for (int last : {0, 1}) {
        std::vector<uint16_t> x(2 * 3 * 400), y(x.size());
        for (size_t i = 0; i < x.size(); i++) x[i] = test::from_float(i / 3 % 2 ? 60000.0f : -60000.0f, test::kF16);
        const std::vector<int64_t> shape = {2, 3, 20, 20};
        const hnorm_tensor in = dense(x.data(), HNORM_F16, last, shape), out = dense(y.data(), HNORM_F16, last, shape);
        std::vector<double> mean(3), variance(3);
        REQUIRE(hnorm_forward(&in, HNORM_BATCH, nullptr, 1e-5, nullptr, &out, mean.data(), variance.data()) ==
                HNORM_OK);
        for (size_t i = 0; i < x.size(); i++)
            REQUIRE(std::fabs(std::fabs(test::to_float(y[i], test::kF16)) - 1) < 0.1f);
        for (double v : variance) REQUIRE((v > 3.5e9 && v < 3.7e9));
    }
}

TEST_CASE("where channels are adjacent positions lie up to 62,500,000 elements apart, and not further", "[cpu]") {
    constexpr int64_t kLimit = 62500000, C = 2;
    struct Positions {
        std::vector<int64_t> shape;
        int axis;  // of the positions
    };
    // Few channels' positions are taken 32 at a time from 512 on; samples of one position are batch
    // norm's positions.
    for (const auto &[shape, axis] : {Positions{{1, C, 2}, 2}, Positions{{1, C, 515}, 2}, Positions{{515, C}, 0}}) {
        const int64_t S = shape[static_cast<size_t>(axis)];
        const size_t bytes = static_cast<size_t>((S - 1) * kLimit + C) * sizeof(uint16_t);
        void *const memory =
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            WARN("SKIPPED: no address space of " << bytes << " bytes");
            continue;
        }
        auto *const apart = static_cast<uint16_t *>(memory);
        std::vector<uint16_t> together(static_cast<size_t>(S * C));
        for (int64_t s = 0; s < S; s++)
            for (int64_t c = 0; c < C; c++)
                apart[s * kLimit + c] = together[static_cast<size_t>(s * C + c)] =
                    test::from_float(static_cast<float>(s % 7 * (c + 1)), test::kF16);
        hnorm_tensor wide = dense(memory, HNORM_F16, 1, shape), near = dense(together.data(), HNORM_F16, 1, shape);
        wide.strides[axis] = kLimit;
        REQUIRE(forward(wide, wide) == HNORM_OK);
        REQUIRE(forward(near, near) == HNORM_OK);
        int64_t unlike = 0;
        for (int64_t s = 0; s < S; s++)
            for (int64_t c = 0; c < C; c++) unlike += apart[s * kLimit + c] != together[static_cast<size_t>(s * C + c)];
        CHECK(unlike == 0);
        wide.strides[axis] = kLimit + 1;
        require_refused(forward(wide, wide), HNORM_UNSUPPORTED,
                        {"x.strides[" + std::to_string(axis) + "] is 62500001", "62500000"});
        munmap(memory, bytes);
    }
}

TEST_CASE("spatial strides beyond 64 bits are refused", "[cpu]") {
    std::vector<float> x(8, 1);
    hnorm_tensor in = dense(x.data(), HNORM_F32, 1, {1, 2, 2});
    for (int shift : {32, 40, 61, 62}) {
        in.strides[2] = int64_t(1) << shift;
        require_refused(forward(in, in), HNORM_UNSUPPORTED, {"x.strides[2]", "62500000"});
    }
}

TEST_CASE("channels-last strides that cannot be are refused, with the axis named", "[cpu]") {
    std::vector<float> x(400, 1), y(400, kSentinel);
    const hnorm_tensor out = dense(y.data(), HNORM_F32, 1), good = dense(x.data(), HNORM_F32, 1);
    hnorm_tensor in = good;
    in.strides[3] = 2;
    refused(in, out, {"x.strides[3] is 2", "channels are adjacent", "must be 3 or more"});
    in = good;
    in.strides[2] = 16;
    refused(in, out, {"x.strides[2] is 16", "must be 15"});
    in = good;
    in.strides[0] = 59;
    refused(in, out, {"x.strides[0] is 59", "overlap"});
    in.strides[0] = -60;
    refused(in, out, {"x.strides[0] is -60", "negative"});
    in = good;
    in.data = reinterpret_cast<char *>(x.data()) + 2;
    refused(in, out, {"x.data is", "multiple of 4 bytes"});
    in = good;
    in.data = y.data() + 1;
    refused(in, out, {"y overlaps x"});
    in = good, in.type = HNORM_F16;
    hnorm_tensor half_out = out;
    half_out.type = HNORM_F16;
    in.data = reinterpret_cast<char *>(x.data()) + 1;
    refused(in, half_out, {"x.data is", "multiple of 2 bytes"});
    REQUIRE(all_are(y, kSentinel));
    // a view of some channels of a wider tensor is none of these
    in = good;
    in.strides[3] = 6, in.strides[2] = 30, in.strides[0] = 150;
    REQUIRE(forward(in, out) == HNORM_OK);
}

TEST_CASE("(N, C) has the same bits whatever the strides, and as (N, C, 1, 1)") {
    const std::vector<int64_t> flat = {50, 7}, square = {50, 7, 1, 1};
    Pair plain(flat), four(square);
    four.x = plain.x;
    REQUIRE(forward(plain.in, plain.out) == HNORM_OK);
    REQUIRE(forward(four.in, four.out) == HNORM_OK);
    REQUIRE(same_bits(plain.y, four.y));
    // channels apart
    std::vector<float> x(50 * 7 * 3), y(x.size());
    for (size_t i = 0; i < plain.x.size(); i++) x[i * 3] = plain.x[i];
    hnorm_tensor in = plain.in, out = plain.in;
    in.data = x.data(), out.data = y.data();
    in.strides[1] = out.strides[1] = 3;
    in.strides[0] = out.strides[0] = 21;
    REQUIRE(forward(in, out) == HNORM_OK);
    for (size_t i = 0; i < plain.x.size(); i++) REQUIRE(y[i * 3] == plain.y[i]);
    // one apart, one not
    plain.y.fill(kSentinel);
    REQUIRE(forward(in, plain.out) == HNORM_OK);
    REQUIRE(same_bits(plain.y, four.y));
}

TEST_CASE("C++: tensors of any layout and type") {
    Pair pair(kShape);
    std::vector<float> y(pair.y.size()), expected(y.size());
    const hnorm::ConstTensor x = hnorm::channels_last<const float>(pair.x.data<float>(), {2, 3, 4, 5});
    hnorm::forward(x, hnorm::Group::batch, {}, 1e-5, hnorm::channels_last(y.data(), {2, 3, 4, 5}));
    REQUIRE(forward(dense(pair.x.data(), HNORM_F32, 1), dense(expected.data(), HNORM_F32, 1)) == HNORM_OK);
    REQUIRE(same_bits(y, expected));
    std::vector<uint16_t> half(120, 0x3c00), to(120, 1);
    hnorm::forward(hnorm::ConstTensor(half.data(), hnorm::Type::f16, hnorm::Layout::channels_first, kShape),
                   hnorm::Group::instance, {}, 1e-5,
                   hnorm::Tensor(to.data(), hnorm::Type::f16, hnorm::Layout::channels_first, kShape));
    for (uint16_t value : to) REQUIRE(value == 0);
}
