#include "experiments.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <iomanip>
#include <mutex>
#include <ostream>
#include <thread>

namespace digits {

std::vector<Run> all_runs(int seeds, int epochs) {
    std::vector<Run> runs;
    const auto add = [&](Kind kind, Norm norm, double rate, int size, std::uint64_t seed) {
        runs.push_back({kind, norm, rate, size, epochs, seed});
    };
    for (std::uint64_t seed = 1; seed <= std::uint64_t(seeds); ++seed) {
        for (const Norm norm : {Norm::none, Norm::batch, Norm::instance}) {
            for (const double rate : kRates) add(Kind::convolutional, norm, rate, kLargest, seed);
            for (const int size : kBatchSizes)
                if (size != kLargest) add(Kind::convolutional, norm, kBatchRate * size / kLargest, size, seed);
        }
        for (const Norm norm : {Norm::none, Norm::batch, Norm::layer})
            for (const int size : kBatchSizes) add(Kind::plain, norm, kBatchRate * size / kLargest, size, seed);
    }
    return runs;
}

std::vector<Result> train_all(const Data &data, const std::vector<Run> &runs, int threads, std::ostream &progress) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<Result> results(runs.size());
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::size_t done = 0;
    std::exception_ptr failure;
    const auto work = [&] {
        try {
            for (std::size_t i = next++; i < runs.size(); i = next++) {
                Result result = train(split(data, runs[i].seed), runs[i]);
                const std::lock_guard<std::mutex> lock(mutex);
                const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
                ++done;
                const double left = elapsed / double(done) * double(runs.size() - done);
                progress << "[" << std::setw(2) << done << "/" << runs.size() << "] " << describe(runs[i]) << ": "
                         << std::fixed << std::setprecision(1);
                if (result.diverged)
                    progress << "diverged";
                else
                    progress << result.final_evaluation_accuracy() * 100 << " % right";
                progress << " after " << result.seconds << " s; about " << std::setprecision(0) << left << " s left"
                         << std::endl;
                results[i] = std::move(result);
            }
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex);
            failure = std::current_exception();
            next = runs.size();
        }
    };
    std::vector<std::thread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back(work);
    work();
    for (std::thread &worker : workers) worker.join();
    if (failure) std::rethrow_exception(failure);
    return results;
}

}  // namespace digits
