// docs/order.md, word for word, as plain serial loops: what every kernel must give, bit for bit. It shares no code with
// the kernels. Compile with -ffp-contract=off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
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
constexpr int64_t kRows = 32, kPlanes = 16;  // of a chunk, at most

inline int64_t lanes(int64_t S, bool last = false) { return S < 16 ? 1 : last ? 4 : S <= 1024 ? 16 : 64; }

// Rows [row, row_end) of the planes [plane, plane_end).
struct Chunk {
    int64_t plane, plane_end, row, row_end;
    int64_t cnt;
    bool sample = false;  // of it, as step 1 of "One chunk" has it
    int64_t pairs(int64_t full_rows) const { return std::max<int64_t>(std::min(row_end, full_rows) - row, 0) / 2; }
};

// "Sum over the chunk" of term(s, r), all in T: lanes first, then their tree.
template <typename T, typename Term>
T sum_over_positions(const Group &x, const Chunk &chunk, Term term) {
    const int64_t S = x.S, L = lanes(S, x.last);
    T v[kMaxLanes];
    for (int64_t l = 0; l < L; l++) v[l] = T(0);
    const int64_t full_rows = S / L, n = chunk.pairs(full_rows);
    const int64_t pairs_end = chunk.row + 2 * n;
    std::vector<int64_t> pairs;
    for (int64_t p = 0; p < n && !chunk.sample; p++) pairs.push_back(p);
    for (int64_t i = 0; i < (n + 1) / 2 && chunk.sample; i++) {
        constexpr int64_t p[] = {0, 3, 5, 6, 9, 10, 12, 15};
        pairs.push_back(std::min(p[i], n - 1));
    }
    for (int64_t r = chunk.plane; r < chunk.plane_end; r++)
        for (int64_t p : pairs)
            for (int64_t l = 0; l < L; l++) {
                const int64_t i = chunk.row + 2 * p;
                v[l] = v[l] + (term(i * L + l, r) + term((i + 1) * L + l, r));
            }
    if (chunk.row_end > pairs_end && !(chunk.sample && n > 0)) {  // a row or two are left
        const auto moved_back = [&](int64_t row, int64_t l, int64_t r) {
            const int64_t s = std::min(row * L, S - L) + l;
            return s < row * L ? T(0) : term(s, r);
        };
        for (int64_t r = chunk.plane; r < chunk.plane_end; r++)
            for (int64_t l = 0; l < L; l++)
                v[l] = v[l] + (moved_back(pairs_end, l, r) + moved_back(pairs_end + 1, l, r));
    }
    for (int64_t w = L / 2; w >= 1; w /= 2)
        for (int64_t l = 0; l < w; l++) v[l] = v[l] + v[l + w];
    return v[0];
}

// The same of term(x).
template <typename T, typename Term>
T sum_over_chunk(const Group &x, const Chunk &chunk, Term term) {
    return sum_over_positions<T>(x, chunk, [&](int64_t s, int64_t r) { return term(x(s, r)); });
}

inline Moments moments_of_sums(double c, double e, double q, double cnt) {
    Moments result{c + e / cnt, q - e * (e / cnt)};
    if (result.M2 < 0) result.M2 = 0;
    return result;
}

// "One chunk", steps 1 to 3.
inline Moments chunk_moments(const Group &x, const Chunk &chunk) {
    const double cnt = static_cast<double>(chunk.cnt);
    const int64_t L = lanes(x.S, x.last), n = chunk.pairs(x.S / L);
    Chunk sample = chunk;
    sample.sample = x.last && L > 1;
    const float t = sum_over_chunk<float>(x, sample, [](float v) { return v; });
    const int64_t cnt_t = sample.sample && n > 0 ? (n + 1) / 2 * 2 * L * (chunk.plane_end - chunk.plane) : chunk.cnt;
    const float c = static_cast<float>(static_cast<double>(t) / static_cast<double>(cnt_t));
    const float e = sum_over_chunk<float>(x, chunk, [=](float v) { return v - c; });
    const float q = sum_over_chunk<float>(x, chunk, [=](float v) {
        const float d = v - c;
        return d * d;
    });
    const Moments moments = moments_of_sums(c, e, q, cnt);
    const double e1 = e, q1 = q;
    if (1e-30 < moments.M2 && moments.M2 < 1e38 && 8 * (e1 * (e1 / cnt)) < q1) return moments;

    const double c2 = std::isfinite(c) ? c : x(chunk.row * lanes(x.S, x.last), chunk.plane);
    const double e2 = sum_over_chunk<double>(x, chunk, [=](float v) { return static_cast<double>(v) - c2; });
    const double q2 = sum_over_chunk<double>(x, chunk, [=](float v) {
        const double d = static_cast<double>(v) - c2;
        return d * d;
    });
    return moments_of_sums(c2, e2, q2, cnt);
}

// Calls visit(chunk) in the order of merging.
template <typename Visit>
void for_each_chunk(const Group &x, Visit visit) {
    const int64_t L = lanes(x.S, x.last);
    const int64_t rows = (x.S + L - 1) / L;
    const int64_t P = std::min(std::max<int64_t>(kRows / rows, 1), kPlanes);
    for (int64_t r = 0; r < x.N; r += P) {
        const int64_t plane_end = std::min(r + P, x.N);
        for (int64_t row = 0; row < rows; row += kRows) {
            const int64_t end = std::min(row + kRows, rows);
            visit(Chunk{r, plane_end, row, end, (plane_end - r) * (std::min(end * L, x.S) - row * L)});
        }
    }
}

// "Sum over chunks" of term(i) over the chunks i < n, of which K belong to one plane, or planes that are together; numbered planes
// ascending.
template <typename Term>
double sum_over_chunks(int64_t n, int64_t K, Term term) {
    constexpr int64_t kRun = 16;
    const int64_t M = n / K, Q = std::max<int64_t>(kRun / K, 1);
    double sum = 0;
    for (int64_t m = 0; m < M; m += Q) {
        for (int64_t k = 0; k < K; k += kRun) {
            double run = 0;
            for (int64_t i = m; i < std::min(m + Q, M); i++)
                for (int64_t j = k; j < std::min(k + kRun, K); j++) run = run + term(static_cast<size_t>(i * K + j));
            sum = sum + run;
        }
    }
    return sum;
}

inline int64_t chunks_of_plane(const Group &x) {
    const int64_t L = lanes(x.S, x.last), rows = (x.S + L - 1) / L;
    return (rows + kRows - 1) / kRows;
}

// "Merging chunks".
inline Moments moments(const Group &x) {
    struct Part {
        Moments moments;
        double cnt;
    };
    std::vector<Part> parts;
    if (x.narrow) {
        for (const Group &part : transcription::parts(x))
            parts.push_back({moments(part), static_cast<double>(part.S * part.N)});
    } else {
        for_each_chunk(
            x, [&](const Chunk &chunk) { parts.push_back({chunk_moments(x, chunk), static_cast<double>(chunk.cnt)}); });
    }
    const double total = static_cast<double>(x.S * x.N);
    const auto sum_of = [&](auto term) {
        if (!x.narrow) return sum_over_chunks(static_cast<int64_t>(parts.size()), chunks_of_plane(x), term);
        double sum = 0;
        for (size_t i = 0; i < parts.size(); i++) sum = sum + term(i);
        return sum;
    };
    const double mean_0 = parts[0].moments.mean;
    const double mean =
        mean_0 + sum_of([&](size_t i) { return (parts[i].moments.mean - mean_0) * parts[i].cnt; }) / total;
    const double M2 = sum_of([&](size_t i) {
        const double off = parts[i].moments.mean - mean;
        return parts[i].moments.M2 + (parts[i].cnt * off) * off;
    });
    return {mean, M2};
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

// "Backward", steps 1 to 3.
inline GradientSums gradient_sums(const Group &x, const Group &dy, double mean) {
    if (x.narrow) {
        GradientSums total = {0, 0};
        const std::vector<Group> x_parts = parts(x), dy_parts = parts(dy);
        for (size_t i = 0; i < x_parts.size(); i++) {
            const GradientSums sums = gradient_sums(x_parts[i], dy_parts[i], mean);
            total = {total.dy + sums.dy, total.dy_xmu + sums.dy_xmu};
        }
        return total;
    }
    const float m = static_cast<float>(mean);
    std::vector<double> es, qs;
    for_each_chunk(x, [&](const Chunk &chunk) {
        double e = sum_over_positions<float>(x, chunk, [&](int64_t s, int64_t r) { return dy(s, r); });
        double q = sum_over_positions<float>(x, chunk, [&](int64_t s, int64_t r) {
            const float d = x(s, r) - m;
            return dy(s, r) * d;
        });
        if (!(std::fabs(e) < 1e38 && 1e-30 < std::fabs(q) && std::fabs(q) < 1e38)) {
            e = sum_over_positions<double>(x, chunk,
                                           [&](int64_t s, int64_t r) { return static_cast<double>(dy(s, r)); });
            q = sum_over_positions<double>(x, chunk, [&](int64_t s, int64_t r) {
                const double d = static_cast<double>(x(s, r)) - static_cast<double>(m);
                return static_cast<double>(dy(s, r)) * d;
            });
        }
        es.push_back(e);
        qs.push_back(q);
    });
    const int64_t n = static_cast<int64_t>(es.size()), K = chunks_of_plane(x);
    const double E = sum_over_chunks(n, K, [&](size_t i) { return es[i]; });
    const double Q = sum_over_chunks(n, K, [&](size_t i) { return qs[i]; });
    return {E, Q - (mean - static_cast<double>(m)) * E};
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
