// What shared statistics cost: mpiexec -n N over_ranks [ROUNDS]. Each process has its part of a
// batch, and times a layer of its own (local) and one whose statistics are those of all processes
// (shared), in turn. over_ranks.py runs it and makes tables of its lines: "row", "line" (the time
// line of a call, of each process) and "gather" (the all-gather itself).
#include <hnorm/hnorm.hpp>
#include <hnorm/mpi.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Shape = std::vector<std::int64_t>;

// Layers of ResNet-50, and one of (N, C). N is that of all processes.
const Shape kShapes[] = {
    {32, 64, 112, 112}, {32, 256, 56, 56}, {32, 1024, 14, 14}, {32, 2048, 7, 7}, {256, 1024},
};
constexpr double kLeastTiming = 2e-3;  // seconds: shorter calls are repeated
constexpr int kMostRounds = 8;         // of a call

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

// The slowest process's.
double of_all(double value) {
    double greatest = 0.0;
    MPI_Allreduce(&value, &greatest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return greatest;
}

// An all-gather that says when it was called, and with how much.
class Counted {
public:
    explicit Counted(const hnorm_comm &inner) : inner_(inner) {}
    hnorm_comm comm() { return hnorm_comm_of(inner_.rank, inner_.ranks, gather, this); }
    void begin() {
        rounds_ = 0;
        bytes_ = 0;
        times_.assign(1, Clock::now());
    }
    // From begin() on: the seconds to the first round, of it, to the next, and so on, to now.
    std::vector<double> parts() const {
        std::vector<double> result;
        for (std::size_t i = 1; i < times_.size(); ++i)
            result.push_back(std::chrono::duration<double>(times_[i] - times_[i - 1]).count());
        result.push_back(seconds_since(times_.back()));
        return result;
    }
    int rounds() const { return rounds_; }
    std::size_t bytes() const { return bytes_; }

private:
    static int gather(void *argument, const void *mine, std::size_t bytes, void *all) {
        Counted &self = *static_cast<Counted *>(argument);
        self.times_.push_back(Clock::now());
        const int result = self.inner_.all_gather(self.inner_.argument, mine, bytes, all);
        self.times_.push_back(Clock::now());
        ++self.rounds_;
        self.bytes_ += bytes;
        return result;
    }

    const hnorm_comm inner_;
    int rounds_ = 0;
    std::size_t bytes_ = 0;
    std::vector<Clock::time_point> times_{Clock::now()};
};

class Bench {
public:
    Bench(hnorm::MpiComm &mpi, int rounds) : mpi_(mpi), counted_(mpi.comm()), rounds_(rounds) {}

    void rows(Shape shape) {
        std::string name;
        for (const std::int64_t extent : shape) name += (name.empty() ? "" : ", ") + std::to_string(extent);
        shape[0] /= mpi_.ranks();
        std::size_t size = 1;
        for (const std::int64_t extent : shape) size *= std::size_t(extent);
        std::vector<float> x(size), y(size), dy(size), dx(size);
        std::mt19937 random(unsigned(mpi_.rank()));
        std::normal_distribution<float> normal;
        for (float &value : x) value = normal(random);
        for (float &value : dy) value = normal(random);
        const hnorm::ConstTensor in(x.data(), shape), gradient(dy.data(), shape);
        const hnorm::Tensor out(y.data(), shape), result(dx.data(), shape);
        hnorm::BatchNorm local(shape[1]), shared(shape[1]);
        shared.set_comm(counted_.comm());
        for (hnorm::BatchNorm *layer : {&local, &shared}) layer->forward(in, out);
        row(name, "forward", [&] { local.forward(in, out); }, [&] { shared.forward(in, out); });
        row(
            name, "backward", [&] { local.backward(in, gradient, result); },
            [&] { shared.backward(in, gradient, result); });
    }

    void gathers() {
        for (std::size_t bytes = 64; bytes <= (4U << 20); bytes *= 4) {
            std::vector<char> mine(bytes), all(bytes * std::size_t(mpi_.ranks()));
            const hnorm_comm comm = mpi_.comm();
            const std::function<void()> call = [&] { comm.all_gather(comm.argument, mine.data(), bytes, all.data()); };
            const int calls = calls_of(call);
            std::vector<double> seconds;
            for (int round = 0; round < rounds_; ++round) seconds.push_back(time(call, calls));
            if (mpi_.rank() == 0) std::printf("gather\t%zu\t%g\n", bytes, median(seconds));
        }
    }

private:
    // Seconds of a call by the slowest process. All begin together.
    double time(const std::function<void()> &call, int calls) {
        MPI_Barrier(MPI_COMM_WORLD);
        const auto start = Clock::now();
        for (int i = 0; i < calls; ++i) call();
        return of_all(seconds_since(start) / calls);
    }
    int calls_of(const std::function<void()> &call) {
        time(call, 1);  // memory and caches
        return std::clamp(int(kLeastTiming / std::max(time(call, 2), 1e-9)), 1, 1000);
    }

    void row(const std::string &name, const char *operation, const std::function<void()> &local,
             const std::function<void()> &shared) {
        time(shared, 2);
        const int calls = calls_of(local);
        std::mt19937 random(1);  // the same order on all processes
        std::vector<double> of_local, of_shared, parts[2 * kMostRounds + 1];
        for (int round = 0; round < rounds_; ++round) {
            const bool local_first = random() % 2 == 0;
            for (const bool now_local : {local_first, !local_first})
                (now_local ? of_local : of_shared).push_back(time(now_local ? local : shared, calls));
            MPI_Barrier(MPI_COMM_WORLD);
            counted_.begin();
            shared();
            const std::vector<double> of_call = counted_.parts();
            for (std::size_t i = 0; i < of_call.size() && i < std::size(parts); ++i) parts[i].push_back(of_call[i]);
        }
        if (mpi_.rank() == 0)
            std::printf("row\t%s\t%s\t%g\t%g\t%d\t%zu\n", name.c_str(), operation, median(of_local), median(of_shared),
                        counted_.rounds(), counted_.bytes());
        std::vector<double> mine, all;
        for (const std::vector<double> &part : parts)
            if (!part.empty()) mine.push_back(median(part));
        all.resize(mine.size() * std::size_t(mpi_.ranks()));
        MPI_Gather(mine.data(), int(mine.size()), MPI_DOUBLE, all.data(), int(mine.size()), MPI_DOUBLE, 0,
                   MPI_COMM_WORLD);
        for (int rank = 0; rank < mpi_.ranks() && mpi_.rank() == 0; ++rank) {
            std::printf("line\t%s\t%s\t%d", name.c_str(), operation, rank);
            for (std::size_t i = 0; i < mine.size(); ++i) std::printf("\t%g", all[std::size_t(rank) * mine.size() + i]);
            std::printf("\n");
        }
        std::fflush(stdout);
    }

    hnorm::MpiComm &mpi_;
    Counted counted_;
    const int rounds_;
};

}  // namespace

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    try {
        hnorm::set_num_threads(1);  // a process for each core
        hnorm::MpiComm mpi(MPI_COMM_WORLD);
        Bench bench(mpi, argc > 1 ? std::max(1, std::atoi(argv[1])) : 21);
        for (const Shape &shape : kShapes) bench.rows(shape);
        bench.gathers();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "over_ranks: %s\n", error.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
}
