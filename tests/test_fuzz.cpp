// Random calls: right ones give the transcription's bits on every target, in place and not, between guard pages; wrong ones are refused
// and write nothing. HNORM_FUZZ_SECONDS makes it go on for so long, from HNORM_FUZZ_SEED (./dev fuzz); a failure names the seed that
// repeats it.
#include "check_bits.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>

using namespace test;

namespace {

constexpr hnorm_type kTypes[] = {HNORM_F32, HNORM_F16, HNORM_BF16};

// 1 to `most`, small numbers as often as large ones.
int64_t log_uniform(Random &random, int64_t most) {
    return static_cast<int64_t>(std::exp(random.uniform() * std::log(static_cast<double>(most) + 0.999)));
}

Shape random_shape(Random &random) {
    const int64_t most = random.index(20) == 0 ? 400'000 : 20'000;
    Shape shape(static_cast<size_t>(2 + random.index(4)));
    int64_t left = most;
    // Any axis may be the largest.
    const int64_t first = random.index(static_cast<int64_t>(shape.size()));
    for (size_t i = 0; i < shape.size(); i++) {
        int64_t &extent = shape[(i + static_cast<size_t>(first)) % shape.size()];
        extent = random.index(4) == 0 ? 1 + random.index(std::min<int64_t>(left, 17)) : log_uniform(random, left);
        left = std::max<int64_t>(left / extent, 1);
    }
    return shape;
}

Padding random_padding(Random &random) {
    return {random.index(3) ? 0 : log_uniform(random, 70), random.index(3) ? 0 : log_uniform(random, 200),
            random.index(2) == 0};
}

Case random_case(Random &random) {
    constexpr double kScales[] = {1, 1, 1, 1e-3, 1e4, 1e-20, 1e20, 1e-38, 1e-42, 1e30, 3e38};
    constexpr double kRatios[] = {0, 0, 1, 30, 1e3, 1e5};
    constexpr double kEps[] = {1e-5, 1e-5, 1e-3, 0, 1e-80, 1};
    Case result;
    result.shape = random_shape(random);
    result.padding = random_padding(random);
    const double scale = kScales[random.index(11)], ratio = scale > 1e25 ? 0 : kRatios[random.index(6)];
    result.recipe = {kAllKinds[random.index(kKinds)], ratio, scale, static_cast<uint64_t>(random.index(1 << 30))};
    result.mixed = random.index(3) == 0;
    result.affine = kAffineKinds[random.index(5)];
    result.activation = kActivations[random.index(5)];
    result.residual = random.index(3) == 0;
    result.eps = kEps[random.index(6)];
    return result;
}

// A right call of every function that takes tensors, and what it may write.
class Calls {
public:
    explicit Calls(Random &random)
        : shape_(random_shape(random)),
          x_(shape_, random_padding(random)),
          y_(shape_, random_padding(random)),
          dy_(shape_, random_padding(random)),
          group(random.index(2) ? HNORM_BATCH : HNORM_INSTANCE) {
        for (Tensor *tensor : {&x_, &y_, &dy_}) fill(*tensor, {Kind::kNormal, 0, 1, 7});
        x = x_.view(), y = y_.view(), dy = dy_.view();
        const size_t groups = static_cast<size_t>(group_count(x_, group)),
                     channels = static_cast<size_t>(x_.channels());
        for (std::vector<double> *list : {&mean, &variance, &count, &sums, &more_sums}) list->assign(groups, 1.5);
        for (std::vector<float> *list : {&gamma, &beta, &dgamma, &dbeta}) list->assign(channels, 0.5f);
        affine = {gamma.data(), beta.data(), 0, 1};
    }

    static constexpr int kFunctions = 7;
    hnorm_status call(int function) {
        switch (function) {
        case 0: return hnorm_moments(&x, group, count.data(), mean.data(), variance.data());
        case 1: return hnorm_normalize(&x, group, mean.data(), variance.data(), &affine, eps, &post, &y);
        case 2: return hnorm_forward(&x, group, &affine, eps, &post, &y, mean.data(), variance.data());
        case 3: return hnorm_backward_reduce(&x, &dy, group, mean.data(), sums.data(), more_sums.data());
        case 4:
            return hnorm_backward_apply(&x, &dy, group, count.data(), mean.data(), variance.data(), sums.data(),
                                        more_sums.data(), &affine, eps, &y);
        case 5:
            return hnorm_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, &post_gradient, &y,
                                  dgamma.data(), dbeta.data());
        default:
            return hnorm_normalize_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, &post_gradient,
                                            &y, dgamma.data(), dbeta.data());
        }
    }
    bool takes_y(int function) const { return function != 0 && function != 3; }
    bool takes_dy(int function) const { return function >= 3; }
    bool takes_affine(int function) const { return takes_y(function); }
    bool takes_post(int function) const { return function == 1 || function == 2 || function >= 5; }

    // All that a call could write.
    std::vector<char> written() const {
        std::vector<char> bytes;
        const auto add = [&](const void *data, size_t size) {
            const char *const begin = static_cast<const char *>(data);
            bytes.insert(bytes.end(), begin, begin + size);
        };
        for (const Tensor *tensor : {&x_, &y_, &dy_}) {
            tensor->load();
            add(tensor->values().data(), tensor->values().size() * sizeof(float));
        }
        for (const std::vector<double> *list : {&mean, &variance, &count, &sums, &more_sums})
            add(list->data(), list->size() * sizeof(double));
        for (const std::vector<float> *list : {&gamma, &beta, &dgamma, &dbeta})
            add(list->data(), list->size() * sizeof(float));
        return bytes;
    }
    std::string damage() const { return x_.damage() + y_.damage() + dy_.damage(); }

private:
    const Shape shape_;
    Tensor x_, y_, dy_;

public:
    hnorm_group group;
    hnorm_tensor x, y, dy;
    std::vector<double> mean, variance, count, sums, more_sums;
    std::vector<float> gamma, beta, dgamma, dbeta;
    hnorm_affine affine;
    double eps = 1e-5;
    hnorm_post_ops post = {HNORM_RELU, 0, nullptr};
    hnorm_post_ops_gradient post_gradient = {HNORM_RELU, 0, nullptr, nullptr};
};

// Makes one argument wrong; returns what was done, or "" where the function does not take it.
std::string spoil(Calls &calls, int function, Random &random) {
    constexpr int64_t kHuge[] = {2'000'000'001,    int64_t(1) << 31, int64_t(1) << 32,
                                 int64_t(1) << 40, int64_t(1) << 62, std::numeric_limits<int64_t>::max()};
    const int which = static_cast<int>(random.index(3));
    hnorm_tensor &tensor = which == 0 ? calls.x : which == 1 ? calls.y : calls.dy;
    const std::string name = which == 0 ? "x" : which == 1 ? "y" : "dy";
    const bool taken = which == 0 || (which == 1 ? calls.takes_y(function) : calls.takes_dy(function));
    const auto axis = static_cast<size_t>(random.index(tensor.rank));
    const auto at = [&](const char *what) { return name + "." + what + "[" + std::to_string(axis) + "]"; };
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
    switch (random.index(15)) {
    case 0: {
        constexpr int kRanks[] = {0, 1, 6, -1, 1 << 30, -(1 << 30)};
        tensor.rank = kRanks[random.index(6)];
        return taken ? name + ".rank" : "";
    }
    case 1: tensor.shape[axis] = -1 - random.index(1000); return taken ? at("shape") : "";
    case 2: tensor.shape[axis] = kHuge[random.index(6)]; return taken ? at("shape") : "";
    case 3:
        if (tensor.shape[axis] < 2) return "";
        tensor.strides[axis] = -kHuge[random.index(6)];
        return taken ? at("strides") : "";
    case 4:
        if (tensor.shape[axis] < 2) return "";
        tensor.strides[axis] = kHuge[random.index(6)];
        return taken ? at("strides") : "";
    case 5:
        // Elements that lie on each other.
        if (tensor.shape[axis] < 2) return "";
        tensor.strides[axis] = 0;
        return taken ? at("strides") : "";
    case 6: tensor.data = nullptr; return taken ? name + ".data" : "";
    case 7: tensor.data = static_cast<char *>(tensor.data) + 1; return taken ? name + ".data off by a byte" : "";
    case 8: tensor.type = static_cast<hnorm_type>(3 + random.index(100)); return taken ? name + ".type" : "";
    case 9: tensor.device = static_cast<hnorm_device>(3 + random.index(100)); return taken ? name + ".device" : "";
    case 10: calls.group = static_cast<hnorm_group>(2 + random.index(100)); return "group";
    case 11: {
        const double values[] = {-1e-300, -1, nan, infinity, -infinity};
        calls.eps = values[random.index(5)];
        return calls.takes_affine(function) ? "eps" : "";
    }
    case 12: {
        const float values[] = {-0.5f, static_cast<float>(nan), static_cast<float>(infinity)};
        const float slope = values[random.index(3)];
        calls.post = {HNORM_LEAKY_RELU, slope, nullptr};
        calls.post_gradient = {HNORM_LEAKY_RELU, slope, nullptr, nullptr};
        return calls.takes_post(function) ? "negative_slope" : "";
    }
    case 13:
        calls.post.activation = calls.post_gradient.activation = static_cast<hnorm_activation>(3 + random.index(100));
        return calls.takes_post(function) ? "activation" : "";
    default:
        // Other shapes than x's.
        if (which == 0 || tensor.shape[axis] < 2) return "";
        tensor.shape[axis]--;
        return taken ? at("shape") + " one less" : "";
    }
}

void check_refusal(Random &random, const std::string &seed) {
    Calls calls(random);
    const int function = static_cast<int>(random.index(Calls::kFunctions));
    const std::string spoilt = spoil(calls, function, random);
    if (spoilt.empty()) return;
    const std::vector<char> before = calls.written();
    const hnorm_status status = calls.call(function);
    INFO(seed << ": function " << function << ", wrong " << spoilt << ": " << hnorm_status_name(status) << ": "
              << hnorm_last_error());
    REQUIRE((status == HNORM_INVALID_ARGUMENT || status == HNORM_UNSUPPORTED));
    REQUIRE(std::string(hnorm_last_error()).size() > 20);
    REQUIRE(calls.written() == before);
    REQUIRE(calls.damage().empty());
}

int64_t from_environment(const char *name, int64_t otherwise) {
    const char *const text = std::getenv(name);
    return text && *text ? std::strtoll(text, nullptr, 10) : otherwise;
}

// Calls round(random, seed) with one seed after the other, so many times, or for the time that is asked for.
template <typename Round>
void for_seeds(int64_t default_rounds, const std::string &what, const Round &round) {
    const int64_t seconds = from_environment("HNORM_FUZZ_SECONDS", 0), first = from_environment("HNORM_FUZZ_SEED", 1);
    const int64_t rounds =
        from_environment("HNORM_FUZZ_ROUNDS", seconds ? std::numeric_limits<int64_t>::max() : default_rounds);
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    const auto passed = [&] { return std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count(); };
    const TensorFormat restore = current_format();
    int64_t done = 0, said = 0;
    for (; done < rounds && (seconds == 0 || passed() < seconds); done++) {
        const std::string seed = "HNORM_FUZZ_SEED=" + std::to_string(first + done) + " HNORM_FUZZ_ROUNDS=1";
        Random random(static_cast<uint64_t>(first + done));
        current_format() = {random.index(2) == 0, kTypes[random.index(3)]};
        INFO(seed);
        round(random, seed);
        if (seconds && passed() / 10 != said) {
            said = passed() / 10;
            std::cout << passed() << " s: " << done + 1 << " " << what << " from seed " << first << "\n" << std::flush;
        }
    }
    current_format() = restore;
    std::cout << done << " " << what << " from seed " << first << ": nothing found\n";
}

}  // namespace

TEST_CASE("wrong calls are refused and write nothing", "[cpu]") {
    for_seeds(50, "rounds of 40 wrong calls", [](Random &random, const std::string &seed) {
        for (int i = 0; i < 40; i++) check_refusal(random, seed);
    });
}

TEST_CASE("random calls give the transcription's bits") {
    for_seeds(on_device() ? 10 : 40, "random cases of every function", [](Random &random, const std::string &) {
        const Case test_case = random_case(random);
        check_forward_bits(test_case);
        check_backward_bits(test_case, random.index(2) ? varied_dy(test_case.recipe.seed) : random_case(random));
    });
}
