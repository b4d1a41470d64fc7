// hnorm_layer_save and hnorm_layer_load.
#include <hnorm/state.h>

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "archive.h"
#include "error.h"
#include "file.h"
#include "float_environment.h"
#include "layer_copies.h"
#include "npy.h"
#include "npy_header.h"

using namespace hnorm::state;
using hnorm::detail::copy_from_layer;
using hnorm::detail::copy_to_layer;
using hnorm::detail::fail;
using hnorm::detail::LayerArray;

namespace {

// An array of the layer's under PyTorch's name.
struct Array {
    LayerArray which;
    std::string name;
    Type type;
    bool scalar;
    int64_t count;
    bool present;

    std::string member() const { return name + ".npy"; }
};

// Those that the layer has.
std::vector<Array> arrays(hnorm_layer *layer) {
    const int64_t features = hnorm_layer_num_features(layer);
    const bool affine = hnorm_layer_gamma(layer), tracks = hnorm_layer_num_batches_tracked(layer);
    std::vector<Array> all = {
        {LayerArray::kGamma, "weight", Type::kFloat32, false, features, affine},
        {LayerArray::kBeta, "bias", Type::kFloat32, false, features, affine},
        {LayerArray::kRunningMean, "running_mean", Type::kFloat64, false, features, tracks},
        {LayerArray::kRunningVar, "running_var", Type::kFloat64, false, features, tracks},
        {LayerArray::kNumBatchesTracked, "num_batches_tracked", Type::kInt64, true, 1, tracks},
    };
    all.erase(std::remove_if(all.begin(), all.end(), [](const Array &array) { return !array.present; }), all.end());
    return all;
}

std::string what_is_allowed(const std::vector<Array> &arrays) {
    std::string names;
    for (const Array &array : arrays) {
        names += (names.empty() ? "" : ", ") + array.name;
    }
    return names.empty() ? "this layer has neither gamma and beta nor running statistics: the file must hold no arrays"
                         : "the file must hold the layer's arrays, " + names + ", each once, and no others";
}

// The sentence keeps a path's end, if not all of it: what is wrong with the file must fit in as
// well.
std::string shortened(const std::string &path) {
    constexpr size_t kLongest = 400;
    return path.size() <= kLongest ? path : "..." + path.substr(path.size() - kLongest);
}

int64_t batches_of(const std::vector<char> &values) {
    int64_t batches;
    std::memcpy(&batches, values.data(), sizeof batches);
    return batches;
}
// A counter that training could not go on with.
bool cannot_count(int64_t batches) { return batches < 0 || batches == INT64_MAX; }
constexpr const char *kCounts = "it must be 0 or more, and able to grow";

// Runs `work` and turns what it throws into a status.
template <typename Work>
hnorm_status run(const char *function, hnorm_layer *layer, const char *path, Work work) {
    if (layer == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: a layer is needed", function);
    }
    if (path == nullptr || *path == '\0') {
        return fail(HNORM_INVALID_ARGUMENT, "%s: path is %s: a file's name is needed", function,
                    path ? "empty" : "null");
    }
    const hnorm::detail::FloatEnvironment floats;  // floats of other types are rounded
    try {
        return work(arrays(layer));
    } catch (const FileError &error) {
        return fail(HNORM_FILE_ERROR, "%s: %s: %s", function, shortened(path).c_str(), error.what());
    } catch (const std::bad_alloc &) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for a copy of the layer's state", function);
    }
}

// The values of every array, in their order. Members whose names do not begin with the prefix are
// not looked at.
std::vector<std::vector<char>> read(const std::string &path, const std::string &prefix,
                                    const std::vector<Array> &arrays) {
    const ArchiveReader archive(path);
    std::vector<std::vector<char>> values(arrays.size());
    std::vector<bool> found(arrays.size());
    for (uint64_t i = 0; i < archive.size(); ++i) {
        const std::string member = archive.name(i);
        if (member.compare(0, prefix.size(), prefix) != 0) {
            continue;
        }
        size_t at = 0;
        while (at < arrays.size() && prefix + arrays[at].member() != member) ++at;
        if (at == arrays.size() || found[at]) {
            throw FileError("holds " + shown(member) + (at < arrays.size() ? " twice: " : ": ") +
                            what_is_allowed(arrays));
        }
        const Array &array = arrays[at];
        // One byte more than any right file has shows that there are too many.
        const uint64_t limit = kMaxNpyHeader + static_cast<uint64_t>(array.count) * kMaxSize + 1;
        values[at] = read_npy(prefix + array.name, archive.contents(i, limit), array.type, array.scalar, array.count);
        found[at] = true;
    }
    for (size_t i = 0; i < arrays.size(); ++i) {
        if (!found[i] && arrays[i].which == LayerArray::kNumBatchesTracked) {
            values[i].resize(size_of(arrays[i].type));  // PyTorch's files of before it was counted
        } else if (!found[i]) {
            throw FileError("holds no " + shown(prefix) + arrays[i].member() + ": " + what_is_allowed(arrays));
        }
    }
    return values;
}

hnorm_status load(const char *function, hnorm_layer *layer, const char *path, const char *prefix) {
    return run(function, layer, path, [&](const std::vector<Array> &arrays) {
        const std::vector<std::vector<char>> values = read(path, prefix, arrays);
        for (size_t i = 0; i < arrays.size(); ++i) {
            const int64_t batches = arrays[i].type == Type::kInt64 ? batches_of(values[i]) : 0;
            if (cannot_count(batches)) {
                throw FileError(arrays[i].name + " is " + std::to_string(batches) + ": " + kCounts);
            }
        }
        // All is well: nothing fails from here on, but a device.
        for (size_t i = 0; i < arrays.size(); ++i) {
            HNORM_TRY(copy_to_layer(function, layer, arrays[i].which, values[i].data()));
        }
        return HNORM_OK;
    });
}

}  // namespace

extern "C" {

hnorm_status hnorm_layer_save(const hnorm_layer *layer, const char *path) {
    const char *const function = "hnorm_layer_save";
    // The accessors give arrays to write; here they are only read.
    return run(function, const_cast<hnorm_layer *>(layer), path, [&](const std::vector<Array> &arrays) {
        std::vector<Member> members;
        for (const Array &array : arrays) {
            std::vector<char> values(static_cast<size_t>(array.count) * size_of(array.type));
            HNORM_TRY(copy_from_layer(function, *layer, array.which, values.data()));
            if (array.type == Type::kInt64 && cannot_count(batches_of(values))) {
                return fail(HNORM_INVALID_ARGUMENT, "%s: the layer's %s is %" PRId64 ": %s", function,
                            array.name.c_str(), batches_of(values), kCounts);
            }
            members.push_back({array.member(), write_npy(array.type, array.scalar, array.count, values.data())});
        }
        replace_file(path, make_archive(members));
        return HNORM_OK;
    });
}

hnorm_status hnorm_layer_load(hnorm_layer *layer, const char *path) {
    return load("hnorm_layer_load", layer, path, "");
}

hnorm_status hnorm_layer_load_prefixed(hnorm_layer *layer, const char *path, const char *prefix) {
    const char *const function = "hnorm_layer_load_prefixed";
    if (prefix == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: prefix is null: the beginning of names is needed, which may be empty",
                    function);
    }
    return load(function, layer, path, prefix);
}

}  // extern "C"
