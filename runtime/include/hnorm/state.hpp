/// @file
/// Saving and loading the state of a layer in C++.
///
/// These functions call state.h, which describes the files and the errors. hnorm.hpp does not
/// include this header, because a program that uses it must link hnorm::state.
///
/// @code{.cpp}
/// hnorm::BatchNorm bn(64);
/// hnorm::save(bn, "bn.npz");
/// hnorm::load(bn, "bn.npz");
/// hnorm::load(bn, "model.npz", "layer1.0.bn1.");
/// @endcode
#pragma once

#include <hnorm/state.h>
#include <hnorm/layer.hpp>

#include <string>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

namespace header {
/// @cond internals

// A C string ends at its first zero character. The rest of the path would be lost without a word.
inline const char *c_path(const char *function, const std::string &path) {
    if (path.find('\0') != std::string::npos) {
        throw Error(HNORM_INVALID_ARGUMENT, std::string(function) + ": path holds a zero character");
    }
    return path.c_str();
}

/// @endcond
}  // namespace header

/// Writes the state of a layer to a file (hnorm_layer_save).
///
/// @param layer  A BatchNorm, InstanceNorm, GroupNorm or one of their relatives.
/// @param path   The name of the file. A std::filesystem::path is also allowed.
inline void save(const header::Layer &layer, const std::string &path) {
    header::require_ok(hnorm_layer_save(layer.c(), header::c_path("save", path)));
}
/// Reads the state of a layer from a file (hnorm_layer_load, hnorm_layer_load_prefixed).
///
/// @param layer   The layer.
/// @param path    The name of the file.
/// @param prefix  The beginning of the names of the arrays, in the file of a whole model.
inline void load(header::Layer &layer, const std::string &path, const std::string &prefix = "") {
    header::require_ok(hnorm_layer_load_prefixed(layer.c(), header::c_path("load", path), prefix.c_str()));
}

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
