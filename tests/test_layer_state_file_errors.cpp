// Layers' states: files that cannot be read or written, or are damaged. Every failure says what is
// wrong, and leaves the layer and the files as they were.
#include "state_errors.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

using namespace api;

namespace {

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
