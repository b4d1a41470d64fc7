// The limits of size, in address space that repeats a few pages: nothing large is ever touched.
#include "api.h"

#include <sys/mman.h>
#include <unistd.h>

using namespace api;

namespace {

// `count` values, of which each 4 MiB are the same memory.
template <typename T>
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

    static constexpr size_t kUnit = size_t(4) << 20;
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
                    {"x.shape is (1, 1, 2000000001)", "more than 2000000000 elements are not supported"});
}

TEST_CASE("more groups than a kernel can hold coefficients for are refused, and nothing is written") {
    const int64_t groups = (int64_t(1) << 29) + 1;
    const Repeated<float> x(groups), y(groups);
    const Repeated<double> mean(groups), variance(groups);
    std::fill_n(y.data, y.kLength, kSentinel);
    const int64_t shape[] = {groups, 1};
    const hnorm_tensor in = hnorm_channels_first(x.data, 2, shape), out = hnorm_channels_first(y.data, 2, shape);
    require_refused(hnorm_normalize(&in, HNORM_INSTANCE, mean.data, variance.data, nullptr, 1e-5, nullptr, &out),
                    HNORM_UNSUPPORTED, {"hnorm_normalize: ", "2 GiB", "groups"});
    REQUIRE(std::all_of(y.data, y.data + y.kLength, [](float value) { return value == kSentinel; }));
}
