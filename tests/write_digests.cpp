// Writes tests/digests.txt: what docs/order.md gives on fixed inputs, by its serial transcription.
// It is not linked with hnorm, so no kernel can have a part in it.
//
//     write_digests FILE           after a change of docs/order.md, of the inputs (digest.h) or of the manifest
//     write_digests --check FILE   fails where FILE is not what would be written
#include "digest.h"

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace test;

namespace {

std::string file() {
    std::set<std::string> lines;
    for (const std::string &planes : kManifestPlanes) {
        const DigestClass &of = digest_class(planes);
        for (hnorm_group group : kGroups) {
            for (hnorm_type type : kManifestTypes) {
                const DigestInputs list = digest_inputs(of, group, type);
                for (const ManifestKernel &kernel : kManifestKernels) {
                    if (kernel.planes != planes) continue;
                    lines.insert(digest_key(kernel.name, of, group, type) + " " +
                                 digest_of(kernel, list, kKernelCases.at(kernel.signature).results) + "\n");
                }
            }
        }
    }
    std::string result =
        "# What every kernel gives on the inputs of tests/digest.h, on every target and with any number of threads.\n"
        "# Written by write_digests, from the serial transcription of docs/order.md: no kernel had a part in it.\n";
    for (const std::string &line : lines) result += line;
    return result;
}

int run(const std::string &option, const std::string &path) {
    const std::string wanted = file();
    if (option.empty()) {
        std::ofstream out(path, std::ios::binary);
        out << wanted << std::flush;
        if (!out) throw std::runtime_error("cannot write " + path);
        return 0;
    }
    std::ifstream in(path, std::ios::binary);
    const std::string found((std::istreambuf_iterator<char>(in)), {});
    if (found == wanted) return 0;
    std::istringstream a(wanted), b(found);
    std::string wanted_line, found_line;
    while (std::getline(a, wanted_line) && std::getline(b, found_line) && wanted_line == found_line) {
    }
    std::printf(
        "%s is not what the transcription gives, from this line on:\n%s\nwanted:\n%s\n"
        "Where that is meant, `write_digests %s` writes it anew.\n",
        path.c_str(), found_line.c_str(), wanted_line.c_str(), path.c_str());
    return 1;
}

}  // namespace

int main(int argc, char **argv) {
    const bool check = argc == 3 && std::string(argv[1]) == "--check";
    if (argc != 2 && !check) {
        std::fprintf(stderr, "usage: write_digests [--check] FILE\n");
        return 2;
    }
    try {
        return run(check ? argv[1] : "", argv[argc - 1]);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "write_digests: %s\n", problem.what());
        return 1;
    }
}
