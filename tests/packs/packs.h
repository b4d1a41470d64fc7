// What tests of packs in a program that is linked already share. A case is a process of its own,
// since a pack stays loaded.
#pragma once

#include <hnorm/hnorm.h>

#include <execinfo.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace packs {

inline void require(bool holds, const std::string &what) {
    if (!holds) throw std::runtime_error(what + "; the last error is: " + hnorm_last_error());
}
inline bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// ---- which code runs

inline bool of_pack(const void *address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        uint64_t begin = 0, end = 0;
        if (contains(line, "hnorm-pack-") && std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2 &&
            begin <= reinterpret_cast<uint64_t>(address) && reinterpret_cast<uint64_t>(address) < end)
            return true;
    }
    return false;
}

inline bool pack_ran = false;
inline void parallel_for(void *, int count, hnorm_task task, void *argument) {
    void *frames[64];
    const int depth = backtrace(frames, 64);
    for (int i = 0; i < depth; i++) pack_ran = pack_ran || of_pack(frames[i]);
    for (int i = 0; i < count; i++) task(argument, i);
}

// ---- what is computed: forward and backward of planes that the pack has kernels for; of one
// group, which threads share inside the kernels

using Bits = std::vector<uint32_t>;
inline Bits compute() {
    const int64_t shape[4] = {2, 1, 300, 501};
    const size_t size = 2 * 300 * 501;
    std::vector<float> x(size), y(size), dy(size), dx(size);
    for (size_t i = 0; i < size; i++) {
        x[i] = static_cast<float>((i * 2654435761u >> 8) % 10007) / 97 - 30;
        dy[i] = static_cast<float>((i * 40503u >> 4) % 1009) / 31 - 15;
    }
    const hnorm_tensor tensors[] = {hnorm_channels_first(x.data(), 4, shape), hnorm_channels_first(y.data(), 4, shape),
                                    hnorm_channels_first(dy.data(), 4, shape),
                                    hnorm_channels_first(dx.data(), 4, shape)};
    double mean, variance;
    require(
        hnorm_forward(&tensors[0], HNORM_BATCH, nullptr, 1e-5, nullptr, &tensors[1], &mean, &variance) == HNORM_OK &&
            hnorm_backward(&tensors[0], &tensors[2], HNORM_BATCH, &mean, &variance, nullptr, 1e-5, nullptr, &tensors[3],
                           nullptr, nullptr) == HNORM_OK,
        "computing fails");
    Bits bits(2 * size);
    std::memcpy(bits.data(), y.data(), size * sizeof(float));
    std::memcpy(bits.data() + size, dx.data(), size * sizeof(float));
    return bits;
}

// Whether the pack's code runs; the bits are what they are without it.
inline bool runs_in_pack(const Bits &expected) {
    pack_ran = false;
    hnorm_set_parallel_for(parallel_for, nullptr);
    const bool same = compute() == expected;
    hnorm_set_parallel_for(nullptr, nullptr);
    require(same, "the bits have changed");
    return pack_ran;
}

// ---- files

inline std::string read(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

constexpr size_t kLastLine = 47;

// Writes a pack with a checksum that holds.
inline void write_pack(const std::string &path, std::string contents) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i + kLastLine < contents.size(); i++)
        hash = (hash ^ static_cast<unsigned char>(contents[i])) * 0x100000001b3;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    contents.replace(contents.size() - 17, 16, digits);
    std::ofstream(path, std::ios::binary) << contents;
}

inline std::string with(std::string contents, const std::string &from, const std::string &to) {
    require(from.size() == to.size() && contains(contents, from), "the pack has no " + from);
    for (size_t at = 0; (at = contents.find(from, at)) != std::string::npos; at += to.size())
        contents.replace(at, from.size(), to);
    return contents;
}

// Another file of the same kernels.
inline std::string other_file(const std::string &pack, const std::string &path) {
    const std::string contents = read(pack), id = contents.substr(contents.size() - 34, 16);
    write_pack(path, with(contents, id, "fedcba9876543210"));
    return path;
}

// A file's path in a folder of the process's own.
class Folder {
public:
    Folder() {
        char name[] = "packs_XXXXXX";
        require(mkdtemp(name) != nullptr, "no folder can be made here");
        folder_ = name;
    }
    ~Folder() {
        for (const std::string &file : files_) std::remove(file.c_str());
        rmdir(folder_.c_str());
    }
    const std::string &operator()(const std::string &name) {
        files_.push_back(folder_ + "/hnorm-pack-" + name + ".so");
        return files_.back();
    }
    const std::string &path() const { return folder_; }

private:
    std::string folder_;
    std::vector<std::string> files_;
};

// ---- the program

using Cases = std::map<std::string, std::function<void(const std::string &, const Bits &)>>;
inline int run_case(const std::string &program, const Cases &cases, int argc, char **argv) {
    try {
        const auto found = argc == 3 ? cases.find(argv[1]) : cases.end();
        require(found != cases.end(), "usage: " + program + " CASE PACK");
        require(hnorm_set_target("x86-64-sse41") == HNORM_OK && hnorm_set_num_threads(2) == HNORM_OK, "no SSE4.1");
        // That of a pack in the environment, too: the bits are the same.
        found->second(argv[2], found->first == "another_build" ? Bits() : compute());
        return 0;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "%s: %s\n", program.c_str(), problem.what());
        return 1;
    }
}

}  // namespace packs
