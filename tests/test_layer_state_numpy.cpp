// Layers' states: the files of NumPy and others load, of every type, byte order and spelling that
// is allowed, and out of a whole model's file.
#include "state.h"

#include <hnorm/hnorm.hpp>
#include <hnorm/state.hpp>

#include <cmath>
#include <cstring>
#include <limits>

using namespace api;

namespace {

// make_state.py's values
void require_numpy_state(hnorm_layer *layer, const std::string &file) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float weight[] = {1.5f, -0.25f, 0.1f, -1e-30f, 3e38f}, bias[] = {0.0f, -0.0f, 1e-45f, 7.0f, infinity};
    const float mean[] = {0.5f, -1e10f, 0.3f, 0.0f, 0x1p-140f}, variance[] = {1.0f, 0.0f, 1e-20f, 1e30f, 0.7f};
    require_loaded(layer, std::string(HNORM_STATE_FILES) + "/" + file);
    INFO(file);
    REQUIRE(std::memcmp(hnorm_layer_gamma(layer), weight, sizeof weight) == 0);
    REQUIRE(std::memcmp(hnorm_layer_beta(layer), bias, sizeof bias) == 0);
    REQUIRE(std::equal(mean, mean + 5, hnorm_layer_running_mean(layer)));
    REQUIRE(std::equal(variance, variance + 5, hnorm_layer_running_var(layer)));
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 1234567);
}

}  // namespace

TEST_CASE("files that NumPy wrote load") {
    Layer layer(5);
    require_numpy_state(layer, "state_numpy.npz");
    REQUIRE(hnorm_layer_reset_running_stats(layer) == HNORM_OK);
    scramble(layer, 3);
    require_numpy_state(layer, "state_numpy_compressed.npz");
}

TEST_CASE("both byte orders and every type and spelling that is allowed load") {
    const Folder folder;
    const std::string path = folder / "layer.npz";
    Layer layer(2);
    const std::vector<float> floats = {1.25f, -3e-39f};
    const std::vector<double> doubles = {0.1, -1e300};
    const std::vector<int32_t> narrow = {2147483647};
    const std::vector<int64_t> wide = {int64_t(1) << 40};
    for (bool swapped : {false, true}) {
        const std::string order = swapped ? ">" : "<";
        write_zip(path, {{"bias.npy", npy(order + "f4", "(2,)", bytes_of(floats, swapped))},
                         {"weight.npy", npy(order + "f4", "(2,)", bytes_of(floats, swapped))},
                         {"running_var.npy", npy(order + "f4", "(2,)", bytes_of(floats, swapped))},
                         {"running_mean.npy", npy(order + "f8", "(2,)", bytes_of(doubles, swapped))},
                         {"num_batches_tracked.npy", npy(order + "i4", "(1,)", bytes_of(narrow, swapped))}});
        scramble(layer, 5);
        require_loaded(layer, path);
        REQUIRE(std::equal(floats.begin(), floats.end(), hnorm_layer_beta(layer)));
        REQUIRE(std::equal(floats.begin(), floats.end(), hnorm_layer_running_var(layer)));
        REQUIRE(std::equal(doubles.begin(), doubles.end(), hnorm_layer_running_mean(layer)));
        REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 2147483647);
    }
    const std::string f4 = bytes_of(floats), f8 = bytes_of(doubles), i8 = bytes_of(wide);
    write_zip(
        path,
        {{"weight.npy", npy_of("{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", f4)},
         {"bias.npy", npy_of("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f4\"}   \n", f4, 2)},
         {"running_mean.npy", npy_of(" { 'shape' : ( 2 , ) , 'descr' : '<f8' , 'fortran_order' : True } ", f8, 3)},
         {"running_var.npy", npy_of("{'descr': '<f8', 'fortran_order': False, 'shape': (2)}", f8)},
         {"num_batches_tracked.npy", npy("<i8", "()", i8)}},
        ZIP_CM_DEFLATE);
    scramble(layer, 5);
    require_loaded(layer, path);
    REQUIRE(std::equal(floats.begin(), floats.end(), hnorm_layer_gamma(layer)));
    REQUIRE(std::equal(floats.begin(), floats.end(), hnorm_layer_beta(layer)));
    REQUIRE(std::equal(doubles.begin(), doubles.end(), hnorm_layer_running_mean(layer)));
    REQUIRE(std::equal(doubles.begin(), doubles.end(), hnorm_layer_running_var(layer)));
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == int64_t(1) << 40);
}

TEST_CASE("floats of 16 and 64 bits load, rounded to nearest") {
    const Folder folder;
    const std::string path = folder / "layer.npz";
    Layer layer(6);
    const std::vector<uint16_t> halves = {0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00, 0x8000};
    const std::vector<float> of_halves = {1, -2, 0x1p-24f, 65504, -std::numeric_limits<float>::infinity(), -0.0f};
    const std::vector<double> doubles = {0.1, 1e300, -1e-60, 16777217, 16777219, -5};
    for (bool swapped : {false, true}) {
        const std::string order = swapped ? ">" : "<";
        write_zip(path, {{"weight.npy", npy(order + "f2", "(6,)", bytes_of(halves, swapped))},
                         {"bias.npy", npy(order + "f8", "(6,)", bytes_of(doubles, swapped))},
                         {"running_mean.npy", npy(order + "f2", "(6,)", bytes_of(halves, swapped))},
                         {"running_var.npy", npy(order + "f8", "(6,)", bytes_of(doubles, swapped))},
                         {"num_batches_tracked.npy", npy(order + "i8", "()", bytes_of<int64_t>({3}, swapped))}});
        scramble(layer, 5);
        require_loaded(layer, path);
        for (size_t i = 0; i < halves.size(); i++) {
            INFO("value " << i << (swapped ? ", big endian" : ""));
            REQUIRE(hnorm_layer_gamma(layer)[i] == of_halves[i]);
            REQUIRE(std::signbit(hnorm_layer_gamma(layer)[i]) == std::signbit(of_halves[i]));
            REQUIRE(hnorm_layer_beta(layer)[i] == static_cast<float>(doubles[i]));
            REQUIRE(hnorm_layer_running_mean(layer)[i] == static_cast<double>(of_halves[i]));
            REQUIRE(hnorm_layer_running_var(layer)[i] == doubles[i]);
        }
    }
    const std::vector<uint16_t> nan(6, 0x7e01);
    write_zip(path,
              {{"weight.npy", npy("<f2", "(6,)", bytes_of(nan))}, {"bias.npy", npy("<f2", "(6,)", bytes_of(nan))}});
    Layer untracked(6, layer_options(HNORM_BATCH, true, false));
    require_loaded(untracked, path);
    REQUIRE(std::isnan(hnorm_layer_gamma(untracked)[5]));
}

TEST_CASE("a layer's arrays load by their prefix out of a whole model's file") {
    const Folder folder;
    const std::string path = folder / "model.npz";
    const auto floats = [](float value) { return npy("<f4", "(2,)", bytes_of<float>({value, -value})); };
    const auto doubles = [](double value) { return npy("<f8", "(2,)", bytes_of<double>({value, 2 * value})); };
    Members members = {{"conv1.weight.npy", npy("<f4", "(1, 2, 3)", bytes_of<float>({1, 2, 3, 4, 5, 6}))},
                       {"layer1.0.bn1.weight.npy", floats(3)},
                       {"layer1.0.bn1.bias.npy", floats(4)},
                       {"layer1.0.bn1.running_mean.npy", doubles(5)},
                       {"layer1.0.bn1.running_var.npy", doubles(6)},
                       {"layer1.0.bn10.weight.npy", floats(7)},
                       {"fc.bias.npy", "no array at all"}};
    write_zip(path, members);
    Layer layer(2);
    scramble(layer, 8);
    REQUIRE(hnorm_layer_load_prefixed(layer, path.c_str(), "layer1.0.bn1.") == HNORM_OK);
    REQUIRE(hnorm_layer_gamma(layer)[1] == -3);
    REQUIRE(hnorm_layer_beta(layer)[0] == 4);
    REQUIRE(hnorm_layer_running_mean(layer)[1] == 10);
    REQUIRE(hnorm_layer_running_var(layer)[0] == 6);
    // PyTorch's files of before the counter have none.
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 0);
    hnorm::BatchNorm bn(2);
    hnorm::load(bn, path, "layer1.0.bn1.");
    REQUIRE(bn.gamma()[0] == 3);

    const State before(layer);
    const auto refused = [&](const char *prefix, hnorm_status status, const std::vector<std::string> &words) {
        require_refused(hnorm_layer_load_prefixed(layer, path.c_str(), prefix), status, words);
        REQUIRE(State(layer) == before);
    };
    refused(nullptr, HNORM_INVALID_ARGUMENT, {"hnorm_layer_load_prefixed", "prefix is null"});
    refused("", HNORM_FILE_ERROR, {"holds conv1.weight.npy"});
    refused("layer2.", HNORM_FILE_ERROR, {"holds no layer2.weight.npy"});
    refused("layer1.0.bn10.", HNORM_FILE_ERROR, {"holds no layer1.0.bn10.bias.npy"});
    refused("layer1.0.bn1", HNORM_FILE_ERROR, {"holds layer1.0.bn1.weight.npy"});
    members.emplace_back("layer1.0.bn1.extra.npy", floats(1));
    write_zip(path, members);
    refused("layer1.0.bn1.", HNORM_FILE_ERROR, {"holds layer1.0.bn1.extra.npy"});
}
