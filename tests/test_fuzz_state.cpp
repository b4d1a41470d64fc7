// Random state files: those that state.h allows load as their values, all others are refused and
// leave the layer as it was; a save without room leaves the file as it was.
#include "environments.h"
#include "fuzz.h"
#include "state.h"

#include <sys/resource.h>

#include <csignal>

using namespace api;
using test::any_of;
using test::for_seeds;
using test::log_uniform;
using test::Random;

namespace {

std::string random_bytes(Random &random, size_t size) {
    std::string bytes(size, '\0');
    for (char &byte : bytes) byte = static_cast<char>(random.index(256));
    return bytes;
}

bool chance(Random &random, int64_t one_in) { return random.index(one_in) == 0; }

// An array as a file has it, and its values.
struct Array {
    std::string name, descr, shape, values;
    char version = 1;
    bool fortran = false;
    std::vector<double> meant;

    std::string npy() const {
        const std::string entries[] = {"'descr': '" + descr + "'",
                                       std::string("'fortran_order': ") + (fortran ? "True" : "False"),
                                       "'shape': " + shape};
        return npy_of("{" + entries[0] + ", " + entries[1] + ", " + entries[2] + ", }\n", values, version);
    }
};

template <typename T>
void append(Array &array, T value, bool swapped) {
    array.values += bytes_of<T>({value}, swapped);
}

// Values that every type of floats has; of 64 bits any, rounded to nearest where the layer's are of
// 32.
Array random_floats(Random &random, const std::string &name, int64_t count) {
    const bool swapped = chance(random, 3);
    const int bytes = 2 << random.index(3);
    Array array = {name,
                   (swapped ? ">f" : "<f") + std::to_string(bytes),
                   "(" + std::to_string(count) + ",)",
                   {},
                   1,
                   chance(random, 4),
                   {}};
    array.version = static_cast<char>(1 + random.index(3));
    for (int64_t i = 0; i < count; i++) {
        // 1.m * 2^e of f16's normal numbers
        const uint16_t half =
            static_cast<uint16_t>(random.index(1 << 10) | (1 + random.index(29)) << 10 | random.index(2) << 15);
        double value = static_cast<double>(test::to_float(half, test::kF16));
        if (bytes == 8) value *= 1 + random.uniform();
        const bool of_32_bits = name == "weight" || name == "bias";
        array.meant.push_back(of_32_bits ? static_cast<double>(static_cast<float>(value)) : value);
        if (bytes == 2) append(array, half, swapped);
        if (bytes == 4) append(array, static_cast<float>(value), swapped);
        if (bytes == 8) append(array, value, swapped);
    }
    return array;
}

Array random_counter(Random &random) {
    const bool swapped = chance(random, 3), wide = chance(random, 2);
    Array array = {"num_batches_tracked",
                   (swapped ? ">i" : "<i") + std::string(wide ? "8" : "4"),
                   chance(random, 3) ? "(1,)" : "()",
                   {},
                   1,
                   false,
                   {}};
    const int64_t value = random.index(1 << 30);
    array.meant.push_back(static_cast<double>(value));
    if (wide) append(array, value, swapped);
    if (!wide) append(array, static_cast<int32_t>(value), swapped);
    return array;
}

// Makes one thing wrong; what was done.
std::string spoil(Random &random, std::vector<Array> &arrays) {
    Array &array = arrays[static_cast<size_t>(random.index(static_cast<int64_t>(arrays.size())))];
    const bool counter = array.name.find("num_batches_tracked") != std::string::npos;
    constexpr const char *kTypes[] = {"i1", "i2", "u4", "u8",    "c8",  "c16", "S4",
                                      "U1", "O",  "V4", "M8[s]", "f16", "f3",  "b1"};
    switch (random.index(counter ? 5 : 7)) {
    case 0:
        array.descr = std::string(1, "<>|="[random.index(4)]) + any_of(kTypes, random);
        return "type " + array.descr;
    case 1:
        array.descr = counter ? "<f" + array.descr.substr(2) : array.descr.substr(0, 1) + "i" + array.descr.substr(2);
        return "type " + array.descr;
    case 2:
        array.values.resize(static_cast<size_t>(random.index(static_cast<int64_t>(array.values.size()))));
        return "too few values";
    case 3:
        array.values += random_bytes(random, static_cast<size_t>(log_uniform(random, 1000)));
        return "too many values";
    case 4:
        array.name += any_of(std::vector<std::string>{"x", "_", " ", "\xff", "/"}, random);
        return "name " + array.name;
    case 5: {
        const std::string extent = std::to_string(array.meant.size());
        const std::string shapes[] = {"()",
                                      "(-" + extent + ",)",
                                      "(" + extent + ", 2)",
                                      "(9999999999999999999999,)",
                                      "(" + extent + "1,)",
                                      "[" + extent + "]",
                                      "(0,)",
                                      "(1, " + extent + ")"};
        array.shape = any_of(shapes, random);
        return "shape " + array.shape;
    }
    default: {
        const std::string name = array.name;
        arrays.erase(arrays.begin() + (&array - arrays.data()));
        return "no " + name;
    }
    }
}

void check_written_file(Random &random, const std::string &path) {
    const int64_t features = log_uniform(random, 40);
    const bool affine = !chance(random, 3), tracks = !affine || !chance(random, 3);
    Layer layer(features, layer_options(HNORM_BATCH, affine, tracks));
    scramble(layer, static_cast<uint32_t>(random.index(1 << 30)));
    std::vector<Array> arrays;
    if (affine) arrays = {random_floats(random, "weight", features), random_floats(random, "bias", features)};
    if (tracks) {
        arrays.push_back(random_floats(random, "running_mean", features));
        arrays.push_back(random_floats(random, "running_var", features));
        arrays.push_back(random_counter(random));
    }
    const std::vector<Array> right = arrays;
    const std::string wrong = chance(random, 2) ? spoil(random, arrays) : "";
    const std::string prefix = chance(random, 3) ? "layer" + std::to_string(random.index(20)) + "." : "";
    Members members;
    for (const Array &array : arrays) members.emplace_back(prefix + array.name + ".npy", array.npy());
    if (!prefix.empty()) members.emplace_back("a" + prefix + "weight.npy", random_bytes(random, 20));
    for (size_t i = members.size(); i-- > 1;)
        std::swap(members[i], members[static_cast<size_t>(random.index(static_cast<int64_t>(i) + 1))]);
    write_zip(path, members, chance(random, 2) ? ZIP_CM_STORE : ZIP_CM_DEFLATE);
    const State before(layer);
    bool kept = false;
    const hnorm_status status = test::in_environment(any_of(test::kEnvironments, random), &kept, [&] {
        return prefix.empty() ? hnorm_layer_load(layer, path.c_str())
                              : hnorm_layer_load_prefixed(layer, path.c_str(), prefix.c_str());
    });
    REQUIRE(kept);
    INFO("wrong: " << wrong << "; " << hnorm_status_name(status) << ": " << hnorm_last_error());
    REQUIRE(status == (wrong.empty() ? HNORM_OK : HNORM_FILE_ERROR));
    const State after(layer);
    REQUIRE(after.other == before.other);
    if (!wrong.empty()) {
        REQUIRE(after == before);
        return;
    }
    for (const Array &array : right) {
        for (size_t i = 0; i < array.meant.size(); i++) {
            const double value = array.name == "weight"         ? static_cast<double>(hnorm_layer_gamma(layer)[i])
                                 : array.name == "bias"         ? static_cast<double>(hnorm_layer_beta(layer)[i])
                                 : array.name == "running_mean" ? hnorm_layer_running_mean(layer)[i]
                                 : array.name == "running_var"
                                     ? hnorm_layer_running_var(layer)[i]
                                     : static_cast<double>(*hnorm_layer_num_batches_tracked(layer));
            INFO(array.name << "[" << i << "], of type " << array.descr);
            REQUIRE(value == array.meant[i]);
        }
    }
}

// Some of a file's bytes changed, taken away, put in, or said twice.
std::string mutated(Random &random, std::string bytes) {
    for (int64_t i = log_uniform(random, 8); i-- > 0 && !bytes.empty();) {
        const auto size = static_cast<int64_t>(bytes.size());
        const auto at = static_cast<size_t>(random.index(size)), length = static_cast<size_t>(log_uniform(random, 64));
        switch (random.index(5)) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.index(8))); break;
        case 1: bytes.erase(at, length); break;
        case 2: bytes.insert(at, random_bytes(random, length)); break;
        case 3: bytes.insert(at, bytes.substr(static_cast<size_t>(random.index(size)), length)); break;
        default:
            bytes.replace(at, std::min(length, bytes.size() - at),
                          std::string(length, chance(random, 2) ? '\0' : '\xff'));
        }
    }
    return bytes;
}

void check_mutated_file(Random &random, const std::string &path) {
    const int64_t features = log_uniform(random, 20);
    Layer layer(features);
    scramble(layer, static_cast<uint32_t>(random.index(1 << 30)));
    require_saved(layer, path);
    const std::string saved = State(layer).saved;
    write_file(path, mutated(random, read_file(path)));
    scramble(layer, 77);
    const State before(layer);
    const hnorm_status status = hnorm_layer_load(layer, path.c_str());
    INFO(hnorm_status_name(status) << ": " << hnorm_last_error());
    REQUIRE((status == HNORM_OK || status == HNORM_FILE_ERROR));
    // Its checksums hold what loads to what was saved.
    if (status == HNORM_OK) REQUIRE(State(layer).saved == saved);
    if (status != HNORM_OK) REQUIRE(State(layer) == before);
}

// An archive whose checksums are right, of arrays that are not.
void check_mutated_arrays(Random &random, const std::string &path) {
    const int64_t features = log_uniform(random, 20);
    Layer layer(features, layer_options(HNORM_BATCH, true, false));
    Members members;
    for (const char *name : {"weight", "bias"}) {
        const std::string whole = random_floats(random, name, features).npy();
        const size_t header = whole.size() - std::min(whole.size(), static_cast<size_t>(random.index(80)));
        members.emplace_back(std::string(name) + ".npy",
                             mutated(random, whole.substr(0, header)) + whole.substr(header));
    }
    write_zip(path, members);
    scramble(layer, 77);
    const State before(layer);
    const hnorm_status status = hnorm_layer_load(layer, path.c_str());
    INFO(hnorm_status_name(status) << ": " << hnorm_last_error());
    REQUIRE((status == HNORM_OK || status == HNORM_FILE_ERROR));
    REQUIRE(State(layer).other == before.other);
    if (status != HNORM_OK) REQUIRE(State(layer) == before);
}

void check_full_disk(Random &random, const Folder &folder) {
    const std::string path = folder / "saved.npz";
    Layer layer(log_uniform(random, 200));
    scramble(layer, static_cast<uint32_t>(random.index(1 << 30)));
    const std::string old = random_bytes(random, static_cast<size_t>(random.index(100)));
    write_file(path, old);
    rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit limit = {static_cast<rlim_t>(log_uniform(random, 8000) - 1), before.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    const hnorm_status status = hnorm_layer_save(layer, path.c_str());
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, handler);
    INFO("room for " << limit.rlim_cur << " bytes: " << hnorm_status_name(status) << ": " << hnorm_last_error());
    REQUIRE((status == HNORM_OK || status == HNORM_FILE_ERROR));
    REQUIRE(folder.files() == 1);
    if (status == HNORM_FILE_ERROR) {
        REQUIRE(read_file(path) == old);
    } else {
        const std::string saved = State(layer).saved;
        scramble(layer, 78);
        require_loaded(layer, path);
        REQUIRE(State(layer).saved == saved);
    }
    std::filesystem::remove(path);
}

}  // namespace

TEST_CASE("random state files load as their values or are refused") {
    const Folder folder;
    const std::string path = folder / "state.npz";
    for_seeds(100, 20, "rounds of 4 state files", [&](Random &random, const std::string &) {
        check_written_file(random, path);
        check_mutated_file(random, path);
        check_mutated_arrays(random, path);
        std::filesystem::remove(path);
        check_full_disk(random, folder);
    });
}
