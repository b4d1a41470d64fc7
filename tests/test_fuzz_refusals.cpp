// Random calls with one argument spoilt, in odd floating-point environments: they are refused and
// write nothing.
#include "environments.h"
#include "fuzz_calls.h"

#include <climits>
#include <limits>
#include <string>
#include <vector>

using namespace test;

namespace {

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
    switch (random.index(19)) {
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
    case 10: {
        const int64_t kGroups[] = {HNORM_GROUPS, -1, -(1 << 30), HNORM_GROUPS + calls.x.shape[1] + 1, INT_MAX};
        calls.group = static_cast<hnorm_group>(any_of(kGroups, random));
        return "group";
    }
    case 11: {
        const double values[] = {-1e-300, -1, nan, infinity, -infinity};
        calls.eps = values[random.index(5)];
        return calls.takes_affine(function) ? "eps" : "";
    }
    case 12: {
        const float values[] = {-0.5f, static_cast<float>(nan), static_cast<float>(infinity)};
        const float slope = values[random.index(3)];
        calls.post = {sizeof(hnorm_post_ops), HNORM_LEAKY_RELU, slope, nullptr};
        calls.post_gradient = {sizeof(hnorm_post_ops_gradient), HNORM_LEAKY_RELU, slope, nullptr, nullptr};
        return calls.takes_post(function) ? "negative_slope" : "";
    }
    case 13:
        calls.post.activation = calls.post_gradient.activation = static_cast<hnorm_activation>(3 + random.index(100));
        return calls.takes_post(function) ? "activation" : "";
    // Memory of two arguments that is partly the same.
    case 14:
        if (calls.x.shape[axis] < 2 || !calls.takes_y(function)) return "";
        calls.y = calls.x;
        calls.y.data = static_cast<char *>(calls.x.data) +
                       calls.x.strides[axis] * static_cast<int64_t>(tensor_format().element_size());
        return "y.data, an element of x";
    case 15:
        if (calls.y.shape[axis] < 2 || !calls.takes_y(function) || !calls.takes_dy(function)) return "";
        calls.dy = calls.y;
        calls.dy.data = static_cast<char *>(calls.y.data) +
                        calls.y.strides[axis] * static_cast<int64_t>(tensor_format().element_size());
        return "dy.data, an element of what is written";
    case 16:
        (which == 0 ? calls.to_mean : calls.to_variance) =
            which == 1 ? calls.to_mean : static_cast<double *>(tensor.data);
        return calls.writes_mean(function) && (taken || which == 1) ? "mean or variance, with memory of another" : "";
    case 17:
        (which == 0 ? calls.to_dgamma : calls.to_dbeta) =
            which == 1 ? calls.to_dgamma : static_cast<float *>(tensor.data);
        return calls.writes_dgamma(function) ? "dgamma or dbeta, with memory of another" : "";
    default:
        // Other shapes than x's.
        if (which == 0 || tensor.shape[axis] < 2) return "";
        tensor.shape[axis]--;
        return taken ? at("shape") + " one less" : "";
    }
}

void check_refusal(Random &random, const std::string &seed) {
    Calls calls = random_calls(random);
    const int function = static_cast<int>(random.index(Calls::kFunctions));
    const std::string spoilt = spoil(calls, function, random);
    if (spoilt.empty()) return;
    const Environment &environment = any_of(kEnvironments, random);
    const std::vector<char> before = calls.written();
    bool kept = false;
    const hnorm_status status = in_environment(environment, &kept, [&] { return calls.call(function); });
    INFO(seed << ": " << Calls::name(function) << ", wrong " << spoilt << ", " << environment.name << ": "
              << hnorm_status_name(status) << ": " << hnorm_last_error());
    REQUIRE((status == HNORM_INVALID_ARGUMENT || status == HNORM_UNSUPPORTED));
    REQUIRE(std::string(hnorm_last_error()).size() > 20);
    REQUIRE(kept);
    REQUIRE(calls.written() == before);
    REQUIRE(calls.damage().empty());
}

}  // namespace

TEST_CASE("wrong calls are refused and write nothing", "[cpu]") {
    for_seeds(40, 10, "rounds of 40 wrong calls", [](Random &random, const std::string &seed) {
        for (int i = 0; i < 40; i++) check_refusal(random, seed);
    });
}
