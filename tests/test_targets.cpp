// One test for each target: forced, it must be its kernels that run, not another's. ctest lists the
// target as skipped, with the reason, where this CPU or library cannot run it: the other suites run
// every usable target and leave the rest out. Not a Catch2 executable: version 2 cannot skip.
#include <hnorm/hnorm.h>

#include <elf.h>
#include <execinfo.h>
#include <sys/auxv.h>

#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr int kSkip = 77;  // SKIP_RETURN_CODE of the test (CMakeLists.txt)

// A target's name as it stands in its kernels': hnorm_kernel_moments_large_f32_x86_64_avx2.
std::string identifier(std::string target) {
    for (char &c : target) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return target;
}

// The target that a kernel's name ends in, or a name that goes on from a kernel's: the longest that
// fits.
std::string target_of(const std::string &symbol) {
    std::string result;
    for (int i = 0; i < hnorm_target_count(); i++) {
        const std::string name = hnorm_target_name(i), here = "_" + identifier(name);
        if (symbol.find(here) != std::string::npos && name.size() > result.size()) result = name;
    }
    return result;
}

// The program's own functions, from the table in its file: the archive's names are hidden, so that
// dladdr() does not know them.
class Functions {
public:
    Functions() {
        std::ifstream in("/proc/self/exe", std::ios::binary);
        const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        const auto *const header = reinterpret_cast<const Elf64_Ehdr *>(file.data());
        const auto *const sections = reinterpret_cast<const Elf64_Shdr *>(file.data() + header->e_shoff);
        start_ = getauxval(AT_ENTRY) - header->e_entry;
        for (size_t i = 0; i < header->e_shnum; i++) {
            if (sections[i].sh_type != SHT_SYMTAB) continue;
            const auto *const symbols = reinterpret_cast<const Elf64_Sym *>(file.data() + sections[i].sh_offset);
            const char *const names = file.data() + sections[sections[i].sh_link].sh_offset;
            for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); k++)
                if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC)
                    functions_.push_back({symbols[k].st_value, symbols[k].st_size, names + symbols[k].st_name});
        }
    }
    // Of the function that the address lies in, or "".
    std::string name(const char *address) const {
        const uint64_t at = reinterpret_cast<uint64_t>(address) - start_;
        for (const Function &function : functions_)
            if (at - function.begin < function.size) return function.name;
        return "";
    }

private:
    struct Function {
        uint64_t begin, size;
        std::string name;
    };
    uint64_t start_ = 0;
    std::vector<Function> functions_;
};

std::set<std::string> symbols;  // of kernels that asked for a parallel loop

// hnorm's parallel loops: looks who called. A kernel is the last frame that can be seen, for
// kernels cannot be unwound.
void parallel_for(void *, int count, hnorm_task task, void *argument) {
    static const Functions functions;
    void *frames[64];
    const int depth = backtrace(frames, 64);
    for (int i = 0; i < depth; i++) {
        // of the call, not of what follows it
        const std::string name = functions.name(static_cast<const char *>(frames[i]) - 1);
        if (name.find("hnorm_kernel_") == 0) symbols.insert(name);
    }
    for (int i = 0; i < count; i++) task(argument, i);
}

// Forces the target and normalizes 1, 2, 3, 4, 1, 2, 3, 4, ...: one group, which threads share
// inside the kernels.
int run(const std::string &name) {
    if (hnorm_set_target(name.c_str()) != HNORM_OK || hnorm_target() != name) {
        std::printf("cannot be forced: %s\n", hnorm_last_error());
        return 1;
    }
    hnorm_set_num_threads(2);
    hnorm_set_parallel_for(parallel_for, nullptr);
    const int64_t shape[3] = {1, 1, 1 << 18};
    std::vector<float> x(1 << 18), y(x.size());
    for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i % 4 + 1);
    const hnorm_tensor in = hnorm_channels_first(x.data(), 3, shape), out = hnorm_channels_first(y.data(), 3, shape);
    double mean = 0, variance = 0;
    if (hnorm_forward(&in, HNORM_BATCH, nullptr, 0, nullptr, &out, &mean, &variance) != HNORM_OK) {
        std::printf("%s\n", hnorm_last_error());
        return 1;
    }
    bool right = mean == 2.5 && variance == 1.25 && y[0] == -y[3] && y[0] > -1.3417f && y[0] < -1.3416f;
    std::printf("%s: mean %g, variance %g, y[0] %g; ran:\n", name.c_str(), mean, variance, y[0]);
    for (const std::string &symbol : symbols) {
        std::printf("    %s, of %s\n", symbol.c_str(), target_of(symbol).c_str());
        right = right && target_of(symbol) == name;
    }
    if (symbols.empty()) std::printf("    no kernel could be seen\n");
    return right && !symbols.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
    for (int i = 0; argc == 2 && i < hnorm_target_count(); i++) {
        if (std::string(hnorm_target_name(i)) != argv[1]) continue;
        const char *reason = hnorm_target_unusable(i);
        if (!reason) return run(argv[1]);
        std::printf("SKIPPED: %s: %s\n", argv[1], reason);
        return kSkip;
    }
    std::printf("usage: test_targets TARGET, one that hnorm has\n");
    return 2;
}
