// Batch norm over the processes of MPI beside a single process with the whole batch: each process computes both. The results
// must be equal to the bit where processes begin at borders of chunks, and near and the same on all processes otherwise.
// Arguments: "steps", or what is to go wrong: "late", "killed", "mismatch".
#include <hnorm/hnorm.hpp>
#include <hnorm/mpi.hpp>

#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

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
std::vector<std::int64_t> split_of(const Problem &p, int ranks, int kind) {
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

Trained train(hnorm::BatchNorm &layer, const Problem &p, const Floats &x, const Floats &dy, std::int64_t begin,
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

bool same(const void *a, const void *b, std::size_t bytes) { return bytes == 0 || std::memcmp(a, b, bytes) == 0; }

int check_steps(hnorm::MpiComm &mpi) {
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
            const std::vector<std::int64_t> split = split_of(p, mpi.ranks(), kind);
            std::int64_t begin = 0;
            for (int r = 0; r < mpi.rank(); r++) begin += split[static_cast<std::size_t>(r)];
            const std::int64_t mine = split[static_cast<std::size_t>(mpi.rank())];

            hnorm::BatchNorm alone(p.shape[1], hnorm::Options().relu()), shared(p.shape[1], hnorm::Options().relu());
            shared.set_comm(mpi.comm());
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
            std::vector<double> first = result.running_var;
            MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_DOUBLE, 0, MPI_COMM_WORLD);
            const bool alike = first == result.running_var;
            if (!near || !alike || (kind != 2 && !bits)) {
                std::fprintf(stderr, "process %d of %d: %lld samples of %lld channels, split %d: %s\n", mpi.rank(),
                             mpi.ranks(), static_cast<long long>(p.shape[0]), static_cast<long long>(p.shape[1]), kind,
                             !near    ? "wrong"
                             : !alike ? "other than process 0"
                                      : "not the bits of one process");
                failures++;
            }
        }
    }
    return failures == 0 ? 0 : 1;
}

// The others must get an error, and not wait.
int check_failure(hnorm::MpiComm &mpi, const std::string &what) {
    Floats x(2 * 3 * 4, 1), y(x.size());
    x[0] = 2;
    hnorm::BatchNorm layer(3);
    layer.set_comm(mpi.comm(mpi.rank() == 1 && what == "mismatch" ? 5 : 0));
    if (mpi.rank() == 1 && what == "late") {
        usleep(3000000);
        std::fprintf(stderr, "process 1 came too late\n");
        std::_Exit(0);
    }
    if (mpi.rank() == 1 && what == "killed") std::raise(SIGKILL);
    try {
        layer.forward(hnorm::ncl(x.data(), {2, 3, 4}), hnorm::ncl(y.data(), {2, 3, 4}));
    } catch (const hnorm::Error &error) {
        std::fprintf(stderr, "process %d: %s\n", mpi.rank(), error.what());
        std::fflush(stderr);
        if (what == "mismatch") return error.status() == HNORM_COMM_ERROR ? 0 : 1;
        std::_Exit(error.status() == HNORM_COMM_ERROR ? 0 : 1);  // MPI_Finalize would wait for the other
    }
    std::fprintf(stderr, "process %d: no error\n", mpi.rank());
    return 1;
}

}  // namespace

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int status = 1;
    try {
        const std::string what = argc > 1 ? argv[1] : "steps";
        hnorm::MpiComm mpi(MPI_COMM_WORLD,
                           std::chrono::milliseconds(what == "late" || what == "killed" ? 1000 : 60000));
        hnorm::set_num_threads(1);
        status = what == "steps" ? check_steps(mpi) : check_failure(mpi, what);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    MPI_Finalize();
    return status;
}
