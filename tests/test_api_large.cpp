// The limits of size, in address space that repeats a few pages: nothing large is ever touched.
#include "api.h"
#include "format.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <vector>

using namespace api;

namespace {

// `count` values, of which each 4 MiB, or as many bytes, are the same memory.
template <typename T, size_t kBytes = size_t(4) << 20>
class Repeated {
public:
    explicit Repeated(int64_t count) : bytes_((static_cast<size_t>(count) * sizeof(T) + kUnit - 1) / kUnit * kUnit) {
        const int file = memfd_create("hnorm", 0);
        REQUIRE(file >= 0);
        REQUIRE(ftruncate(file, kUnit) == 0);
        void *const place = mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        REQUIRE(place != MAP_FAILED);
        data = static_cast<T *>(place);
        bool mapped = true;
        for (size_t at = 0; at < bytes_; at += kUnit)
            mapped &= mmap(reinterpret_cast<char *>(data) + at, kUnit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                           file, 0) != MAP_FAILED;
        close(file);
        REQUIRE(mapped);
    }
    ~Repeated() { munmap(data, bytes_); }
    Repeated(const Repeated &) = delete;
    Repeated &operator=(const Repeated &) = delete;

    static constexpr size_t kUnit = kBytes;
    static constexpr size_t kLength = kUnit / sizeof(T);
    T *data = nullptr;

private:
    size_t bytes_;
};

}  // namespace

TEST_CASE("a plane of the largest size is computed, and one position more is refused") {
    const int64_t largest = 2000000000;
    const Repeated<float> x(largest + 1), y(largest + 1);
    for (size_t i = 0; i < x.kLength; i++) x.data[i] = i % 2 ? 1.0f : 3.0f;
    int64_t shape[] = {1, 1, largest};
    hnorm_tensor in = hnorm_channels_first(x.data, 3, shape), out = hnorm_channels_first(y.data, 3, shape);
    double count = 0, mean = 0, m2 = 0, variance = 0;
    REQUIRE(hnorm_moments(&in, HNORM_INSTANCE, &count, &mean, &m2) == HNORM_OK);
    REQUIRE(count == 2e9);
    REQUIRE(mean == 2.0);
    REQUIRE(m2 == 2e9);
    REQUIRE(hnorm_forward(&in, HNORM_BATCH, nullptr, 0, nullptr, &out, &mean, &variance) == HNORM_OK);
    REQUIRE(variance == 1.0);
    bool right = true;
    for (size_t i = 0; i < y.kLength; i++) right &= y.data[i] == (i % 2 ? -1.0f : 1.0f);
    REQUIRE(right);
    shape[2]++;
    in = hnorm_channels_first(x.data, 3, shape);
    require_refused(hnorm_moments(&in, HNORM_INSTANCE, &count, &mean, &m2), HNORM_UNSUPPORTED,
                    {"x.shape is (1, 1, 2000000001)", "planes of more than 2000000000 are not supported"});
}

// The samples of one channel are one plane for the pointwise part, unless they are more than a
// plane may have.
TEST_CASE("samples of one channel that are more than the largest plane are normalized") {
    const int64_t shape[] = {3, 1, 800'000'000};
    const Repeated<float> x(shape[0] * shape[2]), y(shape[0] * shape[2]);
    for (size_t i = 0; i < x.kLength; i++) x.data[i] = i % 2 ? 1.0f : 3.0f;
    const hnorm_tensor in = hnorm_channels_first(x.data, 3, shape), out = hnorm_channels_first(y.data, 3, shape);
    const double mean = 2, variance = 4;
    REQUIRE(hnorm_normalize(&in, HNORM_BATCH, &mean, &variance, nullptr, 0, nullptr, &out) == HNORM_OK);
    bool right = true;
    for (size_t i = 0; i < y.kLength; i++) right &= y.data[i] == (i % 2 ? -0.5f : 0.5f);
    REQUIRE(right);
}

// Samples that are the same memory: every one of them has the same statistics and the same result.
void check_more_than_32_bits(hnorm_type type, bool channels_last) {
    const test::TensorFormat format{channels_last, type};
    const size_t size = format.element_size();
    const int64_t positions = 1 << 15, channels = 32, samples = 2200;
    const int64_t sample = channels * positions, elements = samples * sample;
    REQUIRE(elements > int64_t(1) << 31);
    const Repeated<char> x(elements * static_cast<int64_t>(size)), y(elements * static_cast<int64_t>(size));
    const size_t bytes = static_cast<size_t>(sample) * size;  // of a sample
    REQUIRE(x.kUnit % bytes == 0);
    // Of channel c: c - 1, c and c + 2, over and over; small integers are exact in all types.
    const auto value = [](int64_t s, int64_t c) {
        return static_cast<float>(c) + (s % 4 == 0 ? -1.0f : s % 4 == 1 ? 2.0f : 0.0f);
    };
    for (size_t i = 0; i < x.kUnit / size; i++) {
        const int64_t at = static_cast<int64_t>(i) % sample;
        const float v = channels_last ? value(at / channels, at % channels) : value(at % positions, at / positions);
        test::encode(v, format, x.data + i * size);
    }
    const int64_t shape[] = {samples, channels, positions}, one[] = {1, channels, positions};
    const hnorm_tensor in = hnorm_dense(x.data, type, channels_last, 3, shape),
                       out = hnorm_dense(y.data, type, channels_last, 3, shape);
    std::vector<double> mean(channels), variance(channels);
    INFO(format.name());
    const hnorm_status status =
        hnorm_forward(&in, HNORM_BATCH, nullptr, 0, nullptr, &out, mean.data(), variance.data());
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
    for (int64_t c = 0; c < channels; c++) {
        REQUIRE(std::fabs(mean[c] - (static_cast<double>(c) + 0.25)) < 1e-12 * static_cast<double>(c + 1));
        REQUIRE(std::fabs(variance[c] - (1.25 - 0.0625)) < 1e-12);
    }
    // y of all samples is what normalize makes of one.
    std::vector<float> expected(static_cast<size_t>(sample));
    const hnorm_tensor first = hnorm_dense(x.data, type, channels_last, 3, one),
                       of_first = hnorm_dense(expected.data(), type, channels_last, 3, one);
    REQUIRE(hnorm_normalize(&first, HNORM_BATCH, mean.data(), variance.data(), nullptr, 0, nullptr, &of_first) ==
            HNORM_OK);
    for (size_t at = 0; at < y.kUnit; at += bytes) REQUIRE(std::memcmp(y.data + at, expected.data(), bytes) == 0);
    // The gradients' sums: of dy = x, the sums of x and of x*(x - mean).
    std::vector<double> sum_dy(channels), sum_dy_xmu(channels);
    REQUIRE(hnorm_backward_reduce(&in, &in, HNORM_BATCH, mean.data(), sum_dy.data(), sum_dy_xmu.data()) == HNORM_OK);
    const double count = static_cast<double>(samples * positions);
    for (int64_t c = 0; c < channels; c++) {
        REQUIRE(std::fabs(sum_dy[c] / count - mean[c]) < 1e-6 * std::fabs(mean[c]));
        REQUIRE(std::fabs(sum_dy_xmu[c] / count - variance[c]) < 1e-5 * static_cast<double>(c + 1));
    }
}

TEST_CASE("tensors of more than 2^31 elements are computed") {
    check_more_than_32_bits(HNORM_F32, false);
    check_more_than_32_bits(HNORM_F32, true);
    check_more_than_32_bits(HNORM_F16, false);
    check_more_than_32_bits(HNORM_BF16, true);
}

// Whole pages, but no divisor of 2^32: what is wrong by a multiple of that is other memory.
using FarApart = Repeated<float, (size_t(4) << 20) + (1 << 14)>;

// Tensors of this shape with these strides and dense ones give the same bits.
void check_far_apart(const std::vector<int64_t> &shape, const std::vector<int64_t> &strides, bool channels_last) {
    const int rank = static_cast<int>(shape.size());
    int64_t span = 1, elements = 1;
    for (int axis = 0; axis < rank; axis++) {
        span += (shape[axis] - 1) * strides[axis];
        elements *= shape[axis];
    }
    const FarApart far_x(span), far_dy(span), far_y(span);
    std::vector<float> x(static_cast<size_t>(elements)), dy(x.size()), y(x.size());
    fill(x, 1);
    fill(dy, 2);
    const hnorm_tensor dense = hnorm_dense(x.data(), HNORM_F32, channels_last, rank, shape.data());
    // Calls visit(offset, dense offset) for every element.
    const auto each = [&](const auto &visit) {
        for (int64_t i = 0; i < elements; i++) {
            int64_t rest = i, at = 0, dense_at = 0;
            for (int axis = rank - 1; axis >= 0; axis--) {
                at += rest % shape[axis] * strides[axis];
                dense_at += rest % shape[axis] * dense.strides[axis];
                rest /= shape[axis];
            }
            visit(at, dense_at);
        }
    };
    each([&](int64_t at, int64_t dense_at) {
        far_x.data[at] = x[static_cast<size_t>(dense_at)];
        far_dy.data[at] = dy[static_cast<size_t>(dense_at)];
    });
    const auto view = [&](float *data, bool apart) {
        hnorm_tensor tensor = dense;
        tensor.data = data;
        if (apart) std::copy(strides.begin(), strides.end(), tensor.strides);
        return tensor;
    };
    const hnorm_tensor ins[] = {view(x.data(), false), view(far_x.data, true)},
                       gradients[] = {view(dy.data(), false), view(far_dy.data, true)},
                       outs[] = {view(y.data(), false), view(far_y.data, true)};
    const auto same = [&] {
        bool all = true;
        each([&](int64_t at, int64_t dense_at) { all &= far_y.data[at] == y[static_cast<size_t>(dense_at)]; });
        return all;
    };
    const size_t planes = static_cast<size_t>(shape[0] * shape[1]);
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE, hnorm_groups(1)}) {
        if (group == HNORM_INSTANCE && rank == 2) continue;  // groups of one element
        INFO("group " << group << ", strides " << strides[0] << ", " << strides[1]);
        std::vector<double> mean[2], variance[2];
        std::vector<float> dgamma[2], dbeta[2];
        for (int i : {0, 1}) {
            mean[i].resize(planes), variance[i].resize(planes), dgamma[i].resize(planes), dbeta[i].resize(planes);
            const hnorm_status status =
                hnorm_forward(&ins[i], group, nullptr, 1e-5, nullptr, &outs[i], mean[i].data(), variance[i].data());
            INFO(hnorm_last_error());
            REQUIRE(status == HNORM_OK);
        }
        REQUIRE(mean[0] == mean[1]);
        REQUIRE(variance[0] == variance[1]);
        REQUIRE(same());
        for (int i : {0, 1})
            REQUIRE(hnorm_backward(&ins[i], &gradients[i], group, mean[i].data(), variance[i].data(), nullptr, 1e-5,
                                   nullptr, &outs[i], dgamma[i].data(), dbeta[i].data()) == HNORM_OK);
        REQUIRE(dgamma[0] == dgamma[1]);
        REQUIRE(dbeta[0] == dbeta[1]);
        REQUIRE(same());
    }
}

TEST_CASE("elements are where their strides say, however far apart") {
    const int64_t unit = FarApart::kLength, far = 1800 * unit;
    for (int threads : {1, 3}) {
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        check_far_apart({3, 4, 49}, {far + 300, 49, 1}, false);
        check_far_apart({3, 64, 33, 33}, {far + 70000, 1089, 33, 1}, false);  // in several blocks
        check_far_apart({2, 3, 49}, {64, far + 200, 1}, false);
        check_far_apart({2, 3, 200, 201}, {40300, far + 81000, 201, 1}, false);
        check_far_apart({2, 20, 4, 25}, {32, 1, 25 * (59 * unit + 64), 59 * unit + 64}, true);
        check_far_apart({3, 5, 7, 80}, {16, 1, 80 * (8 * unit + 64), 8 * unit + 64}, true);  // few channels
        check_far_apart({3, 70, 8, 8}, {far + 5000, 1, 560, 70}, true);
        check_far_apart({60, 70}, {59 * unit + 100, 1}, false);
    }
    REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
}
