// Writes tests/digests.txt: what docs/order.md gives on fixed inputs, by its serial transcription. It is not linked with hnorm,
// so no kernel can have a part in it.
//
//     write_digests FILE           after a change of docs/order.md, of the inputs (digest.h) or of the manifest
//     write_digests --check FILE   fails where FILE is not what would be written
#include "digest.h"

#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace test;

namespace {

using Results = std::function<void(Digest &, const DigestInputs &)>;

std::vector<float> dx(const DigestInputs &in) {
    return transcribed_dx(in.x, in.dz, in.group, in.count, in.mean, in.variance, in.weights, in.affine, in.eps);
}
std::vector<float> normalized(const DigestInputs &in, bool with_residual) {
    return transcribed_normalize(in.x, in.group, in.mean, in.variance, in.affine, in.eps,
                                 {in.activation, with_residual ? &in.residual : nullptr});
}
std::vector<float> activation_backward(const DigestInputs &in) {
    std::vector<float> dz = transcribed_gate(in.dy, in.y.values(), in.activation);
    for (float &value : dz) value = rounded(value, in.dy.format());
    return dz;
}

template <typename... Lists>
void add(Digest &digest, const Lists &...lists) {
    (digest.add(lists), ...);
}

// What a kernel of each signature gives, outputs in their order.
const std::map<std::string, Results> kResults = {
    {"MomentsKernel", [](Digest &d, const DigestInputs &in) { add(d, in.mean, in.m2); }},
    {"NormalizeKernel", [](Digest &d, const DigestInputs &in) { add(d, normalized(in, false)); }},
    {"NormalizeResidualKernel", [](Digest &d, const DigestInputs &in) { add(d, normalized(in, true)); }},
    {"ForwardKernel", [](Digest &d, const DigestInputs &in) { add(d, normalized(in, false), in.mean, in.variance); }},
    {"ForwardResidualKernel",
     [](Digest &d, const DigestInputs &in) { add(d, normalized(in, true), in.mean, in.variance); }},
    {"BackwardReduceKernel", [](Digest &d, const DigestInputs &in) { add(d, in.sums.dy, in.sums.dy_xmu); }},
    {"BackwardKernel", [](Digest &d, const DigestInputs &in) { add(d, dx(in), in.sums.dy, in.sums.dy_xmu); }},
    {"BackwardApplyKernel", [](Digest &d, const DigestInputs &in) { add(d, dx(in)); }},
    {"ActivationBackwardKernel", [](Digest &d, const DigestInputs &in) { add(d, activation_backward(in)); }},
};

std::string file() {
    std::set<std::string> lines;
    for (const std::string &planes : kManifestPlanes) {
        const DigestClass &of = digest_class(planes);
        for (hnorm_group group : kGroups) {
            for (hnorm_type type : kManifestTypes) {
                const DigestInputsList list = digest_inputs(of, group, type);
                for (const ManifestKernel &kernel : kManifestKernels) {
                    if (kernel.planes != planes) continue;
                    Digest digest;
                    for (const auto &inputs : list) kResults.at(kernel.signature)(digest, *inputs);
                    lines.insert(digest_key(kernel.name, of, group, type) + " " + digest.text() + "\n");
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
