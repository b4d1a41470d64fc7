// Layers' states: what is saved loads, and a save leaves files as they should be. (Files of others:
// test_layer_state_numpy.cpp.)
#include "state.h"

#include <hnorm/hnorm.hpp>
#include <hnorm/state.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

using namespace api;

namespace {

constexpr hnorm_group kGroups[] = {HNORM_BATCH, HNORM_INSTANCE};

// One training step on data of the step's own.
void train(hnorm_layer *layer, int step, std::vector<char> *y) {
    Pair pair({3, 5, 4, 7}, static_cast<uint32_t>(step)), back({3, 5, 4, 7}, static_cast<uint32_t>(100 + step));
    REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
    REQUIRE(hnorm_layer_backward(layer, &pair.in, &back.in, &back.out) == HNORM_OK);
    float *gamma = hnorm_layer_gamma(layer), *gamma_grad = hnorm_layer_gamma_grad(layer);
    for (int c = 0; gamma && c < 5; c++) gamma[c] -= 0.1f * gamma_grad[c];
    REQUIRE(hnorm_layer_zero_grad(layer) == HNORM_OK);
    for (const Elements *values : {&pair.y, &back.y})
        y->insert(y->end(), values->bytes().begin(), values->bytes().end());
}

}  // namespace

TEST_CASE("a saved state loads with every bit, whatever the layer has") {
    const Folder folder;
    for (hnorm_group group : kGroups) {
        for (int has = 0; has < 4; has++) {
            for (int64_t features : {1, 5, 64, 1000}) {
                INFO("group " << group << ", affine " << has % 2 << ", tracks " << has / 2 << ", " << features);
                const hnorm_layer_options options = layer_options(group, has % 2, has / 2);
                Layer saved(features, options), loaded(features, options);
                scramble(saved, static_cast<uint32_t>(has + features));
                scramble(loaded, 99);
                REQUIRE(hnorm_layer_train(loaded, 0) == HNORM_OK);
                const State before(saved), gradients(loaded);
                require_saved(saved, folder / "layer.npz");
                REQUIRE(State(saved) == before);
                require_loaded(loaded, folder / "layer.npz");
                const State after(loaded);
                REQUIRE(after.saved == before.saved);
                REQUIRE(after.other == gradients.other);
                REQUIRE(after.training == 0);
            }
        }
    }
    REQUIRE(folder.files() == 1);
}

TEST_CASE("training goes on after a load as if it had never stopped") {
    const Folder folder;
    for (hnorm_group group : kGroups) {
        for (int cumulative : {0, 1}) {
            INFO("group " << group << ", cumulative " << cumulative);
            hnorm_layer_options options = layer_options(group, true, true);
            options.cumulative = cumulative;
            std::vector<char> y, y_resumed;  // bytes
            Layer layer(5, options), resumed(5, options);
            for (int step = 0; step < 4; step++) train(layer, step, &y);
            require_saved(layer, folder / "layer.npz");
            require_loaded(resumed, folder / "layer.npz");
            y.clear();
            for (int step = 4; step < 8; step++) {
                train(layer, step, &y);
                train(resumed, step, &y_resumed);
            }
            REQUIRE(same_bits(y, y_resumed));
            REQUIRE(State(layer) == State(resumed));
        }
    }
}

TEST_CASE("the same state gives the same bytes, in any time zone and over any file") {
    const Folder folder;
    Layer layer(7), other(9);
    scramble(layer, 1);
    require_saved(layer, folder / "first.npz");
    const std::string first = read_file(folder / "first.npz");
    for (const char *zone : {"UTC", "Asia/Tokyo", "America/Los_Angeles", "XYZ-12:34"}) {
        setenv("TZ", zone, 1);
        tzset();
        require_saved(other, folder / "again.npz");
        require_saved(layer, folder / "again.npz");
        REQUIRE(read_file(folder / "again.npz") == first);
    }
    unsetenv("TZ");
    tzset();
    Layer loaded(7);
    require_loaded(loaded, folder / "again.npz");
    require_saved(loaded, folder / "again.npz");
    REQUIRE(read_file(folder / "again.npz") == first);
}

TEST_CASE("a file that is saved over keeps its permissions, and a link to it stays one") {
    const Folder folder;
    const std::string path = folder / "layer.npz", link = folder / "link.npz";
    Layer layer(3);
    require_saved(layer, path);
    REQUIRE(chmod(path.c_str(), 0640) == 0);
    REQUIRE(symlink("layer.npz", link.c_str()) == 0);
    scramble(layer, 8);
    require_saved(layer, link);
    struct stat status;
    REQUIRE(stat(path.c_str(), &status) == 0);
    REQUIRE((status.st_mode & 07777) == 0640);
    REQUIRE(std::filesystem::is_symlink(link));
    Layer loaded(3);
    require_loaded(loaded, path);
    REQUIRE(State(loaded).saved == State(layer).saved);

    const mode_t old_mask = umask(027);
    require_saved(layer, folder / "new.npz");
    umask(old_mask);
    REQUIRE(stat((folder / "new.npz").c_str(), &status) == 0);
    REQUIRE((status.st_mode & 07777) == 0640);
}

TEST_CASE("backward after a load is of the latest forward, with gamma as loaded") {
    const Folder folder;
    Layer layer(3), other(3);
    std::fill(hnorm_layer_gamma(other), hnorm_layer_gamma(other) + 3, 2.0f);
    require_saved(other, folder / "layer.npz");
    Pair forward({4, 3, 5}, 1), before({4, 3, 5}, 2), after({4, 3, 5}, 2);
    REQUIRE(hnorm_layer_forward(layer, &forward.in, &forward.out) == HNORM_OK);
    REQUIRE(hnorm_layer_backward(layer, &forward.in, &before.in, &before.out) == HNORM_OK);
    require_loaded(layer, folder / "layer.npz");
    REQUIRE(hnorm_layer_backward(layer, &forward.in, &after.in, &after.out) == HNORM_OK);
    for (size_t i = 0; i < before.y.size(); i++) before.y.set(i, before.y[i] * 2);  // exact
    REQUIRE(same_bits(after.y, before.y));
}

TEST_CASE("C++ layers are saved and loaded, and failures throw the sentence") {
    const Folder folder;
    const std::filesystem::path path = folder / "layer.npz";
    hnorm::BatchNorm2d bn(4);
    bn.gamma()[2] = 7;
    bn.num_batches_tracked()[0] = 5;
    const hnorm::BatchNorm2d &constant = bn;
    hnorm::save(constant, path);
    hnorm::BatchNorm same(4);
    hnorm::load(same, path);
    REQUIRE(same.gamma()[2] == 7);
    REQUIRE(same.num_batches_tracked()[0] == 5);

    hnorm::InstanceNorm in(4);
    try {
        hnorm::load(in, path);
        FAIL("a batch norm's state was loaded into an instance norm without arrays");
    } catch (const hnorm::Error &error) {
        REQUIRE(error.status() == HNORM_FILE_ERROR);
        REQUIRE(std::string(error.what()) == hnorm_last_error());
    }
    REQUIRE_THROWS_AS(hnorm::save(bn, path / "below"), hnorm::Error);
    REQUIRE_THROWS_AS(hnorm::save(bn, path.string() + std::string(1, '\0') + "cut"), hnorm::Error);
    const hnorm::BatchNorm moved = std::move(same);
    REQUIRE_THROWS_AS(hnorm::load(same, path), hnorm::Error);
    hnorm::save(moved, path);
}

TEST_CASE("a link to a file that is not there yet stays one") {
    const Folder folder;
    Layer layer(3);
    const std::string link = folder / "link.npz", second = folder / "second.npz";
    REQUIRE(symlink("folder/new.npz", link.c_str()) == 0);
    REQUIRE(symlink("link.npz", second.c_str()) == 0);
    REQUIRE(hnorm_layer_save(layer, second.c_str()) == HNORM_FILE_ERROR);  // there is no such folder
    REQUIRE(folder.files() == 2);
    std::filesystem::create_directory(folder / "folder");
    require_saved(layer, second);
    REQUIRE(std::filesystem::is_symlink(link));
    REQUIRE(std::filesystem::is_symlink(second));
    require_loaded(layer, folder / "folder/new.npz");
    REQUIRE(folder.files() == 3);
}

TEST_CASE("a file that is saved over keeps its owner, where the process may give files away") {
    if (geteuid() != 0) return;
    const Folder folder;
    const std::string path = folder / "layer.npz";
    Layer layer(3);
    require_saved(layer, path);
    REQUIRE(chown(path.c_str(), 12345, 23456) == 0);
    require_saved(layer, path);
    struct stat status;
    REQUIRE(stat(path.c_str(), &status) == 0);
    REQUIRE(status.st_uid == 12345);
    REQUIRE(status.st_gid == 23456);
}

TEST_CASE("a process that is killed while it saves leaves nothing behind", "[cpu]") {
    const Folder folder;
    const std::string path = folder / "layer.npz";
    Layer layer(3);
    require_saved(layer, path);
    const std::string before = read_file(path);
    scramble(layer, 4);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_DFL);  // which ends it in the middle of the file
        const rlimit none = {0, RLIM_INFINITY}, few = {100, 100};
        setrlimit(RLIMIT_CORE, &none);
        setrlimit(RLIMIT_FSIZE, &few);
        hnorm_layer_save(layer, path.c_str());
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGXFSZ);
    REQUIRE(read_file(path) == before);
    REQUIRE(folder.files() == 1);
}
