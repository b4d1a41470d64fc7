// docs/order.md, word for word, as plain serial loops: what every kernel must give, bit for bit. It shares no code with
// the kernels. Compile with -ffp-contract=off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace transcription {

// One group of the view: x(s, r) = data[s*stride_s + r*stride_r], S positions, N planes, of a tensor that is channels-last
// or not, and then of few channels or not.
struct Group {
    const float *data;
    int64_t S, N, stride_r;
    bool last = false, narrow = false;
    int64_t stride_s = 1;
    float operator()(int64_t s, int64_t r) const { return data[s * stride_s + r * stride_r]; }
};

// "Few channels": whether they are, and the groups that such a one is taken apart into.
inline bool narrow(int64_t S, int64_t C) { return 2 <= C && C < 16 && S >= 512; }

inline std::vector<Group> parts(const Group &x) {
    std::vector<Group> result;
    for (int64_t i = 0; i < 32; i++) {
        result.push_back(x);
        result.back().narrow = false;
        result.back().data += i * x.stride_s;
        result.back().S = x.S / 32;
        result.back().stride_s = x.stride_s * 32;
    }
    if (x.S % 32 != 0) {
        result.push_back(x);
        result.back().narrow = false;
        result.back().data += (x.S - x.S % 32) * x.stride_s;
        result.back().S = x.S % 32;
    }
    return result;
}

struct Moments {
    double mean, M2;
};

constexpr int64_t kMaxLanes = 64;

inline int64_t lanes(int64_t S, bool last = false) { return last || S < 16 ? 1 : S <= 1024 ? 16 : 64; }

// The greatest power of two that is at most `value`, which is 1 or more.
inline int64_t power_below(int64_t value) {
    int64_t power = 1;
    while (power <= value / 2) power *= 2;
    return power;
}

// "Chunks and runs".
struct Cut {
    int64_t L, R, full_rows, rows, P, K, M, Q, A, B;
    Cut(int64_t S, int64_t N, bool last) {
        L = lanes(S, last);
        R = L == 64 ? 16 : 32;
        full_rows = S / L;
        rows = (S + L - 1) / L;
        P = std::min<int64_t>(power_below(std::max<int64_t>(R / rows, 1)), 8);
        K = (rows + R - 1) / R;
        M = (N + P - 1) / P;
        Q = std::min(power_below(std::max<int64_t>(8 / K, 1)), 32 / P);
        A = (K + 7) / 8;
        B = (M + Q - 1) / Q;
    }
};

// Rows [row, row_end) of the planes [plane, plane_end).
struct Chunk {
    int64_t plane, plane_end, row, row_end;
};

// "Sum over the chunk" of term(s, r).
template <typename Term>
double sum_over_chunk(const Group &x, const Chunk &chunk, Term term) {
    const Cut cut(x.S, x.N, x.last);
    const int64_t L = cut.L;
    float v[kMaxLanes] = {};
    // Row i of plane r, of which rows beyond the last are +0, and the partial one is moved back.
    const auto of_row = [&](int64_t i, int64_t l, int64_t r) {
        if (i >= chunk.row_end) return 0.0f;
        const int64_t s = std::min(i * L, x.S - L) + l;
        return s < i * L ? 0.0f : term(s, r);
    };
    const auto add_four = [&](int64_t i, int64_t r) {
        for (int64_t l = 0; l < L; l++)
            v[l] = v[l] + ((of_row(i, l, r) + of_row(i + 1, l, r)) + (of_row(i + 2, l, r) + of_row(i + 3, l, r)));
    };
    const int64_t fours_end =
        chunk.row + (std::max(std::min(chunk.row_end, cut.full_rows), chunk.row) - chunk.row) / 4 * 4;
    for (int64_t r = chunk.plane; r < chunk.plane_end; r++)
        for (int64_t i = chunk.row; i < fours_end; i += 4) add_four(i, r);
    if (fours_end < chunk.row_end)
        for (int64_t r = chunk.plane; r < chunk.plane_end; r++) add_four(fours_end, r);
    for (int64_t w = L / 2; w >= 4; w /= 2)
        for (int64_t l = 0; l < w; l++) v[l] = v[l] + v[l + w];
    const auto lane = [&](int l) { return static_cast<double>(v[l]); };
    return L == 1 ? lane(0) : (lane(0) + lane(2)) + (lane(1) + lane(3));
}

inline Chunk chunk_at(const Group &x, const Cut &cut, int64_t k, int64_t m) {
    return {m * cut.P, std::min((m + 1) * cut.P, x.N), k * cut.R, std::min((k + 1) * cut.R, cut.rows)};
}

// Calls visit(chunk, whether it is the first of a run) in the order of summation.
template <typename Visit>
void for_each_chunk(const Group &x, Visit visit) {
    const Cut cut(x.S, x.N, x.last);
    for (int64_t b = 0; b < cut.B; b++)
        for (int64_t a = 0; a < cut.A; a++)
            for (int64_t m = b * cut.Q; m < std::min((b + 1) * cut.Q, cut.M); m++)
                for (int64_t k = a * 8; k < std::min((a + 1) * 8, cut.K); k++)
                    visit(chunk_at(x, cut, k, m), m == b * cut.Q && k == a * 8);
}

// "Sum over the group": of term(s, r), by chunks in float, then in double.
template <typename Term>
double sum_over_group(const Group &x, Term term) {
    double total = 0, run = 0;
    bool started = false;
    for_each_chunk(x, [&](const Chunk &chunk, bool first) {
        if (first && started) total = total + run;
        if (first) run = 0;
        started = true;
        run = run + sum_over_chunk(x, chunk, term);
    });
    return total + run;
}

// "Few channels": the sums of the parts, one after the other. of_part(i) is the sum over part i.
template <typename OfPart>
double sum_over_parts(size_t parts, OfPart of_part) {
    double sum = 0;
    for (size_t i = 0; i < parts; i++) sum = sum + of_part(i);
    return sum;
}

// The bits of |value|: a NaN's are greater than those of infinity, and so on.
inline uint32_t magnitude(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffffu;
}
inline float as_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// The greatest of |term(s, r)| over the group, by its bits.
template <typename Term>
uint32_t greatest(const Group &x, Term term) {
    uint32_t result = 0;
    for (int64_t r = 0; r < x.N; r++)
        for (int64_t s = 0; s < x.S; s++) result = std::max(result, magnitude(term(s, r)));
    return result;
}

// "Scales".
inline int exponent(uint32_t magnitude) { return static_cast<int>(magnitude >> 23) - 127; }
inline float scale_of_exponent(int e) { return std::ldexp(1.0f, -std::min(std::max(e, -100), 74)); }
inline bool ordinary(uint32_t D) { return magnitude(0x1p-40f) <= D && D <= magnitude(0x1p40f); }
inline float scale_of(uint32_t D) { return D == 0 || ordinary(D) ? 1 : scale_of_exponent(exponent(D)); }

// "The sample".
struct Sample {
    float center;
    uint32_t spread;  // D
};

// Calls visit(s, r) for each position of the sample, row by row; there are so many rows of W neighbours.
struct SampleSize {
    int64_t rows, W;
};
template <typename Visit>
SampleSize for_sample(const Group &x, Visit visit) {
    const int64_t W = lanes(x.S, x.last) == 1 ? 1 : 4, of_plane = x.S / W, T = x.N * of_plane;
    const int64_t count = T <= 32 ? T : std::min<int64_t>(std::max<int64_t>(T / 4, 32), 64);
    for (int64_t i = 0; i < count; i++) {
        const uint32_t u = static_cast<uint32_t>(i) * 2654435769u, h = ((u ^ (u >> 15)) * 2246822519u) >> 16;
        const int64_t f = i * T / count + h * (T / count) / 65536;
        for (int64_t l = 0; l < W; l++) visit(f % of_plane * W + l, f / of_plane);
    }
    return {count, W};
}

inline Sample sample(const Group &x, float scale) {
    const float first = x(0, 0) * scale;
    float t[4] = {};
    uint32_t spread = 0;
    int64_t i = 0;
    const bool apart = lanes(x.S, x.last) > 1;
    const SampleSize size = for_sample(x, [&](int64_t s, int64_t r) {
        const float d = x(s, r) * scale - first;
        float &lane = t[apart ? i++ % 4 : 0];
        lane = lane + d;
        spread = std::max(spread, magnitude(d));
    });
    const float sum = apart ? (t[0] + t[2]) + (t[1] + t[3]) : t[0];
    const double count = static_cast<double>(size.rows * size.W);
    return {static_cast<float>(static_cast<double>(first) + static_cast<double>(sum) / count), spread};
}

// "Sums about a center": of d = x*scale - center.
struct Sums {
    double E, Q;
    uint32_t greatest;  // L
};

inline Sums sums_about(const Group &x, float center, float scale) {
    const std::vector<Group> groups = x.narrow ? parts(x) : std::vector<Group>{x};
    std::vector<double> es, qs;
    uint32_t L = 0;
    for (const Group &part : groups) {
        const auto d = [&](int64_t s, int64_t r) { return part(s, r) * scale - center; };
        es.push_back(sum_over_group(part, d));
        qs.push_back(sum_over_group(part, [&](int64_t s, int64_t r) { return d(s, r) * d(s, r); }));
        L = std::max(L, greatest(part, d));
    }
    if (!x.narrow) return {es[0], qs[0], L};
    return {sum_over_parts(es.size(), [&](size_t i) { return es[i]; }),
            sum_over_parts(qs.size(), [&](size_t i) { return qs[i]; }), L};
}

// "Moments". passes, if given, counts how often the group was summed.
inline Moments moments(const Group &x, int *passes = nullptr) {
    const double n = static_cast<double>(x.S * x.N);
    Sample about = sample(x, 1);
    const uint32_t D = about.spread;
    float s = scale_of(D);
    if (s != 1) about = sample(x, s);
    Sums sums = sums_about(x, about.center, s);
    int count = 1;

    const uint32_t L = sums.greatest;
    const bool in_range =
        ordinary(D) ? std::isfinite(sums.Q) : L == 0 || (magnitude(0x1p-40f) <= L && L <= magnitude(0x1p50f));
    if (!in_range) {
        s = ordinary(D) || L >= 0x7f800000u ? 0x1p-74f : scale_of_exponent(exponent(L) - std::ilogb(s));
        about = sample(x, s);
        sums = sums_about(x, about.center, s);
        count++;
    }

    double o = sums.E / n;
    double M2 = sums.Q - sums.E * o;
    const float mean = static_cast<float>(static_cast<double>(about.center) + o);
    if (sums.E * o > M2 * 0.5 && mean != about.center) {
        about.center = mean;
        sums = sums_about(x, mean, s);
        o = sums.E / n;
        M2 = sums.Q - sums.E * o;
        count++;
    }
    if (passes) *passes = count;
    if (M2 < 0) M2 = 0;
    const double inverse = 1 / static_cast<double>(s);
    return {(static_cast<double>(about.center) + o) * inverse, (M2 * inverse) * inverse};
}

// "The pointwise part", of one group.
class Pointwise {
public:
    Pointwise(double mean, double variance, float gamma, float beta, double eps) {
        m_ = static_cast<float>(mean);
        a_ = static_cast<float>(static_cast<double>(gamma) / std::sqrt(variance + eps));
        b_ = static_cast<float>(static_cast<double>(beta) - (mean - static_cast<double>(m_)) * static_cast<double>(a_));
    }
    // z; "Post-ops" follow it.
    float operator()(float x) const {
        const float d = x - m_;
        const float scaled = d * a_;
        return scaled + b_;
    }

private:
    float m_, a_, b_;
};

// "Post-ops".
inline float activated(float z, float slope) {
    if (!(z < 0)) return z;
    return slope == 0 ? 0 : z * slope;
}
inline float activated_gradient(float z, float dy, float slope) {
    if (0 < z) return dy;
    return slope == 0 ? 0 : dy * slope;
}

struct GradientSums {
    double dy, dy_xmu;  // of dy, and of dy * (x - mean)
};

// "The sums of backward".
inline GradientSums gradient_sums(const Group &x, const Group &dy, double mean) {
    const float m = static_cast<float>(mean);
    const std::vector<Group> x_parts = x.narrow ? parts(x) : std::vector<Group>{x};
    const std::vector<Group> dy_parts = x.narrow ? parts(dy) : std::vector<Group>{dy};
    struct Scaled {
        double E, Q;
        uint32_t Lx, Ly;
    };
    const auto sums_scaled = [&](float sx, float sy) {
        std::vector<double> es, qs;
        Scaled result = {0, 0, 0, 0};
        for (size_t i = 0; i < x_parts.size(); i++) {
            const auto of_x = [&](int64_t s, int64_t r) { return x_parts[i](s, r) * sx - m * sx; };
            const auto of_dy = [&](int64_t s, int64_t r) { return dy_parts[i](s, r) * sy; };
            es.push_back(sum_over_group(x_parts[i], of_dy));
            qs.push_back(sum_over_group(x_parts[i], [&](int64_t s, int64_t r) { return of_dy(s, r) * of_x(s, r); }));
            result.Lx = std::max(result.Lx, greatest(x_parts[i], of_x));
            result.Ly = std::max(result.Ly, greatest(dy_parts[i], of_dy));
        }
        result.E = x.narrow ? sum_over_parts(es.size(), [&](size_t i) { return es[i]; }) : es[0];
        result.Q = x.narrow ? sum_over_parts(qs.size(), [&](size_t i) { return qs[i]; }) : qs[0];
        return result;
    };
    // Of the sample, the greatest magnitudes.
    uint32_t Dx = 0, Dy = 0;
    for_sample(x, [&](int64_t s, int64_t r) {
        Dx = std::max(Dx, magnitude(x(s, r) - m));
        Dy = std::max(Dy, magnitude(dy(s, r)));
    });
    const bool is_ordinary = ordinary(Dx) && ordinary(Dy);

    float sx = 1, sy = 1;
    Scaled sums = sums_scaled(sx, sy);
    const double Ly = as_float(sums.Ly), P = Ly * static_cast<double>(as_float(sums.Lx));
    const bool in_range = is_ordinary ? std::isfinite(sums.E) && std::isfinite(sums.Q)
                                      : Ly < 0x1p110 && (P == 0 || (0x1p-80 <= P && P <= 0x1p100));
    if (!in_range) {
        sx = is_ordinary ? 0x1p-74f : scale_of_exponent(exponent(sums.Lx));
        sy = is_ordinary ? 0x1p-74f : scale_of_exponent(exponent(sums.Ly));
        sums = sums_scaled(sx, sy);
    }
    const double of_y = 1 / static_cast<double>(sy), of_x = 1 / static_cast<double>(sx);
    const double E = sums.E * of_y;
    return {E, (sums.Q * of_y) * of_x - (mean - static_cast<double>(m)) * E};
}

inline double invstd(double variance, double eps) { return 1 / std::sqrt(variance + eps); }

// "Backward", the pointwise part, of one group.
class BackwardPointwise {
public:
    BackwardPointwise(double mean, double variance, float gamma, double g1, double g2, double total, double eps) {
        const double inv = invstd(variance, eps);
        const double slope = (((g2 / total) * inv) * inv) * inv;
        m_ = static_cast<float>(mean);
        scale_ = static_cast<float>(static_cast<double>(gamma) * inv);
        k1_ = static_cast<float>((g1 / total) * inv - (mean - static_cast<double>(m_)) * slope);
        k2_ = static_cast<float>(slope);
    }
    float operator()(float x, float dy) const {
        const float first = dy * scale_ - k1_;
        const float second = (x - m_) * k2_;
        return first - second;
    }

private:
    float m_, scale_, k1_, k2_;
};

}  // namespace transcription
