#include "pack_file.h"

#include <sys/stat.h>

#include <cinttypes>
#include <cstdio>

namespace hnorm::detail {

namespace {

// The last line of a pack's file: "hnorm-pack 1 ID CHECKSUM". The checksum, FNV-1a, is that of all
// before it. Loading a damaged file could end the process.
struct LastLine {
    static constexpr size_t kLength = 47;
    char text[kLength + 1] = "";
    PackId id;
    uint64_t checksum = 0;

    bool read(std::FILE *file) {
        return std::fseek(file, -static_cast<long>(kLength), SEEK_END) == 0 &&
               std::fread(text, 1, kLength, file) == kLength && text[kLength - 1] == '\n' &&
               std::sscanf(text, "hnorm-pack 1 %16[0-9a-f] %16" SCNx64, id.text, &checksum) == 2;
    }
};

bool has_checksum(std::FILE *file, uint64_t expected) {
    const long end = std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) - static_cast<long>(LastLine::kLength) : -1;
    if (end < 0 || std::fseek(file, 0, SEEK_SET) != 0) {
        return false;
    }
    uint64_t hash = 0xcbf29ce484222325;
    unsigned char part[4096];
    for (long at = 0; at < end;) {
        const size_t most = end - at < static_cast<long>(sizeof part) ? static_cast<size_t>(end - at) : sizeof part;
        const size_t got = std::fread(part, 1, most, file);
        if (got == 0) {
            return false;
        }
        for (size_t i = 0; i < got; ++i) {
            hash = (hash ^ part[i]) * 0x100000001b3;
        }
        at += static_cast<long>(got);
    }
    return hash == expected;
}

}  // namespace

const char *check_pack_file(const char *path, PackId *id) {
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        return "it is not a file";
    }
    std::FILE *const file = std::fopen(path, "re");
    if (file == nullptr) {
        return "it cannot be opened";
    }
    LastLine line;
    const bool is_pack = line.read(file), whole = is_pack && has_checksum(file, line.checksum);
    std::fclose(file);
    *id = line.id;
    return !is_pack ? "it is no pack of hnorm, or not whole"
           : !whole ? "it is damaged: its checksum is not the one in its last line"
                    : nullptr;
}

}  // namespace hnorm::detail
