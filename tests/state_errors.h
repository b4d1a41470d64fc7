// What the tests of states that are refused share: a layer, a file, and the state that it has, with
// faults.
#pragma once

#include "state.h"

#include <algorithm>
#include <string>
#include <vector>

namespace api {

constexpr int64_t kFeatures = 3;
inline const std::string kFloats = bytes_of<float>({1, 2, 3}), kDoubles = bytes_of<double>({4, 5, 6});

// The state of a batch norm, of which members are replaced by name, dropped (no bytes) and added.
inline Members members_with(const Members &changes = {}) {
    Members members = {{"weight.npy", npy("<f4", "(3,)", kFloats)},
                       {"bias.npy", npy("<f4", "(3,)", kFloats)},
                       {"running_mean.npy", npy("<f8", "(3,)", kDoubles)},
                       {"running_var.npy", npy("<f8", "(3,)", kDoubles)},
                       {"num_batches_tracked.npy", npy("<i8", "()", bytes_of<int64_t>({7}))}};
    for (const auto &[name, bytes] : changes) {
        const auto same = [&](const Members::value_type &member) { return member.first == name; };
        const auto found = std::find_if(members.begin(), members.end(), same);
        if (found == members.end()) {
            members.emplace_back(name, bytes);
        } else if (bytes.empty()) {
            members.erase(found);
        } else {
            found->second = bytes;
        }
    }
    return members;
}

// A layer full of values, and a file.
struct Subject {
    explicit Subject(const hnorm_layer_options &options = hnorm_layer_defaults(HNORM_BATCH))
        : layer(kFeatures, options), path(folder / "state.npz") {
        scramble(layer, 11);
    }

    void require_load_refused(const std::vector<std::string> &words, const std::string &file) {
        const State before(layer);
        std::vector<std::string> all = {"hnorm_layer_load: ", file};
        all.insert(all.end(), words.begin(), words.end());
        require_refused(hnorm_layer_load(layer, file.c_str()), HNORM_FILE_ERROR, all);
        REQUIRE(State(layer) == before);
    }
    void require_load_refused(const std::vector<std::string> &words) { require_load_refused(words, path); }
    void require_members_refused(const Members &changes, const std::vector<std::string> &words) {
        write_zip(path, members_with(changes));
        require_load_refused(words);
    }
    void require_save_refused(const std::vector<std::string> &words, const std::string &file) {
        const size_t files = folder.files();
        const State before(layer);
        std::vector<std::string> all = {"hnorm_layer_save: ", file};
        all.insert(all.end(), words.begin(), words.end());
        require_refused(hnorm_layer_save(layer, file.c_str()), HNORM_FILE_ERROR, all);
        REQUIRE(State(layer) == before);
        REQUIRE(folder.files() == files);
    }

    Folder folder;
    Layer layer;
    const std::string path;
};

}  // namespace api
