// hnorm: saving and loading a layer's state for C++, over state.h, which says what the files hold and what fails. Not
// included by hnorm.hpp: it is for programs that link hnorm::state.
#pragma once

#include <hnorm/state.h>
#include <hnorm/layer.hpp>

#include <string>

namespace hnorm {

namespace header {

// A C string ends at its first zero: the rest of such a path would be dropped in silence.
inline const char *c_path(const char *function, const std::string &path) {
    if (path.find('\0') != std::string::npos) {
        throw Error(HNORM_INVALID_ARGUMENT, std::string(function) + ": path holds a zero character");
    }
    return path.c_str();
}

}  // namespace header

// Layers are BatchNorm, InstanceNorm and PyTorch's other names. A std::filesystem::path is a path, too.
inline void save(const header::Layer &layer, const std::string &path) {
    header::require_ok(hnorm_layer_save(layer.c(), header::c_path("save", path)));
}
// prefix: what the names of the layer's arrays begin with, in a file of a whole model.
inline void load(header::Layer &layer, const std::string &path, const std::string &prefix = "") {
    header::require_ok(hnorm_layer_load_prefixed(layer.c(), header::c_path("load", path), prefix.c_str()));
}

}  // namespace hnorm
