// Ten steps of layers whose batch lies on several processes, beside a single process with the whole
// batch: each process computes both. The results must be equal to the bit where processes begin at
// borders of chunks, and near and the same on all processes otherwise.
#pragma once

#include <hnorm/hnorm.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace transports {

using Floats = std::vector<float>;

struct Problem {
    std::vector<std::int64_t> shape;
    std::int64_t border;  // samples at which chunks end
    std::size_t sample() const {
        std::size_t size = 1;
        for (std::size_t i = 1; i < shape.size(); i++) size *= static_cast<std::size_t>(shape[i]);
        return size;
    }
};

// Samples of each process: multiples of the border where `exact`, and some processes without any.
inline std::vector<std::int64_t> split_of(const Problem &p, int ranks, int kind) {
    std::vector<std::int64_t> split(static_cast<std::size_t>(ranks), 0);
    const bool exact = kind != 2;
    const std::int64_t unit = exact ? p.border : 1;
    std::int64_t left = p.shape[0];
    for (int r = 0; r < ranks && left > 0; r++) {
        if (kind == 1 && r % 3 == 1 && r + 1 < ranks) continue;  // an empty process
        const std::int64_t share = std::max<std::int64_t>(p.shape[0] / ranks / unit, 1) * unit;
        split[static_cast<std::size_t>(r)] = r + 1 == ranks ? left : std::min(share, left);
        left -= split[static_cast<std::size_t>(r)];
    }
    split[0] += split.size() == 1 ? left : 0;
    if (left > 0 && split.size() > 1) split.back() += left;
    return split;
}

struct Trained {
    Floats y, dx, gamma_grad, beta_grad;
    std::vector<double> running_mean, running_var;
};

inline Trained train(hnorm::BatchNorm &layer, const Problem &p, const Floats &x, const Floats &dy, std::int64_t begin,
                     std::int64_t count) {
    const std::size_t at = static_cast<std::size_t>(begin) * p.sample(),
                      size = static_cast<std::size_t>(count) * p.sample();
    Trained t = {Floats(size), Floats(size), {}, {}, {}, {}};
    std::vector<std::int64_t> shape = p.shape;
    shape[0] = count;
    const hnorm::ConstTensor in(x.data() + at, shape), gradient(dy.data() + at, shape);
    const hnorm::Tensor y(t.y.data(), shape), dx(t.dx.data(), shape);
    for (int step = 0; step < 10; step++) {
        layer.forward(in, y);
        layer.backward(in, gradient, dx);
        for (std::size_t c = 0; c < layer.gamma().size(); c++) layer.gamma()[c] += 0.01f;
    }
    t.gamma_grad.assign(layer.gamma_grad().begin(), layer.gamma_grad().end());
    t.beta_grad.assign(layer.beta_grad().begin(), layer.beta_grad().end());
    t.running_mean.assign(layer.running_mean().begin(), layer.running_mean().end());
    t.running_var.assign(layer.running_var().begin(), layer.running_var().end());
    return t;
}

inline bool same(const void *a, const void *b, std::size_t bytes) {
    return bytes == 0 || std::memcmp(a, b, bytes) == 0;
}

// 0 if all is as it should be on this process.
inline int check_steps(const hnorm_comm &comm) {
    const Problem problems[] = {{{48, 20, 7, 7}, 8},  {{24, 9, 14, 14}, 2},  {{16, 5, 28, 28}, 4},
                                {{10, 4, 64, 64}, 2}, {{300, 33}, 32},       {{700, 3, 3}, 32},
                                {{40, 6, 5}, 8},      {{9, 3, 112, 112}, 1}, {{8, 2, 3, 3, 3}, 8}};
    int failures = 0;
    for (const Problem &p : problems) {
        for (int kind = 0; kind < 3; kind++) {
            std::mt19937 random(static_cast<unsigned>(kind));
            std::normal_distribution<float> normal(3, 2);
            Floats x(static_cast<std::size_t>(p.shape[0]) * p.sample()), dy(x.size());
            for (float &value : x) value = normal(random);
            for (float &value : dy) value = normal(random) - 3;
            const std::vector<std::int64_t> split = split_of(p, comm.ranks, kind);
            std::int64_t begin = 0;
            for (int r = 0; r < comm.rank; r++) begin += split[static_cast<std::size_t>(r)];
            const std::int64_t mine = split[static_cast<std::size_t>(comm.rank)];

            hnorm::BatchNorm alone(p.shape[1], hnorm::Options().relu()), shared(p.shape[1], hnorm::Options().relu());
            shared.set_comm(comm);
            const Trained expected = train(alone, p, x, dy, 0, p.shape[0]);
            const Trained result = train(shared, p, x, dy, begin, mine);
            const std::size_t at = static_cast<std::size_t>(begin) * p.sample(),
                              bytes = result.y.size() * sizeof(float);
            const bool bits = same(result.y.data(), expected.y.data() + at, bytes) &&
                              same(result.dx.data(), expected.dx.data() + at, bytes) &&
                              result.gamma_grad == expected.gamma_grad && result.beta_grad == expected.beta_grad &&
                              result.running_mean == expected.running_mean &&
                              result.running_var == expected.running_var;
            bool near = true;
            for (std::size_t i = 0; i < result.y.size(); i++) {
                near =
                    near && std::fabs(result.y[i] - expected.y[at + i]) < 1e-5f * (1 + std::fabs(expected.y[at + i]));
            }
            // All processes have what process 0 has.
            std::vector<double> all(result.running_var.size() * static_cast<std::size_t>(comm.ranks));
            const std::size_t bytes_of_one = result.running_var.size() * sizeof(double);
            const bool alike =
                comm.all_gather(comm.argument, result.running_var.data(), bytes_of_one, all.data()) == 0 &&
                same(all.data(), result.running_var.data(), bytes_of_one);
            if (!near || !alike || (kind != 2 && !bits)) {
                std::fprintf(stderr, "process %d of %d: %lld samples of %lld channels, split %d: %s\n", comm.rank,
                             comm.ranks, static_cast<long long>(p.shape[0]), static_cast<long long>(p.shape[1]), kind,
                             !near    ? "wrong"
                             : !alike ? "other than process 0"
                                      : "not the bits of one process");
                failures++;
            }
        }
    }
    return failures == 0 ? 0 : 1;
}

}  // namespace transports
