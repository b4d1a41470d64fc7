// Which gradients are wanted, where they go, and how the work is spread change no bit of them.
#include "gradients.h"

#include <atomic>
#include <thread>

using namespace api;

namespace {

using Call = BackwardCall;

// Few and many groups, large and small planes: whole groups and split ones.
const std::vector<std::vector<int64_t>> kShapes = {{1, 1, 300, 301}, {64, 2, 33, 33}, {3, 40, 30, 31}, {16, 200, 7, 7},
                                                   {2, 3, 4, 5},     {6, 400, 3},     {70, 9}};

// All calls that make sense: instance norm of rank 2 has groups of one element. Free of Catch, for
// threads.
template <typename Visit>
void for_each_call(const Visit &visit) {
    for (const std::vector<int64_t> &shape : kShapes) {
        for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
            if (shape.size() == 2 && group == HNORM_INSTANCE) continue;
            for (const bool per_sample : {false, true}) {
                Call call(shape, group);
                if (per_sample) call.affine.stride_n = shape[1];
                visit(call);
            }
        }
    }
}

using Backward = decltype(&hnorm_backward);
constexpr Backward kBackwards[] = {hnorm_backward, hnorm_normalize_backward};

hnorm_status run(Backward function, Call &c, const hnorm_tensor *dx, float *dgamma, float *dbeta) {
    return function(&c.x, &c.dy, c.group, c.mean.data(), c.variance.data(), &c.affine, c.eps, nullptr, dx, dgamma,
                    dbeta);
}

// The bytes of every result of every function; empty where one failed, which equals no result.
std::vector<char> compute_all() {
    std::vector<char> all;
    const auto add = [&](const auto &values) {
        const char *const bytes = reinterpret_cast<const char *>(values.data());
        all.insert(all.end(), bytes, bytes + sizeof(values[0]) * values.size());
    };
    bool failed = false;
    for_each_call([&](Call &c) {
        const bool per_sample = c.affine.stride_n != 0;
        for (const BackwardFunction &function : kBackwardFunctions) {
            if (function.call == &Call::apply && per_sample && c.group == HNORM_BATCH) continue;
            c.clear();
            failed |= (c.*function.call)() != HNORM_OK;
            add(c.dx_values().bytes());
            add(c.dgamma), add(c.dbeta), add(c.sum_dy), add(c.sum_dy_xmu);
        }
    });
    return failed ? std::vector<char>() : all;
}

struct Settings {
    ~Settings() {
        hnorm_set_parallel_for(nullptr, nullptr);
        hnorm_set_num_threads(0);
    }
};

}  // namespace

TEST_CASE("any subset of dx, dgamma and dbeta has the bits of all three") {
    for_each_call([](Call &c) {
        INFO(c.describe());
        for (const Backward function : kBackwards) {
            c.clear();
            REQUIRE(run(function, c, &c.dx, c.dgamma.data(), c.dbeta.data()) == HNORM_OK);
            const Elements dx = c.dx_values();
            const std::vector<float> dgamma = c.dgamma, dbeta = c.dbeta;
            const size_t gradients = c.affine.stride_n != 0 ? c.gamma.size() : static_cast<size_t>(c.x.shape[1]);
            for (size_t i = 0; i < dgamma.size(); i++) {
                REQUIRE((dgamma[i] == kSentinel) == (i >= gradients));
                REQUIRE((dbeta[i] == kSentinel) == (i >= gradients));
            }
            for (size_t i = 0; i < dx.size(); i++)
                if (dx[i] == kSentinel) FAIL("dx " << i << " was not written");
            for (int subset = 0; subset < 7; subset++) {
                INFO("subset " << subset);
                c.clear();
                REQUIRE(run(function, c, subset & 1 ? &c.dx : nullptr, subset & 2 ? c.dgamma.data() : nullptr,
                            subset & 4 ? c.dbeta.data() : nullptr) == HNORM_OK);
                REQUIRE((subset & 1 ? same_bits(c.dx_values(), dx) : all_are(c.dx_values(), kSentinel)));
                REQUIRE((subset & 2 ? same_bits(c.dgamma, dgamma) : all_are(c.dgamma, kSentinel)));
                REQUIRE((subset & 4 ? same_bits(c.dbeta, dbeta) : all_are(c.dbeta, kSentinel)));
            }
        }
    });
}

TEST_CASE("dx in place of dy or of x has the same bits") {
    for_each_call([](Call &c) {
        INFO(c.describe());
        for (const BackwardFunction &function : kBackwardFunctions) {
            const bool apply = function.call == &Call::apply;
            if (!function.writes_dx || (apply && c.group == HNORM_BATCH && c.affine.stride_n != 0)) continue;
            INFO(function.name);
            c.clear();
            const hnorm_tensor apart = c.dx;
            REQUIRE((c.*function.call)() == HNORM_OK);
            const Elements dx = c.dx_values(), x = c.in.x, dy = c.out.x;
            const std::vector<float> dgamma = c.dgamma, dbeta = c.dbeta;
            c.dx = c.dy;
            REQUIRE((c.*function.call)() == HNORM_OK);
            REQUIRE((same_bits(c.out.x, dx) && same_bits(c.dgamma, dgamma) && same_bits(c.dbeta, dbeta)));
            c.out.x = dy;
            c.dx = c.x;
            REQUIRE((c.*function.call)() == HNORM_OK);
            REQUIRE((same_bits(c.in.x, dx) && same_bits(c.dgamma, dgamma) && same_bits(c.dbeta, dbeta)));
            c.in.x = x;
            c.dx = apart;
        }
    });
}

TEST_CASE("backward_reduce and backward_apply make backward") {
    for_each_call([](Call &c) {
        INFO(c.describe());
        if (c.affine.stride_n != 0 && c.group == HNORM_BATCH) return;
        REQUIRE(c.backward() == HNORM_OK);
        const Elements dx = c.dx_values();
        REQUIRE(c.reduce() == HNORM_OK);
        c.sum_dy_given = c.sum_dy, c.sum_dy_xmu_given = c.sum_dy_xmu;
        REQUIRE(c.apply() == HNORM_OK);
        REQUIRE(same_bits(c.dx_values(), dx));
    });
}

TEST_CASE("backward_apply takes each group's own count") {
    for_each_call([](Call &c) {
        if (c.affine.stride_n != 0) return;
        INFO(c.describe());
        const double own = c.count[0];
        std::vector<std::vector<float>> with_times(3);
        for (size_t times = 1; times <= 3; times++) {
            std::fill(c.count.begin(), c.count.end(), own * static_cast<double>(times));
            REQUIRE(c.apply() == HNORM_OK);
            with_times[times - 1] = c.dx_values().values();
        }
        const size_t channels = static_cast<size_t>(c.x.shape[1]),
                     planes = channels * static_cast<size_t>(c.x.shape[0]);
        const size_t positions = c.dx_values().size() / planes;
        const auto times_of = [](size_t g) { return (g + g / 7) % 3; };
        for (size_t g = 0; g < c.groups; g++) c.count[g] = own * static_cast<double>(1 + times_of(g));
        REQUIRE(c.apply() == HNORM_OK);
        std::vector<float> expected;
        for (size_t plane = 0; plane < planes; plane++) {
            const size_t times = times_of(c.group == HNORM_BATCH ? plane % channels : plane);
            const float *const first = with_times[times].data() + plane * positions;
            expected.insert(expected.end(), first, first + positions);
        }
        REQUIRE(same_bits(c.dx_values().values(), expected));
    });
}

TEST_CASE("x may be dy, and with constant statistics be absent where dgamma is") {
    for_each_call([](Call &c) {
        INFO(c.describe());
        for (const Backward function : kBackwards) {
            Call other(std::vector<int64_t>(c.x.shape, c.x.shape + c.x.rank), c.group);
            other.out.x = other.in.x, other.affine = c.affine;
            REQUIRE(run(function, other, &other.dx, other.dgamma.data(), other.dbeta.data()) == HNORM_OK);
            c.dy = c.x;
            c.clear();
            REQUIRE(run(function, c, &c.dx, c.dgamma.data(), c.dbeta.data()) == HNORM_OK);
            REQUIRE((same_bits(c.dx_values(), other.dx_values()) && same_bits(c.dgamma, other.dgamma)));
        }
        const Elements dx = c.dx_values();
        const std::vector<float> dbeta = c.dbeta;
        c.clear();
        REQUIRE(hnorm_normalize_backward(nullptr, &c.dy, c.group, c.mean.data(), c.variance.data(), &c.affine, c.eps,
                                         nullptr, &c.dx, nullptr, c.dbeta.data()) == HNORM_OK);
        REQUIRE((same_bits(c.dx_values(), dx) && same_bits(c.dbeta, dbeta)));  // dy is x here
    });
}

TEST_CASE("the gradients of an empty tensor's parameters are 0, and so are its sums") {
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{0, 3, 4, 5}, {2, 3, 0, 5}}) {
        for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
            for (const int64_t stride_n : {0, 3}) {
                INFO("N " << shape[0] << ", group " << group << ", stride_n " << stride_n);
                Call c({2, 3, 4, 5}, group);
                c.affine.stride_n = stride_n;
                c.x = c.dy = c.dx = Elements(shape).view();
                c.x.data = c.dy.data = c.dx.data = nullptr;
                const size_t groups = group == HNORM_BATCH ? 3 : static_cast<size_t>(3 * shape[0]);
                const size_t gradients = stride_n == 0 ? 3 : static_cast<size_t>(3 * shape[0]);
                const auto zeros = [](const auto &values, size_t count) {
                    return std::count(values.begin(), values.end(), 0) == static_cast<std::ptrdiff_t>(count) &&
                           std::count(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count), 0) ==
                               static_cast<std::ptrdiff_t>(count);
                };
                REQUIRE(c.reduce() == HNORM_OK);
                REQUIRE((zeros(c.sum_dy, groups) && zeros(c.sum_dy_xmu, groups)));
                for (const Backward function : kBackwards) {
                    c.clear();
                    REQUIRE(run(function, c, &c.dx, c.dgamma.data(), c.dbeta.data()) == HNORM_OK);
                    REQUIRE((zeros(c.dgamma, gradients) && zeros(c.dbeta, gradients)));
                    REQUIRE(all_are(c.dx_values(), kSentinel));
                    REQUIRE(run(function, c, nullptr, nullptr, nullptr) == HNORM_OK);
                }
                c.affine.stride_n = 0;
                std::fill(c.count.begin(), c.count.end(), 0.0);
                REQUIRE(c.apply() == HNORM_OK);
            }
        }
    }
}

TEST_CASE("backward has the serial bits with any number of threads, from many at once, and on the caller's pool",
          "[cpu]") {
    const Settings restore;
    REQUIRE(hnorm_set_num_threads(1) == HNORM_OK);
    const std::vector<char> serial = compute_all();
    REQUIRE(!serial.empty());
    for (const int threads : {2, 7, 3}) {
        INFO(threads << " threads");
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        REQUIRE(same_bits(compute_all(), serial));
    }
    std::atomic<int> wrong{0};
    const auto on_threads = [](int count, const std::function<void(int)> &body) {
        std::vector<std::thread> threads;
        for (int i = 0; i < count; i++) threads.emplace_back(body, i);
        for (std::thread &thread : threads) thread.join();
    };
    on_threads(4, [&](int) { wrong += !same_bits(compute_all(), serial); });
    REQUIRE(wrong == 0);
    static std::atomic<int> tasks;
    tasks = 0;
    const hnorm_parallel_for pool = [](void *, int count, hnorm_task task, void *argument) {
        for (int i = count; i-- > 0;) task(argument, i), tasks++;
    };
    REQUIRE(hnorm_set_parallel_for(pool, nullptr) == HNORM_OK);
    REQUIRE(same_bits(compute_all(), serial));
    REQUIRE(tasks > 0);
}
