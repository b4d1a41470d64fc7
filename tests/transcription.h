// docs/order.md, word for word, as plain serial loops: what every kernel must give, bit for bit. It
// shares no code with the kernels. Compile with -ffp-contract=off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace transcription {

// One group of the view: x(s, r) = data[s*stride_s + r*stride_r], S positions, N planes, of a
// tensor that is channels-last or not, and then of few channels or not.
struct Group {
    const float *data;
    int64_t S, N, stride_r;
    bool last = false, few_channels = false;
    int64_t stride_s = 1;
    float operator()(int64_t s, int64_t r) const { return data[s * stride_s + r * stride_r]; }
};

struct Moments {
    double mean, M2;
};

// "Chunks and runs".

constexpr int64_t kMaxLanes = 64;

inline int64_t lanes(int64_t S, bool last = false) { return last || S < 16 ? 1 : S <= 1024 ? 16 : 64; }

// The greatest power of two that is at most `value`, which is 1 or more.
inline int64_t power_below(int64_t value) {
    int64_t power = 1;
    while (power <= value / 2) power *= 2;
    return power;
}

struct Cut {
    int64_t S, N, L, R, full_rows, rows, P, K, M, Q, A, B;
    Cut(int64_t positions, int64_t planes, bool last) : S(positions), N(planes) {
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

// Calls visit(chunk) for the chunks of run (a, b), in the order of summation.
template <typename Visit>
void for_each_chunk(const Cut &cut, int64_t a, int64_t b, Visit visit) {
    for (int64_t m = b * cut.Q; m < std::min((b + 1) * cut.Q, cut.M); m++)
        for (int64_t k = 8 * a; k < std::min(8 * (a + 1), cut.K); k++)
            visit(Chunk{m * cut.P, std::min((m + 1) * cut.P, cut.N), k * cut.R, std::min((k + 1) * cut.R, cut.rows)});
}

// The bits of |value|: a NaN's are greater than those of infinity, and so on.
inline uint32_t magnitude(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffffu;
}
inline float as_float(uint32_t magnitude) {
    float value;
    std::memcpy(&value, &magnitude, sizeof value);
    return value;
}

// The two terms of a position. The greatest magnitudes are kept of two values besides: of d alone,
// forward, and of dy and d.
struct Terms {
    float e, q, first, second;
};

struct Sums {
    double E = 0, Q = 0;
    uint32_t first = 0, second = 0;  // the greatest magnitudes

    void add(const Sums &other) {
        E = E + other.E;
        Q = Q + other.Q;
        first = std::max(first, other.first);
        second = std::max(second, other.second);
    }
};

// "The sum over a chunk" of the terms that at(s, r) gives.
template <typename TermsAt>
Sums sum_over_chunk(const Cut &cut, const Chunk &chunk, TermsAt at) {
    const int64_t L = cut.L;
    float e[kMaxLanes], q[kMaxLanes];
    uint32_t first[kMaxLanes], second[kMaxLanes];
    for (int64_t l = 0; l < L; l++) e[l] = 0, q[l] = 0, first[l] = 0, second[l] = 0;

    // of(row, l): the terms of a row's lane.
    const auto add_four = [&](int64_t row, auto of) {
        for (int64_t l = 0; l < L; l++) {
            const Terms t0 = of(row, l), t1 = of(row + 1, l), t2 = of(row + 2, l), t3 = of(row + 3, l);
            e[l] = e[l] + ((t0.e + t1.e) + (t2.e + t3.e));
            q[l] = q[l] + ((t0.q + t1.q) + (t2.q + t3.q));
            for (const Terms &t : {t0, t1, t2, t3}) {
                first[l] = std::max(first[l], magnitude(t.first));
                second[l] = std::max(second[l], magnitude(t.second));
            }
        }
    };
    const int64_t full_rows = std::max(std::min(chunk.row_end, cut.full_rows) - chunk.row, int64_t{0});
    const int64_t fours_end = chunk.row + full_rows / 4 * 4;
    for (int64_t r = chunk.plane; r < chunk.plane_end; r++)
        for (int64_t row = chunk.row; row < fours_end; row += 4)
            add_four(row, [&](int64_t i, int64_t l) { return at(i * L + l, r); });
    // What is left: rows that are missing are +0, and the partial one is moved back.
    for (int64_t r = chunk.plane; r < chunk.plane_end && fours_end < chunk.row_end; r++)
        add_four(fours_end, [&](int64_t i, int64_t l) {
            const int64_t s = std::min(i * L, cut.S - L) + l;
            return i >= chunk.row_end || s < i * L ? Terms{0, 0, 0, 0} : at(s, r);
        });

    Sums sums;
    for (int64_t l = 0; l < L; l++) {
        sums.first = std::max(sums.first, first[l]);
        sums.second = std::max(sums.second, second[l]);
    }
    const auto total = [&](float *v) {
        for (int64_t w = L / 2; w >= 4; w /= 2)
            for (int64_t l = 0; l < w; l++) v[l] = v[l] + v[l + w];
        const auto lane = [&](int l) { return static_cast<double>(v[l]); };
        return L == 1 ? lane(0) : (lane(0) + lane(2)) + (lane(1) + lane(3));
    };
    sums.E = total(e);
    sums.Q = total(q);
    return sums;
}

// "The sum over a run".
template <typename TermsAt>
Sums sum_over_run(const Cut &cut, int64_t a, int64_t b, TermsAt at) {
    Sums sums;
    for_each_chunk(cut, a, b, [&](const Chunk &chunk) { sums.add(sum_over_chunk(cut, chunk, at)); });
    return sums;
}

// "The sum over a group".
template <typename TermsAt>
Sums sum_over_runs(const Cut &cut, TermsAt at) {
    Sums sums;
    for (int64_t b = 0; b < cut.B; b++)
        for (int64_t a = 0; a < cut.A; a++) sums.add(sum_over_run(cut, a, b, at));
    return sums;
}

// "Few channels".
inline bool few_channels(int64_t S, int64_t C) { return 2 <= C && C < 16 && S >= 512; }

template <typename TermsAt>
Sums sum_over_parts(const Group &x, TermsAt at) {
    Sums sums;
    const int64_t whole = x.S - x.S % 32;
    for (int64_t i = 0; i < 32; i++)
        sums.add(sum_over_runs(Cut(x.S / 32, x.N, x.last), [&](int64_t j, int64_t r) { return at(32 * j + i, r); }));
    if (whole < x.S)
        sums.add(sum_over_runs(Cut(x.S % 32, x.N, x.last), [&](int64_t j, int64_t r) { return at(whole + j, r); }));
    return sums;
}

template <typename TermsAt>
Sums sum_over_group(const Group &x, TermsAt at) {
    return x.few_channels ? sum_over_parts(x, at) : sum_over_runs(Cut(x.S, x.N, x.last), at);
}

// "The probe".

struct Place {
    int64_t plane, position;
};

inline int64_t neighbours(int64_t S, bool last) { return lanes(S, last) == 1 ? 1 : 4; }

inline int64_t rows_probed(int64_t S, int64_t N, bool last) {
    const int64_t T = N * (S / neighbours(S, last));
    return (48 * T + T + 47) / (T + 48);
}

// Where row i of the probe starts.
inline Place place_probed(int64_t i, int64_t S, int64_t N, bool last) {
    const int64_t W = neighbours(S, last), T = N * (S / W), count = rows_probed(S, N, last);
    const uint32_t u = static_cast<uint32_t>(i) * 2654435769u;
    const uint32_t h = ((u ^ (u >> 15)) * 2246822519u) >> 16;
    const int64_t f = (i * T + static_cast<int64_t>(h) * T / 65536) / count;
    return {f / (S / W), W * (f % (S / W))};
}

// Which elements of a group of N planes of S positions, plane by plane, its probe has.
inline std::vector<bool> positions_probed(int64_t S, int64_t N, bool last) {
    std::vector<bool> result(static_cast<size_t>(N * S));
    for (int64_t i = 0; i < rows_probed(S, N, last); i++) {
        const Place place = place_probed(i, S, N, last);
        for (int64_t l = 0; l < neighbours(S, last); l++)
            result[static_cast<size_t>(place.plane * S + place.position + l)] = true;
    }
    return result;
}

struct Probe {
    float center;     // c
    uint32_t spread;  // D
};

inline Probe probe(const Group &x, float scale) {
    const int64_t W = neighbours(x.S, x.last), count = rows_probed(x.S, x.N, x.last);
    const float p = x(0, 0) * scale;
    float t[4] = {0, 0, 0, 0};
    uint32_t spread = 0;
    for (int64_t i = 0; i < count; i++) {
        const Place place = place_probed(i, x.S, x.N, x.last);
        for (int64_t l = 0; l < W; l++) {
            const float difference = x(place.position + l, place.plane) * scale - p;
            t[l] = t[l] + difference;
            spread = std::max(spread, magnitude(difference));
        }
    }
    const double sum = W == 1 ? t[0] : (t[0] + t[2]) + (t[1] + t[3]);
    return {static_cast<float>(static_cast<double>(p) + sum / static_cast<double>(count * W)), spread};
}

// "Scales", of magnitudes.
inline int exponent(uint32_t magnitude) { return static_cast<int>(magnitude >> 23) - 127; }
inline float power_of_scale(int e) {
    const double nearest = 16 * std::floor(std::min(std::max(e, -100), 74) / 16.0 + 0.5);
    return std::ldexp(1.0f, -static_cast<int>(nearest));
}
inline float scale(uint32_t magnitude) { return magnitude == 0 ? 1 : power_of_scale(exponent(magnitude)); }
inline bool ordinary(uint32_t D) { return magnitude(0x1p-40f) <= D && D <= magnitude(0x1p40f); }

// "Sums about the center": first is L.
inline Sums sums_about(const Group &x, float center, float scale) {
    return sum_over_group(x, [&](int64_t s, int64_t r) {
        const float d = x(s, r) * scale - center;
        return Terms{d, d * d, d, 0};
    });
}

// passes, if given, counts how often the group was summed.
inline Moments moments(const Group &x, int *passes = nullptr) {
    const double n = static_cast<double>(x.S * x.N);
    const Probe unscaled = probe(x, 1);
    const uint32_t D = unscaled.spread;
    float s = ordinary(D) ? 1 : scale(D);
    float c = s == 1 ? unscaled.center : probe(x, s).center;
    Sums sums = sums_about(x, c, s);
    int count = 1;

    const uint32_t L = sums.first;
    const bool clear = std::isfinite(sums.Q) && (ordinary(D) || (D == 0 && sums.Q >= 0x1p-60));
    const bool in_range = clear || (!ordinary(D) && (L == 0 || (magnitude(0x1p-40f) <= L && L <= magnitude(0x1p50f))));
    if (!in_range) {
        const bool finite = L < magnitude(HUGE_VALF);
        s = ordinary(D) || !finite ? 0x1p-80f : power_of_scale(exponent(L) - std::ilogb(s));
        c = probe(x, s).center;
        sums = sums_about(x, c, s);
        count++;
    }

    double o = sums.E / n, M2 = sums.Q - sums.E * o;
    const float moved = static_cast<float>(static_cast<double>(c) + o);
    if (sums.E * o > M2 / 2 && moved != c) {
        c = moved;
        sums = sums_about(x, c, s);
        o = sums.E / n;
        M2 = sums.Q - sums.E * o;
        count++;
    }

    if (passes) *passes = count;
    if (M2 < 0) M2 = 0;
    const double inverse = 1 / static_cast<double>(s);
    return {(static_cast<double>(c) + o) * inverse, (M2 * inverse) * inverse};
}

// "The pointwise part", of one group: z, which "Post-ops" follow.
struct Pointwise {
    float m, a, b;

    Pointwise(float m_, float a_, float b_) : m(m_), a(a_), b(b_) {}
    Pointwise(double mean, double variance, float gamma, float beta, double eps) {
        m = static_cast<float>(mean);
        const double wanted = variance + eps == 0 ? 0 : static_cast<double>(gamma) / std::sqrt(variance + eps);
        const double most = std::numeric_limits<float>::max();
        a = static_cast<float>(variance == 0 && wanted > most    ? most
                               : variance == 0 && wanted < -most ? -most
                                                                 : wanted);
        b = static_cast<float>(static_cast<double>(beta) - (mean - static_cast<double>(m)) * static_cast<double>(a));
    }
    float operator()(float x) const { return (x - m) * a + b; }
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

// "Backward".

// Powers of two, which dy and x are multiplied by.
struct GradientScales {
    float dy = 1, x = 1;
};

// first is Ly, second Lx.
inline Sums gradient_sums_scaled(const Group &x, const Group &dy, float m, const GradientScales &scales) {
    return sum_over_group(x, [&](int64_t s, int64_t r) {
        const float of_dy = dy(s, r) * scales.dy, d = x(s, r) * scales.x - m * scales.x;
        return Terms{of_dy, of_dy * d, of_dy, d};
    });
}

// The scales of a group whose sums without scales these are.
inline GradientScales gradient_scales(const Sums &sums) {
    const double Q = std::fabs(sums.Q);
    if (std::isfinite(sums.E) && 0x1p-60 <= Q && Q <= 0x1p60) return {};
    const float Ly = as_float(sums.first), Lx = as_float(sums.second);
    const double p = static_cast<double>(Ly) * static_cast<double>(Lx);
    if (Ly < 0x1p110f && (p == 0 || (0x1p-80 <= p && p <= 0x1p100))) return {};
    return {scale(sums.first), scale(sums.second)};
}

struct GradientSums {
    double dy, dy_xmu;  // of dy, and of dy * (x - mean)
};

// is_scaled, if given, says whether scales other than 1 were taken.
inline GradientSums gradient_sums(const Group &x, const Group &dy, double mean, bool *is_scaled = nullptr) {
    const float m = static_cast<float>(mean);
    Sums sums = gradient_sums_scaled(x, dy, m, {});
    const GradientScales scales = gradient_scales(sums);
    if (scales.dy != 1 || scales.x != 1) sums = gradient_sums_scaled(x, dy, m, scales);
    if (is_scaled) *is_scaled = scales.dy != 1 || scales.x != 1;
    const double of_dy = 1 / static_cast<double>(scales.dy), of_x = 1 / static_cast<double>(scales.x);
    const double sum_dy = sums.E * of_dy;
    return {sum_dy, (sums.Q * of_dy) * of_x - (mean - static_cast<double>(m)) * sum_dy};
}

inline double invstd(double variance, double eps) { return variance + eps == 0 ? 0 : 1 / std::sqrt(variance + eps); }

// p, by which slope may be divided so that k2 stays in float's range.
inline float slope_power(double slope) {
    uint64_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    const int e = static_cast<int>(bits >> 52 & 2047) - 1023;
    if ((-100 <= e && e < 100) || e == -1023) return 1;
    return std::ldexp(1.0f, std::min(std::max(e < 0 ? -((1 - e) / 2) : e / 2, -126), 127));
}

// The pointwise part, of one group of n elements: dx.
struct BackwardPointwise {
    float m, scale, k1, power, k2;

    BackwardPointwise(float m_, float scale_, float k1_, float power_, float k2_)
        : m(m_), scale(scale_), k1(k1_), power(power_), k2(k2_) {}
    BackwardPointwise(double mean, double variance, float gamma, double g1, double g2, double n, double eps) {
        const double inv = invstd(variance, eps);
        const double slope = (((g2 / n) * inv) * inv) * inv;
        m = static_cast<float>(mean);
        scale = static_cast<float>(static_cast<double>(gamma) * inv);
        k1 = static_cast<float>((g1 / n) * inv - (mean - static_cast<double>(m)) * slope);
        power = slope_power(slope);
        k2 = static_cast<float>(slope / static_cast<double>(power));
    }
    float operator()(float x, float dy) const { return (dy * scale - k1) - ((x - m) * power) * k2; }
};

}  // namespace transcription
