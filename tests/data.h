// Test data, by kind. The same seed gives the same data everywhere: no std:: distributions, whose
// output is implementation-defined, and no libm.
#pragma once

#include "tensor.h"
#include "transcription.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace test {

class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    // [0, 1)
    double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
    // Mean 0, variance 1, within -6..6: the sum of twelve uniform numbers, less 6.
    double normal() {
        double sum = 0;
        for (int i = 0; i < 12; i++) sum += uniform();
        return sum - 6;
    }
    // 0 <= result < count
    int64_t index(int64_t count) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(count)); }

private:
    std::mt19937_64 engine_;
};

enum class Kind {
    kNormal,
    kUniform,
    kRamp,           // rises through the channel's samples and positions
    kTwoValued,      // -1 and 1
    kQuantised,      // multiples of 1/8
    kConstant,       // one value a channel
    kPivotOutlier,   // normal, but each chunk starts with a value 1000 sigma off
    kHiddenOutlier,  // normal, but each chunk holds a value 1000 sigma off somewhere (a partial one may not)
    kFarProbe,       // near 1 where a group is probed, and near -1 elsewhere
};

constexpr Kind kAllKinds[] = {Kind::kNormal,       Kind::kUniform,       Kind::kRamp,
                              Kind::kTwoValued,    Kind::kQuantised,     Kind::kConstant,
                              Kind::kPivotOutlier, Kind::kHiddenOutlier, Kind::kFarProbe};
constexpr uint64_t kKinds = std::size(kAllKinds);

inline const char *name(Kind kind) {
    switch (kind) {
    case Kind::kNormal: return "normal";
    case Kind::kUniform: return "uniform";
    case Kind::kRamp: return "ramp";
    case Kind::kTwoValued: return "two-valued";
    case Kind::kQuantised: return "quantised";
    case Kind::kConstant: return "constant";
    case Kind::kPivotOutlier: return "outlier first in every chunk";
    case Kind::kHiddenOutlier: return "outlier somewhere in every chunk";
    case Kind::kFarProbe: return "probe far from the mean";
    }
    return "?";
}

// Which (sample, position) of a channel the centers of its groups are taken from (docs/order.md):
// of batch norm's group, or of instance norm's.
inline std::vector<bool> probed(const Tensor &x, hnorm_group group) {
    const bool across = group == HNORM_BATCH, one = across && x.positions() == 1;
    const int64_t S = one ? x.samples() : x.positions(), N = across && !one ? x.samples() : 1;
    const bool last = one || x.format().channels_last;
    const std::vector<bool> of_group = transcription::positions_probed(S, N, last);
    std::vector<bool> result;
    for (int64_t first = 0; first < x.samples() * x.positions(); first += N * S)
        result.insert(result.end(), of_group.begin(), of_group.end());
    return result;
}

// Values scale * (mean_over_sigma * (+1 or -1, alternating by channel) + unit), unit of mean about
// 0 and sigma about 1.
struct Recipe {
    Kind kind = Kind::kNormal;
    double mean_over_sigma = 0;
    double scale = 1;
    uint64_t seed = 1;

    std::string describe() const {
        std::ostringstream out;
        out << name(kind) << " data, |mean|/sigma " << mean_over_sigma << ", scale " << scale << ", seed " << seed;
        return out.str();
    }
};

inline float clamp_to_float(double value) {
    const double kMax = tensor_format().greatest();
    return static_cast<float>(value > kMax ? kMax : value < -kMax ? -kMax : value);
}

// Elements of a channel between outliers: those of a chunk of docs/order.md.
inline int64_t chunk_elements(const Tensor &x) {
    if (x.positions() == 1) return 32;
    const transcription::Cut cut(x.positions(), x.samples(), x.format().channels_last);
    return cut.K > 1 ? cut.R * cut.L : cut.P * x.positions();
}

inline void fill(Tensor &x, const Recipe &recipe) {
    Random random(recipe.seed);
    // f16 ends at 65504: the same data, nearer to 0.
    const double reach = (recipe.mean_over_sigma + 1010) * recipe.scale;
    const double scale = x.format().type == HNORM_F16 && reach > 60000 ? recipe.scale * 60000 / reach : recipe.scale;
    const int64_t positions = x.positions();
    const double total = static_cast<double>(x.samples() * positions);
    const double root3 = 1.7320508075688772;
    const int64_t chunk = chunk_elements(x);
    const std::vector<bool> in_probe = recipe.kind == Kind::kFarProbe
                                           ? probed(x, recipe.seed % 2 ? HNORM_BATCH : HNORM_INSTANCE)
                                           : std::vector<bool>();
    for (int64_t c = 0; c < x.channels(); c++) {
        const double mean = c % 2 ? -recipe.mean_over_sigma : recipe.mean_over_sigma;
        int64_t outlier = 0;
        for (int64_t n = 0; n < x.samples(); n++) {
            for (int64_t s = 0; s < positions; s++) {
                const int64_t i = chunk < positions ? s : n * positions + s;  // such planes share no chunks
                if (i % chunk == 0) outlier = recipe.kind == Kind::kHiddenOutlier ? i + random.index(chunk) : i;
                double unit = 0;
                switch (recipe.kind) {
                case Kind::kNormal: unit = random.normal(); break;
                case Kind::kUniform: unit = (2 * random.uniform() - 1) * root3; break;
                case Kind::kRamp: unit = (2 * static_cast<double>(n * positions + s) / total - 1) * root3; break;
                case Kind::kTwoValued: unit = random.index(2) ? 1 : -1; break;
                case Kind::kQuantised: unit = std::floor(random.normal() * 8 + 0.5) / 8; break;
                case Kind::kConstant: unit = 0.1 * static_cast<double>(c + 1); break;
                case Kind::kPivotOutlier:
                case Kind::kHiddenOutlier: unit = i == outlier ? 1000 : random.normal(); break;
                case Kind::kFarProbe:
                    unit = (in_probe[static_cast<size_t>(n * positions + s)] ? 1 : -1) + 0.1 * random.normal();
                    break;
                }
                x.at(n, c, s) = rounded(clamp_to_float(scale * (mean + unit)));
            }
        }
    }
}

// Normal data whose channels take different ways through the algorithm: some are taken again (1e30,
// 1e-22, denormal), some in part, some are constant or minus zero there, some come near the limits
// for that; some hold one element that is far greater than the others, a NaN or an infinity.
// sparse: some are 0 nearly everywhere, too.
inline void fill_mixed(Tensor &x, uint64_t seed, bool sparse = false) {
    const int64_t stretch = 2048;
    Random random(seed);
    enum {
        kPlain,
        kConstantBlock,
        kHuge,
        kSmall,
        kDenormal,
        kMinusZero,
        kLowerLimit,
        kUpperLimit,
        kSparse,
        kSparseSmall
    };
    const int64_t ways = sparse ? kSparseSmall + 1 : kSparse;
    // From the limits on, each channel has a decade of its own. Limits are 2^-40, 2^40 and 2^50.
    // Squares of kSparseSmall vanish, or just do not.
    constexpr double kScale[] = {1, 0, 1e30, 1e-22, 1e-42, -0.0, 1e-14, 1e11, 1, 1e-23};
    constexpr double kDecades[] = {1, 3, 10, 30, 100, 1000, 10000};
    for (int64_t c = 0; c < x.channels(); c++) {
        const bool whole = random.index(2) != 0;  // the channel takes one way, else each stretch its own
        int64_t way = random.index(ways);
        const double decade = kDecades[random.index(7)];
        const double offset = way == kPlain ? 100 * random.normal() : 0;
        for (int64_t n = 0; n < x.samples(); n++) {
            for (int64_t s = 0; s < x.positions(); s++) {
                if (!whole && s % stretch == 0) way = random.index(ways);
                const bool zero = way >= kSparse && random.index(c % 2 ? 40 : 400) != 0;
                const double plain = zero ? 0 : offset + random.normal();
                x.at(n, c, s) = way == kConstantBlock ? 7.3f
                                : way == kMinusZero
                                    ? -0.0f
                                    : static_cast<float>(plain * kScale[way] * (way >= kLowerLimit ? decade : 1));
            }
        }
        const int64_t special = random.index(10);
        if (special < 5 && x.channels() > 2 && x.size() > 0) {
            constexpr float kInfinity = std::numeric_limits<float>::infinity();
            const float values[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity, 1e30f, -1e20f};
            const int64_t s =
                random.index(x.positions());  // apart: the order of arguments' evaluation is the compiler's
            const int64_t n = random.index(x.samples());
            x.at(n, c, s) = special < 3 ? values[special] : clamp_to_float(values[special]);
        }
    }
    x.settle();
}

}  // namespace test
