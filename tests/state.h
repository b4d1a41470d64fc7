// What the tests of saved states share: layers full of values, files, and .npz files of any
// content.
#pragma once

#include "api.h"

#include <hnorm/state.h>

#include <stdlib.h>
#include <zip.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace api {

// All that a layer holds, in bits.
struct State {
    explicit State(hnorm_layer *layer) : training(hnorm_layer_is_training(layer)) {
        const auto features = static_cast<size_t>(hnorm_layer_num_features(layer));
        for (const float *values : {hnorm_layer_gamma(layer), hnorm_layer_beta(layer)}) take(saved, values, features);
        for (const double *values : {hnorm_layer_running_mean(layer), hnorm_layer_running_var(layer)})
            take(saved, values, features);
        take(saved, hnorm_layer_num_batches_tracked(layer), 1);
        for (const float *values : {hnorm_layer_gamma_grad(layer), hnorm_layer_beta_grad(layer)})
            take(other, values, features);
    }
    bool operator==(const State &state) const {
        return saved == state.saved && other == state.other && training == state.training;
    }

    std::string saved, other;  // other: the gradients
    int training;

private:
    template <typename T>
    static void take(std::string &bytes, const T *values, size_t count) {
        if (values) bytes.append(reinterpret_cast<const char *>(values), count * sizeof(T));
    }
};

// Fills all that a layer holds with bits of no meaning, NaN and infinity among them, and a counter.
inline void scramble(hnorm_layer *layer, uint32_t seed) {
    const auto features = static_cast<size_t>(hnorm_layer_num_features(layer));
    const auto scramble_one = [&](void *values, size_t size) {
        for (size_t i = 0; values && i < features * size; i++) {
            seed = seed * 1664525u + 1013904223u;
            static_cast<unsigned char *>(values)[i] = static_cast<unsigned char>(seed >> 24);
        }
    };
    scramble_one(hnorm_layer_gamma(layer), sizeof(float));
    scramble_one(hnorm_layer_beta(layer), sizeof(float));
    scramble_one(hnorm_layer_gamma_grad(layer), sizeof(float));
    scramble_one(hnorm_layer_beta_grad(layer), sizeof(float));
    scramble_one(hnorm_layer_running_mean(layer), sizeof(double));
    scramble_one(hnorm_layer_running_var(layer), sizeof(double));
    const uint32_t nan = 0x7fa00001, infinity = 0xff800000;  // a signalling NaN, which arithmetic would change
    if (float *gamma = hnorm_layer_gamma(layer)) std::memcpy(gamma, &nan, 4);
    if (float *beta = hnorm_layer_beta(layer)) std::memcpy(beta, &infinity, 4);
    if (int64_t *batches = hnorm_layer_num_batches_tracked(layer)) *batches = seed;
}

inline hnorm_layer_options layer_options(hnorm_group group, bool affine, bool tracks) {
    hnorm_layer_options options = hnorm_layer_defaults(group);
    options.affine = affine;
    options.track_running_stats = tracks;
    return options;
}

// A new folder, which goes with all that is in it.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "hnorm-state-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    std::string operator/(const std::string &name) const { return (path_ / name).string(); }
    std::string path() const { return path_.string(); }
    size_t files() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {})); }

private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    INFO(path);
    REQUIRE(file.is_open());
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string &path, const std::string &bytes) {
    std::filesystem::remove(path);  // some file systems take much longer over a file that was truncated
    std::ofstream(path, std::ios::binary) << bytes;
}

inline void require_saved(hnorm_layer *layer, const std::string &path) {
    const hnorm_status status = hnorm_layer_save(layer, path.c_str());
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
}

inline void require_loaded(hnorm_layer *layer, const std::string &path) {
    const hnorm_status status = hnorm_layer_load(layer, path.c_str());
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
}

// A .npy file with this dictionary, or whatever else it is to have in its place.
inline std::string npy_of(const std::string &dictionary, const std::string &values, char version = 1) {
    const size_t length = dictionary.size();
    std::string size;
    for (int i = 0; i < (version == 1 ? 2 : 4); i++) size += static_cast<char>(length >> (8 * i) & 0xff);
    return std::string("\x93NUMPY") + version + '\0' + size + dictionary + values;
}

inline std::string npy(const std::string &type, const std::string &shape, const std::string &values) {
    return npy_of("{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n", values);
}

// The values' bytes in this machine's order, which is the little-endian one, or the other.
template <typename T>
std::string bytes_of(const std::vector<T> &values, bool swapped = false) {
    std::string bytes(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
    for (size_t i = 0; swapped && i < bytes.size(); i += sizeof(T))
        std::reverse(bytes.begin() + static_cast<long>(i), bytes.begin() + static_cast<long>(i + sizeof(T)));
    return bytes;
}

using Members = std::vector<std::pair<std::string, std::string>>;  // name, bytes

inline void write_zip(const std::string &path, const Members &members, int compression = ZIP_CM_STORE) {
    std::filesystem::remove(path);
    zip_t *zip = zip_open(path.c_str(), ZIP_CREATE, nullptr);
    REQUIRE(zip != nullptr);
    for (const auto &[name, bytes] : members) {
        zip_source_t *source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
        const zip_int64_t index = zip_file_add(zip, name.c_str(), source, 0);
        REQUIRE(index >= 0);
        REQUIRE(zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), compression, 0) == 0);
    }
    REQUIRE(zip_close(zip) == 0);
}

}  // namespace api
