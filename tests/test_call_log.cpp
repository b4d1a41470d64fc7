// HNORM_LOG: which calls a log has, and how it counts them. (test_call_log_files.cpp: where it is
// written.)
#include "call_logs.h"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <thread>

using namespace logs;

TEST_CASE("a log has a line for each distinct call, with their number") {
    const Folder folder;
    const std::string said = child_says(folder, folder / "log", [] {
        for (int i = 0; i < 3; i++) forward({2, 3, 4, 5});
        forward({2, 3, 20});
        const Tensor x({4, 6, 3, 3}, 1, HNORM_F16), y({4, 6, 3, 3}, 1, HNORM_F16), more({4, 6, 3, 3}, 1, HNORM_F16);
        const hnorm_post_ops add_relu{sizeof add_relu, HNORM_RELU, 0, &more.tensor};
        must(hnorm_forward(&x.tensor, hnorm_groups(2), nullptr, 1e-5, &add_relu, &y.tensor, nullptr, nullptr));
        const hnorm_post_ops add{sizeof add, HNORM_NO_ACTIVATION, 0, &more.tensor};
        must(hnorm_forward(&x.tensor, hnorm_groups(6), nullptr, 1e-5, &add, &y.tensor, nullptr, nullptr));
        const std::vector<double> mean(24, 0.0), variance(24, 1.0);
        const hnorm_post_ops leaky{sizeof leaky, HNORM_LEAKY_RELU, 0.25f, nullptr};
        must(
            hnorm_normalize(&x.tensor, HNORM_INSTANCE, mean.data(), variance.data(), nullptr, 1e-5, &leaky, &x.tensor));
        must(hnorm_normalize_backward(nullptr, &x.tensor, HNORM_BATCH, mean.data(), variance.data(), nullptr, 1e-5,
                                      nullptr, &y.tensor, nullptr, nullptr));
        must(hnorm_activation_backward(&x.tensor, &y.tensor, HNORM_RELU, 0, &more.tensor));
    });
    REQUIRE(said.empty());
    const std::string f16 = " channels_last f16";
    require_lines(folder / "log", {{"2x3x4x5 forward batch channels_first f32", 3},
                                   {"2x3x20 forward batch channels_first f32", 1},
                                   {"4x6x3x3 forward_add_relu groups2" + f16, 1},
                                   {"4x6x3x3 forward_add instance" + f16, 1},
                                   {"4x6x3x3 normalize_relu instance" + f16 + ", in place", 1},
                                   {"4x6x3x3 normalize_backward batch" + f16, 1},
                                   {"4x6x3x3 activation_backward batch" + f16, 1}});
    REQUIRE(folder.files() == std::vector<std::string>{"log"});
}

TEST_CASE("a layer's calls are in the log, once each, and refused and empty calls are not") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        const Tensor x({4, 3, 5, 5}), y({4, 3, 5, 5}), dy({4, 3, 5, 5}), dx({4, 3, 5, 5});
        const hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
        hnorm_layer *layer = nullptr;
        must(hnorm_layer_create(3, &options, &layer));
        must(hnorm_layer_forward(layer, &x.tensor, &y.tensor));
        must(hnorm_layer_backward(layer, &x.tensor, &dy.tensor, &dx.tensor));
        must(hnorm_layer_train(layer, 0));
        must(hnorm_layer_forward(layer, &x.tensor, &y.tensor));
        if (hnorm_layer_forward(layer, &x.tensor, nullptr) == HNORM_OK) _exit(3);
        const Tensor none({0, 3, 5, 5});
        must(hnorm_layer_forward(layer, &none.tensor, &none.tensor));
        hnorm_layer_destroy(layer);
    });
    require_lines(folder / "log", {{"4x3x5x5 forward batch channels_first f32", 1},
                                   {"4x3x5x5 backward batch channels_first f32", 1},
                                   {"4x3x5x5 normalize batch channels_first f32", 1}});
}

TEST_CASE("a program's name with several lines is one line of the log") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        static char name[] = "two\nlines";
        program_invocation_short_name = name;
        forward({2, 3, 4});
        forward({2, 3, 5});
    });
    require_lines(folder / "log",
                  {{"2x3x4 forward batch channels_first f32", 1}, {"2x3x5 forward batch channels_first f32", 1}});
    REQUIRE(text_of(folder / "log").find("# The calls of two?lines, process ") == 0);
}

TEST_CASE("tensors with gaps in memory have lines of their own") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        const Tensor y({2, 3, 4});
        Tensor x({2, 6, 4});
        x.tensor.shape[1] = 3;  // every sample's first half
        must(hnorm_forward(&x.tensor, HNORM_BATCH, nullptr, 1e-5, nullptr, &y.tensor, nullptr, nullptr));
        forward({2, 3, 4});
    });
    require_lines(folder / "log", {{"2x3x4 forward batch channels_first f32, with gaps in memory", 1},
                                   {"2x3x4 forward batch channels_first f32", 1}});
}

TEST_CASE("threads count together") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        hnorm_set_num_threads(1);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++)
            threads.emplace_back([] {
                for (int64_t i = 0; i < 300; i++) forward({2, 3, 2 + i % 10});
            });
        for (std::thread &thread : threads) thread.join();
    });
    std::map<std::string, long> expected;
    for (int i = 2; i <= 11; i++) expected["2x3x" + std::to_string(i) + " forward batch channels_first f32"] = 120;
    require_lines(folder / "log", expected);
}

TEST_CASE("more kinds of calls than there are lines are counted in one") {
    constexpr long kKinds = 5000;
    const Folder folder;
    child_says(folder, folder / "log", [] {
        hnorm_set_num_threads(1);
        for (int64_t i = 1; i <= kKinds; i++) forward({2, 1, i});
    });
    const std::map<std::string, Line> lines = lines_of(folder / "log");
    REQUIRE((lines.size() > 3000 && lines.size() < kKinds));
    const std::string rest = "# Of more kinds than a log has lines: ", text = text_of(folder / "log");
    REQUIRE(text.find(rest) != std::string::npos);
    REQUIRE(std::stol(text.substr(text.find(rest) + rest.size())) == kKinds - static_cast<long>(lines.size()));
}
