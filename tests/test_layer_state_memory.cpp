// Memory that runs out while a layer is saved or loaded: of hnorm's own, of the C++ library's and
// of libzip's.
#include "failing_memory.h"
#include "state.h"

using namespace api;

TEST_CASE("a state that is saved or loaded while memory runs out is whole or as it was") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    const Folder folder;
    const std::string path = folder / "layer.npz", other = folder / "other.npz";
    Layer layer(20), loaded(20);
    scramble(layer, 1);
    scramble(loaded, 2);
    require_saved(layer, path);
    const std::string first = read_file(path);
    scramble(layer, 3);
    require_saved(layer, other);
    const std::string second = read_file(other);
    failing::with_every_failure(
        "layer_save", [&] { return hnorm_layer_save(layer, path.c_str()); },
        [&](hnorm_status status, long kept) {
            REQUIRE((status != HNORM_OK || kept <= 0));  // libzip itself loses a block where it fails
            REQUIRE(read_file(path) == (status == HNORM_OK ? second : first));
            REQUIRE(folder.files() == 2);
            write_file(path, first);
        });
    const State before(loaded);
    failing::with_every_failure(
        "layer_load", [&] { return hnorm_layer_load(loaded, other.c_str()); },
        [&](hnorm_status status, long kept) {
            REQUIRE((status != HNORM_OK || kept <= 0));  // libzip itself loses a block where it fails
            REQUIRE(State(loaded).saved == (status == HNORM_OK ? State(layer).saved : before.saved));
            scramble(loaded, 2);
        },
        HNORM_FILE_ERROR);  // libzip, out of memory, takes some archives for bad ones
#endif
}
