// Layers' states: every failure says what is wrong, and leaves the layer and the files as they
// were.
#include "state.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

using namespace api;

namespace {

constexpr int64_t kFeatures = 3;
const std::string kFloats = bytes_of<float>({1, 2, 3}), kDoubles = bytes_of<double>({4, 5, 6});

// The state of a batch norm, of which members are replaced by name, dropped (no bytes) and added.
Members members_with(const Members &changes = {}) {
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

// A load either succeeds, with this state, or fails and leaves the layer alone.
bool loads_whole(hnorm_layer *layer, const std::string &path, const std::string &state) {
    scramble(layer, 77);
    const State before(layer);
    const hnorm_status status = hnorm_layer_load(layer, path.c_str());
    const std::string reason = hnorm_last_error();
    INFO(hnorm_status_name(status) << ", " << reason);
    if (status == HNORM_OK) {
        REQUIRE(State(layer).saved == state);
        return true;
    }
    REQUIRE(status == HNORM_FILE_ERROR);
    REQUIRE(State(layer) == before);
    REQUIRE(reason.find(path) != std::string::npos);
    return false;
}

}  // namespace

TEST_CASE("null layers and paths are refused, and empty paths") {
    Subject subject;
    const char *const path = subject.path.c_str();
    require_refused(hnorm_layer_save(nullptr, path), HNORM_INVALID_ARGUMENT, {"hnorm_layer_save", "layer is null"});
    require_refused(hnorm_layer_load(nullptr, path), HNORM_INVALID_ARGUMENT, {"hnorm_layer_load", "layer is null"});
    require_refused(hnorm_layer_save(subject.layer, nullptr), HNORM_INVALID_ARGUMENT, {"path is null"});
    require_refused(hnorm_layer_load(subject.layer, nullptr), HNORM_INVALID_ARGUMENT, {"path is null"});
    require_refused(hnorm_layer_save(subject.layer, ""), HNORM_INVALID_ARGUMENT, {"path is empty"});
    require_refused(hnorm_layer_load(subject.layer, ""), HNORM_INVALID_ARGUMENT, {"path is empty"});
    REQUIRE(subject.folder.files() == 0);
}

TEST_CASE("missing, unknown and repeated arrays are refused by name") {
    Subject subject;
    const std::string all = "weight, bias, running_mean, running_var, num_batches_tracked";
    write_zip(subject.path, members_with());
    require_loaded(subject.layer, subject.path);  // so that each of the files below has one fault
    for (const auto &member : members_with()) {
        if (member.first == "num_batches_tracked.npy") continue;  // which may be missing
        subject.require_members_refused({{member.first, ""}}, {"holds no " + member.first, all});
    }
    subject.require_members_refused({{"gamma.npy", npy("<f4", "(3,)", kFloats)}}, {"holds gamma.npy", all});
    subject.require_members_refused({{"weight", kFloats}}, {"holds weight:", all});
    subject.require_members_refused({{"folder/", ""}}, {"holds folder/", all});
    subject.require_members_refused({{"\x01\n" + std::string(500, 'x'), "1"}}, {"holds ??xxx", "xxx...", all});

    // libzip writes no name twice, but a name can be overwritten by another of its length.
    write_zip(subject.path, members_with({{"WEIGHT.npy", npy("<f4", "(3,)", kFloats)}}));
    std::string bytes = read_file(subject.path);
    for (size_t at = 0; (at = bytes.find("WEIGHT", at)) != std::string::npos;) bytes.replace(at, 6, "weight");
    write_file(subject.path, bytes);
    subject.require_load_refused({"weight.npy twice", all});

    Subject untracked(layer_options(HNORM_BATCH, true, false));
    write_zip(untracked.path, members_with());
    untracked.require_load_refused({"holds running_mean.npy", "weight, bias, each once"});
    Subject bare(layer_options(HNORM_INSTANCE, false, false));
    write_zip(bare.path, members_with());
    bare.require_load_refused({"holds weight.npy", "no arrays"});
}

TEST_CASE("arrays of another shape are refused with both shapes") {
    Subject subject;
    const std::vector<std::pair<std::string, std::string>> shapes = {{"(4,)", kFloats + "four"},
                                                                     {"(2,)", kFloats.substr(8)},
                                                                     {"(3, 1)", kFloats},
                                                                     {"(1, 3)", kFloats},
                                                                     {"()", kFloats.substr(8)},
                                                                     {"(0,)", ""},
                                                                     {"(3, 0)", ""}};
    for (const auto &[shape, values] : shapes) {
        subject.require_members_refused({{"weight.npy", npy("<f4", shape, values)}},
                                        {"weight has the shape " + shape, "(3,)"});
    }
    subject.require_members_refused({{"bias.npy", npy("<f4", "(999999999999999999,)", kFloats)}},
                                    {"bias has the shape (999999999999999999,)"});
    for (const char *shape : {"(2,)", "(1, 1)", "(0,)"}) {
        subject.require_members_refused({{"num_batches_tracked.npy", npy("<i8", shape, bytes_of<int64_t>({1, 2}))}},
                                        {std::string("num_batches_tracked has the shape ") + shape, "() or (1,)"});
    }
}

TEST_CASE("arrays of another type are refused with both types") {
    Subject subject;
    for (const char *type : {"<i4", "|O", "|f4", "=f4", "f4", "", "<", "<f44", "<f"}) {
        subject.require_members_refused(
            {{"weight.npy", npy(type, "(3,)", kDoubles)}},
            {std::string("weight is of type '") + type + "'", "float16, float32 or float64"});
    }
    subject.require_members_refused({{"running_var.npy", npy("<c8", "(3,)", kDoubles)}},
                                    {"running_var is of type '<c8'", "float16, float32 or float64"});
    subject.require_members_refused({{"num_batches_tracked.npy", npy("<u8", "()", kDoubles.substr(16))}},
                                    {"num_batches_tracked is of type '<u8'", "int64 or int32"});
    subject.require_members_refused(
        {{"bias.npy", npy_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", kFloats)}},
        {"bias is of type '[('a', '<f4')]'"});
}

TEST_CASE("counters that cannot count on are refused, loaded or saved") {
    Subject subject;
    int64_t *const batches = hnorm_layer_num_batches_tracked(subject.layer);
    for (int64_t value : {int64_t(-1), INT64_MIN, INT64_MAX}) {
        const std::string is = "num_batches_tracked is " + std::to_string(value) + ": it must be 0 or more";
        subject.require_members_refused({{"num_batches_tracked.npy", npy("<i8", "()", bytes_of<int64_t>({value}))}},
                                        {is});
        const std::string before = read_file(subject.path);
        *batches = value;
        require_refused(hnorm_layer_save(subject.layer, subject.path.c_str()), HNORM_INVALID_ARGUMENT, {is});
        REQUIRE(read_file(subject.path) == before);
        *batches = 1;
    }
    subject.require_members_refused({{"num_batches_tracked.npy", npy(">i4", "()", "\xff\xff\xff\xfe")}},
                                    {"num_batches_tracked is -2"});
}

TEST_CASE("members that are no .npy files are refused") {
    Subject subject;
    const auto refused = [&](const std::string &bytes, const std::vector<std::string> &words) {
        subject.require_members_refused({{"bias.npy", bytes}}, words);
    };
    refused("three floats", {"bias.npy is no .npy file"});
    refused("\x93NUMPY", {"bias.npy is of version 0", "1, 2 or 3"});
    refused(npy_of("{}", kFloats, 4), {"bias.npy is of version 4"});
    refused(std::string("\x93NUMPY\x01\x00\xff\xff{", 11), {"bias.npy ends in its header"});
    refused(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13), {"bias.npy ends in its header"});
    refused(npy("<f4", "(3,)", kFloats.substr(1)), {"bias.npy holds 11 instead of 12 bytes"});
    refused(npy("<f4", "(3,)", kFloats + "x"), {"bias.npy holds more than 12 bytes"});
    refused(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}" + std::string(70000, ' '), kFloats, 2),
            {"bias.npy ends in its header"});
    const std::string descr = "'descr': '<f4', ", order = "'fortran_order': False, ", shape = "'shape': (3,), ";
    for (const std::string &dictionary : {std::string(),
                                          std::string("{"),
                                          std::string("{}"),
                                          "{" + descr + order + "}",
                                          "{" + descr + shape + "}",
                                          "{" + order + shape + "}",
                                          "{" + descr + descr + order + shape + "}",
                                          "{" + descr + order + shape + "'x': 1}",
                                          "{" + descr + order + shape + "} 1",
                                          descr + order + shape,
                                          "{" + descr + order + "'shape': (3,)",
                                          "{" + descr + order + "'shape': (3,",
                                          "{" + descr + order + "'shape': 3}",
                                          "{" + descr + order + "'shape': (-3,)}",
                                          "{" + descr + order + "'shape': (3.0,)}",
                                          "{" + descr + order + "'shape': (,)}",
                                          "{" + descr + order + "'shape': (3 3)}",
                                          "{" + descr + order + "'shape': (1000000000000000000000,)}",
                                          "{" + descr + "'fortran_order': 0, " + shape + "}",
                                          "{" + order + shape + "'descr': '<f4}",
                                          "{" + order + shape + "'descr': [}",
                                          "{" + order + shape + "'descr': 4}",
                                          "{" + order + shape + "'descr' '<f4'}",
                                          "{" + descr + " " + order + "'shape': (3,)" + std::string("\0}", 2)}) {
        refused(npy_of(dictionary, kFloats), {"bias.npy has the header", "descr, fortran_order and shape"});
    }
}

TEST_CASE("what is no readable archive is refused") {
    Subject subject;
    subject.require_load_refused({"cannot be read", "No such file"});
    subject.require_load_refused({"cannot be read", "Not a directory"}, "/dev/null/state.npz");
    subject.require_load_refused({"is a directory"}, subject.folder.path());
    subject.require_load_refused({"is no regular file"}, "/dev/zero");
    const std::string fifo = subject.folder / "fifo", loop = subject.folder / "loop";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    subject.require_load_refused({"is no regular file"}, fifo);
    std::filesystem::create_symlink("loop", loop);
    subject.require_load_refused({"cannot be read", "symbolic links"}, loop);
    write_file(subject.path, "");
    subject.require_load_refused({"is empty"});
    write_file(subject.path, "weight: 1 2 3\n");
    subject.require_load_refused({"zip archive"});
    write_file(subject.path, npy("<f4", "(3,)", kFloats));
    subject.require_load_refused({"zip archive"});

    // A sentence has room for its reason, whatever the name.
    const std::string longest = std::string(900, 'x') + "/" + std::string(900, 'y');
    require_refused(hnorm_layer_load(subject.layer, longest.c_str()), HNORM_FILE_ERROR,
                    {"...yyy", "cannot be read", "name too long"});
}

TEST_CASE("files and folders that may not be read or written are refused") {
    Subject subject;
    if (geteuid() == 0) return;  // root may do everything
    write_zip(subject.path, members_with());
    REQUIRE(chmod(subject.path.c_str(), 0) == 0);
    subject.require_load_refused({"cannot be read", "Permission denied"});
    REQUIRE(chmod(subject.path.c_str(), 0400) == 0);
    const std::string before = read_file(subject.path);
    subject.require_save_refused({"cannot be written", "Permission denied"}, subject.path);
    REQUIRE(read_file(subject.path) == before);
    REQUIRE(chmod(subject.folder.path().c_str(), 0500) == 0);
    subject.require_save_refused({"cannot be written, no file can be made beside it: Permission denied"},
                                 subject.folder / "new.npz");
    REQUIRE(chmod(subject.folder.path().c_str(), 0700) == 0);
}

TEST_CASE("a file does not decide how much memory a load takes") {
    Subject subject;
    std::string header = npy("<f4", "(3,)", kFloats), zeros(size_t(1) << 20, '\0');
    const auto fragment = [](std::string &bytes) {
        return zip_buffer_fragment_t{reinterpret_cast<zip_uint8_t *>(bytes.data()), bytes.size()};
    };
    std::vector<zip_buffer_fragment_t> fragments(256, fragment(zeros));
    fragments[0] = fragment(header);
    zip_t *zip = zip_open(subject.path.c_str(), ZIP_CREATE, nullptr);
    REQUIRE(zip != nullptr);
    REQUIRE(zip_file_add(zip, "bias.npy", zip_source_buffer_fragment(zip, fragments.data(), 256, 0), 0) == 0);
    REQUIRE(zip_close(zip) == 0);
    REQUIRE(std::filesystem::file_size(subject.path) < size_t(1) << 20);  // compressed

    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    subject.require_load_refused({"bias.npy holds more than 12 bytes"});
    getrusage(RUSAGE_SELF, &after);
    REQUIRE(after.ru_maxrss - before.ru_maxrss < 64 * 1024);  // KiB
}

TEST_CASE("a file cut anywhere is refused") {
    Subject subject;
    require_saved(subject.layer, subject.path);
    const std::string whole = read_file(subject.path), state = State(subject.layer).saved;
    for (size_t length = 0; length < whole.size(); length++) {
        write_file(subject.path, whole.substr(0, length));
        INFO("the first " << length << " of " << whole.size() << " bytes");
        const bool loaded = loads_whole(subject.layer, subject.path, state);
        REQUIRE(!loaded);
    }
}

TEST_CASE("with any byte changed, a file gives the state that was saved or is refused") {
    Subject subject;
    for (int compressed : {0, 1}) {
        write_zip(subject.path, members_with(), compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE);
        if (!compressed) require_saved(subject.layer, subject.path);
        const std::string whole = read_file(subject.path);
        require_loaded(subject.layer, subject.path);
        const std::string state = State(subject.layer).saved;
        size_t refused = 0;
        for (size_t at = 0; at < whole.size(); at++) {
            for (int change : {0x01, 0x10, 0x80, 0xff}) {
                std::string bytes = whole;
                bytes[at] = static_cast<char>(bytes[at] ^ change);
                write_file(subject.path, bytes);
                INFO("byte " << at << " of " << whole.size() << ", xor " << change << ", compressed " << compressed);
                refused += loads_whole(subject.layer, subject.path, state) ? 0 : 1;
            }
        }
        REQUIRE(refused > 2 * whole.size());
    }
}

TEST_CASE("a save that fails leaves what was there and nothing else") {
    Subject subject;
    subject.require_save_refused({"cannot be written", "No such file"}, subject.folder / "none/state.npz");
    subject.require_save_refused({"cannot be written", "Not a directory"}, "/dev/null/state.npz");
    subject.require_save_refused({"is a directory"}, subject.folder.path());
    subject.require_save_refused({"is no regular file"}, "/dev/full");
    const std::string fifo = subject.folder / "fifo", loop = subject.folder / "loop";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    subject.require_save_refused({"is no regular file"}, fifo);
    std::filesystem::create_symlink("loop", loop);
    subject.require_save_refused({"cannot be written", "symbolic links"}, loop);
    subject.require_save_refused({"name too long"}, subject.folder / std::string(300, 'x'));

    // No room: files may grow to 100 bytes and no further.
    write_file(subject.path, "what was there");
    rlimit old_limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    const rlimit limit = {100, old_limit.rlim_max};
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    const hnorm_status status = hnorm_layer_save(subject.layer, subject.path.c_str());
    REQUIRE(setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    std::signal(SIGXFSZ, old_handler);
    require_refused(status, HNORM_FILE_ERROR,
                    {"hnorm_layer_save", subject.path, "cannot be written", "File too large"});
    REQUIRE(read_file(subject.path) == "what was there");
    REQUIRE(subject.folder.files() == 3);
}
