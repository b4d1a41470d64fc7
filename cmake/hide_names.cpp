// hnorm_hide_names ARCHIVE: makes every name that the archive's objects define hidden, as a
// compiler does with -fvisibility=hidden: a program's own code sees them, a shared library with the
// archive inside does not pass them on. Halide has no such option for its objects, and GNU objcopy
// 2.40 cannot set it.
//
// hnorm_hide_names ARCHIVE COPY NAMES: the same in a copy, but for the names in the file NAMES,
// which a shared library passes on.
#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace {

[[noreturn]] void stop(const std::string &message) {
    std::fprintf(stderr, "hnorm_hide_names: %s\n", message.c_str());
    std::exit(1);
}

class Bytes {
public:
    explicit Bytes(std::vector<char> *bytes) : bytes_(bytes) {}
    template <typename T>
    T read(size_t at) const {
        T value;
        if (at > bytes_->size() || bytes_->size() - at < sizeof value) stop("the archive ends within an object");
        std::memcpy(&value, bytes_->data() + at, sizeof value);
        return value;
    }
    std::string string(size_t at) const {
        const auto end =
            std::find(bytes_->begin() + static_cast<std::ptrdiff_t>(std::min(at, bytes_->size())), bytes_->end(), '\0');
        if (end == bytes_->end()) stop("the archive ends within a name");
        return std::string(bytes_->data() + at);
    }
    template <typename T>
    void write(size_t at, const T &value) {
        std::memcpy(bytes_->data() + at, &value, sizeof value);
    }

private:
    std::vector<char> *bytes_;
};

int hide_in_object(Bytes &bytes, size_t object, const std::set<std::string> &given) {
    int hidden = 0;
    const auto header = bytes.read<Elf64_Ehdr>(object);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        stop("an object is not of 64 bits, little endian");
    for (size_t i = 0; i < header.e_shnum; i++) {
        const auto section = bytes.read<Elf64_Shdr>(object + header.e_shoff + i * header.e_shentsize);
        if (section.sh_type != SHT_SYMTAB) continue;
        const auto strings = bytes.read<Elf64_Shdr>(object + header.e_shoff + section.sh_link * header.e_shentsize);
        for (size_t at = 0; at < section.sh_size; at += section.sh_entsize) {
            const size_t place = object + section.sh_offset + at;
            auto symbol = bytes.read<Elf64_Sym>(place);
            if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || symbol.st_shndx == SHN_UNDEF) continue;
            const bool give = given.count(bytes.string(object + strings.sh_offset + symbol.st_name)) != 0;
            symbol.st_other = static_cast<unsigned char>((symbol.st_other & ~3) | (give ? STV_DEFAULT : STV_HIDDEN));
            bytes.write(place, symbol);
            hidden++;
        }
    }
    return hidden;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) stop("usage: hnorm_hide_names ARCHIVE [COPY NAMES]");
    const std::string path = argv[1], to = argc == 4 ? argv[2] : path, magic = "!<arch>\n";
    std::set<std::string> given;
    if (argc == 4) {
        std::ifstream names(argv[3]);
        if (!names) stop(std::string(argv[3]) + " cannot be read");
        given.insert(std::istream_iterator<std::string>(names), {});
    }
    std::ifstream in(path, std::ios::binary);
    std::vector<char> content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in || content.size() < magic.size() || std::memcmp(content.data(), magic.data(), magic.size()) != 0)
        stop(path + " cannot be read as an archive");
    Bytes bytes(&content);
    int hidden = 0;
    for (size_t at = magic.size(); at < content.size();) {  // members: 60 bytes of text, then the object
        constexpr size_t kHeader = 60, kSize = 48;
        if (content.size() - at < kHeader + SELFMAG) break;
        const size_t size = std::strtoull(std::string(content.data() + at + kSize, 10).c_str(), nullptr, 10);
        const size_t object = at + kHeader;
        if (size >= SELFMAG && std::memcmp(content.data() + object, ELFMAG, SELFMAG) == 0)
            hidden += hide_in_object(bytes, object, given);
        at = object + size + size % 2;
    }
    if (hidden == 0) stop(path + " defines no names");
    std::ofstream out(to, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!out.flush()) stop(to + " cannot be written");
    return 0;
}
