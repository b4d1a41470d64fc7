// A kernel pack's file, which is checked before the system loads it.
#pragma once

namespace hnorm::detail {

// The pack's id, in the file's last line.
struct PackId {
    char text[17] = "";
};

// Reads the last line, and checks the rest by it. Returns why the file is no pack, or null.
const char *check_pack_file(const char *path, PackId *id);

}  // namespace hnorm::detail
