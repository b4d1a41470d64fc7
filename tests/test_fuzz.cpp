// Random calls: right ones give the transcription's bits on every target, in place and not, between
// guard pages, and the same bits whatever memory, threads and floating-point environment they find.
// (Wrong ones: test_fuzz_refusals.cpp.)
#include "api.h"
#include "check_bits.h"
#include "environments.h"
#include "failing_memory.h"
#include "failing_threads.h"
#include "fuzz_calls.h"

#include <fstream>
#include <mutex>
#include <thread>

using namespace test;

namespace {

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

int any_thread_count(Random &random) {
    constexpr int kThreads[] = {1, 2, 3, 7};
    return any_of(kThreads, random);
}

// What a function gives in the default environment, with all that it asks for, it gives in every
// other, or says what ran out.
void check_resources(Random &random, const std::string &seed) {
    Calls calls = random_calls(random);
    const Machine machine(any_of(usable_targets(), random), any_thread_count(random));
    const int function = static_cast<int>(random.index(Calls::kFunctions));
    if (groups_of_sample(calls.group) && Calls::is_of_sums(function)) return;
    if (calls.call(function) != HNORM_OK) {
        REQUIRE(std::string(hnorm_last_error()).find("more than 1 value") != std::string::npos);  // has no variance
        return;
    }
    const std::vector<char> expected = calls.written();
    INFO(seed << ": " << Calls::name(function) << ", " << machine.describe());
    for (const Environment &environment : kEnvironments) {
        bool kept = false;
        const hnorm_status status = in_environment(environment, &kept, [&] { return calls.call(function); });
        INFO(environment.name);
        REQUIRE(status == HNORM_OK);
        REQUIRE(kept);
        REQUIRE(calls.written() == expected);
    }
#if defined(HNORM_FAILING_MEMORY)
    for (int i = 0; i < 8; i++) {
        hnorm_shutdown();
        const long live = failing::live, at = log_uniform(random, 60) - 1;
        const int threads = static_cast<int>(random.index(3) == 0 ? random.index(7) : 1 << 30);
        failing::all_after = random.index(2) == 0;
        failing::failures = 0;
        threads_allowed = threads;
        const Environment &environment = any_of(kEnvironments, random);
        bool kept_environment = false;
        failing::left_to_go = at;
        const hnorm_status status =
            in_environment(environment, &kept_environment, [&] { return calls.call(function); });
        failing::left_to_go = -1;
        threads_allowed = 1 << 30;
        const std::string said = status == HNORM_OK ? "" : hnorm_last_error();
        const std::vector<char> written = status == HNORM_OK ? calls.written() : expected;
        const hnorm_status again = calls.call(function);
        hnorm_shutdown();
        const long kept = failing::live - live - (said.size() > 15) - 1;  // these two are the test's
        INFO("allocation " << at << (failing::all_after ? " and all after it fail, " : " fails, ") << threads
                           << " threads may begin: " << hnorm_status_name(status) << ": " << said);
        REQUIRE((status == HNORM_OK || (status == HNORM_OUT_OF_MEMORY && failing::failures > 0)));
        REQUIRE(kept_environment);
        REQUIRE(written == expected);
        REQUIRE(again == HNORM_OK);
        REQUIRE(calls.written() == expected);
        REQUIRE((hnorm_get_num_threads() > 1 || kept == 0));  // threads keep memory of the C library's
    }
#endif
    REQUIRE(calls.damage().empty());
}

// Kilobytes that the process has in memory.
long resident() {
    std::ifstream file("/proc/self/statm");
    long pages = 0, all = 0;
    file >> all >> pages;
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// Callers that share a process: each makes calls of its own, and every call gives what it gives
// alone.
class Load {
public:
    explicit Load(Random &random) {
        for (int i = 0; i < 24; i++) {
            const auto seed = static_cast<uint64_t>(random.index(1 << 30));
            for (int function = 0; function < Calls::kFunctions; function++)
                jobs_.push_back({seed, current_format(), function, {}});
            current_format() = random_format(random);
        }
        hnorm_set_num_threads(1);
        for (Job &job : jobs_) job.expected = result(job);
    }
    ~Load() { hnorm_set_num_threads(0); }

    // So many callers, each so many calls; "" or what went wrong.
    std::string run(int callers, int calls, Random &random) {
        std::vector<std::thread> threads;
        for (int i = 0; i < callers; i++) {
            const auto seed = static_cast<uint64_t>(random.index(1 << 30));
            threads.emplace_back([this, seed, calls] { call(seed, calls); });
        }
        for (std::thread &thread : threads) thread.join();
        return wrong_;
    }

private:
    struct Job {
        uint64_t seed;
        TensorFormat format;
        int function;
        size_t expected;
    };

    // Tensors take the format that is current as they are made.
    size_t result(const Job &job) {
        std::unique_ptr<Calls> calls;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            Random random(job.seed);
            current_format() = job.format;
            calls.reset(new Calls(random_calls(random)));
        }
        const hnorm_status status = calls->call(job.function);
        const std::vector<char> bytes = calls->written();
        return std::hash<std::string>()(std::string(bytes.begin(), bytes.end())) + static_cast<size_t>(status);
    }
    void call(uint64_t seed, int calls) {
        Random random(seed);
        for (int i = 0; i < calls; i++) {
            const Job &job = any_of(jobs_, random);
            if (random.index(10) == 0) hnorm_set_num_threads(any_thread_count(random));
            if (random.index(50) == 0) hnorm_shutdown();
            if (result(job) == job.expected) continue;
            const std::lock_guard<std::mutex> lock(mutex_);
            wrong_ = std::string(Calls::name(job.function)) + " of seed " + std::to_string(job.seed) + ", " +
                     job.format.name() + ", differs from what it gave alone";
        }
    }

    std::vector<Job> jobs_;
    std::mutex mutex_;
    std::string wrong_;
};

// A layer of any options: steps of training and evaluation give what the functions give, and keep
// the statistics that they should.
void check_layer(Random &random, const std::string &seed) {
    const Shape shape = random_shape(random);
    Tensor x(shape, random_padding(random)), y(shape), expected(shape), dy(shape), dx(shape), expected_dx(shape);
    hnorm_layer_options options = hnorm_layer_defaults(any_of(random_groups(random, shape[1]), random));
    const hnorm_group group = options.group;
    options.momentum = random.uniform();
    options.cumulative = random.index(4) == 0;
    options.affine = random.index(3) != 0;
    options.track_running_stats = groups_of_sample(group) == 0 && random.index(3) != 0;
    options.onnx_running_stats = !options.cumulative && random.index(3) == 0;
    const Activation activation = kActivations[random.index(5)];
    options.activation = activation.kind;
    options.negative_slope = activation.kind == HNORM_LEAKY_RELU ? activation.negative_slope : 0;
    INFO(seed << ": " << name(group) << " " << x.describe());
    if (group_size(x, group) < 2) return;
    api::Layer layer(shape[1], options);
    const Affine affine(options.affine ? AffineKind::kChannel : AffineKind::kNone, x, 3);
    const auto channels = static_cast<size_t>(shape[1]);
    if (options.affine) {
        std::copy(affine.gammas.begin(), affine.gammas.end(), hnorm_layer_gamma(layer));
        std::copy(affine.betas.begin(), affine.betas.end(), hnorm_layer_beta(layer));
    }
    std::vector<float> gamma_grad(channels, 0), beta_grad(channels, 0);
    std::vector<double> running_mean(channels, 0), running_var(channels, 1);
    int64_t steps = 0;
    for (int step = 0; step < 4; step++) {
        const bool training = random.index(3) != 0, frozen = !training && options.track_running_stats;
        REQUIRE(hnorm_layer_train(layer, training) == HNORM_OK);
        fill(x, {Kind::kNormal, 1, 1, static_cast<uint64_t>(random.index(1 << 30))});
        fill(dy, {Kind::kNormal, 0, 1, static_cast<uint64_t>(random.index(1 << 30))});
        MeanAndVariance of_step = {running_mean, running_var};
        if (frozen) {
            normalize(x, HNORM_BATCH, running_mean, running_var, affine, options.eps, expected, {activation});
        } else {
            of_step = forward(x, group, affine, options.eps, expected, {activation});
        }
        const hnorm_tensor of_x = x.view(), of_y = y.view(), of_dy = dy.view(), of_dx = dx.view();
        REQUIRE(hnorm_layer_forward(layer, &of_x, &of_y) == HNORM_OK);
        y.load();
        require_same("layer_forward", difference(y, elements(expected)));
        REQUIRE(hnorm_layer_backward(layer, &of_x, &of_dy, &of_dx) == HNORM_OK);
        if (training && options.track_running_stats) {
            const double weight = options.cumulative           ? 1.0 / static_cast<double>(++steps)
                                  : options.onnx_running_stats ? 1 - options.momentum
                                                               : options.momentum;
            const auto samples = static_cast<size_t>(group == HNORM_BATCH ? 1 : shape[0]);
            const auto size = static_cast<double>(group_size(x, group));
            const double correction = options.onnx_running_stats ? 1 : size / (size - 1);
            for (size_t c = 0; c < channels; c++) {
                double mean = 0, variance = 0;
                for (size_t n = 0; n < samples; n++) {
                    mean += of_step.mean[n * channels + c] / static_cast<double>(samples);
                    variance += of_step.variance[n * channels + c] / static_cast<double>(samples);
                }
                running_mean[c] += weight * (mean - running_mean[c]);
                running_var[c] += weight * (variance * correction - running_var[c]);
                REQUIRE(std::fabs(running_mean[c] - hnorm_layer_running_mean(layer)[c]) < 1e-12);
                const double found = hnorm_layer_running_var(layer)[c];  // 0 for equal values and a weight of 1
                REQUIRE(std::fabs(running_var[c] - found) <= 1e-12 * found);
                // the layer's own from here on: their last bits differ
                running_mean[c] = hnorm_layer_running_mean(layer)[c];
                running_var[c] = hnorm_layer_running_var(layer)[c];
            }
        }
        const ParameterGradients gradients =
            backward(&x, dy, frozen ? HNORM_BATCH : group, of_step.mean, of_step.variance, affine, options.eps, frozen,
                     &expected_dx, Wanted::kBoth, {activation});
        dx.load();
        require_same("layer_backward", difference(dx, elements(expected_dx)));
        for (size_t c = 0; c < channels && options.affine; c++) {
            gamma_grad[c] += gradients.dgamma[c];
            beta_grad[c] += gradients.dbeta[c];
        }
    }
    if (options.affine) {
        REQUIRE(std::equal(gamma_grad.begin(), gamma_grad.end(), hnorm_layer_gamma_grad(layer)));
        REQUIRE(std::equal(beta_grad.begin(), beta_grad.end(), hnorm_layer_beta_grad(layer)));
    }
    REQUIRE(x.damage() + y.damage() + dx.damage() == "");
}

}  // namespace

TEST_CASE("environments, memory that runs out and threads that cannot begin change no bit", "[cpu]") {
    for_seeds(40, 15, "rounds of 5 environments and 8 shortages", check_resources);
}

TEST_CASE("random layers give what the functions give", "[cpu]") { for_seeds(60, 5, "layers of 4 steps", check_layer); }

TEST_CASE("many callers at once get what each gets alone, in memory that does not grow", "[cpu]") {
    const bool is_long = from_environment("HNORM_FUZZ_SECONDS", 0) > 0;
    const int callers = is_long ? 64 : 8;
    long before = 0;
    int64_t rounds = 0;
    for_seeds(2, 10, "rounds of " + std::to_string(callers) + " callers with 30 calls each",
              [&](Random &random, const std::string &) {
                  const std::string wrong = Load(random).run(callers, 30, random);
                  REQUIRE(wrong == "");
                  hnorm_shutdown();
                  // What allocators keep for so many threads they have by then.
                  if (++rounds == 5) before = resident();
                  INFO("kilobytes resident after 5 rounds: " << before);
                  REQUIRE((rounds < 10 || resident() < before + 64 * 1024));
              });
}

TEST_CASE("random calls give the transcription's bits") {
    for_seeds(on_device() ? 10 : 40, 40, "random cases of every function", [](Random &random, const std::string &) {
        const Case test_case = random_case(random);
        const Groups groups = random_groups(random, test_case.shape[1]);
        check_forward_bits_of(groups, test_case);
        check_backward_bits_of(groups, test_case,
                               random.index(2) ? varied_dy(test_case.recipe.seed) : random_case(random));
    });
}
