// Saves layers into the folder that its argument names, and prints what their files must hold, for
// read_state.py: a line an array, FILE ARRAY TYPE RANK VALUES, with the values in hexadecimal.
#include <hnorm/hnorm.hpp>
#include <hnorm/state.hpp>

#include <cinttypes>
#include <cstdio>
#include <limits>

namespace {

template <typename T>
void print(const char *file, const char *array, const char *type, hnorm::Span<T> values) {
    if (values.empty()) return;
    std::printf("%s %s %s 1", file, array, type);
    for (const double value : values) std::printf(" %a", value);
    std::printf("\n");
}

void save(hnorm::header::Layer &layer, const std::string &folder, const char *file) {
    hnorm::save(layer, folder + "/" + file);
    std::printf("%s\n", file);
    print(file, "weight", "float32", layer.gamma());
    print(file, "bias", "float32", layer.beta());
    print(file, "running_mean", "float64", layer.running_mean());
    print(file, "running_var", "float64", layer.running_var());
    for (const std::int64_t value : layer.num_batches_tracked()) {
        std::printf("%s num_batches_tracked int64 0 %" PRId64 "\n", file, value);
    }
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    hnorm::BatchNorm bn(300);
    for (std::size_t c = 0; c < 300; ++c) {
        const double x = static_cast<double>(c) - 150;
        bn.gamma()[c] = static_cast<float>(x / 7);
        bn.beta()[c] = static_cast<float>(1 / x);
        bn.running_mean()[c] = x / 3;
        bn.running_var()[c] = x * x * 1e-300;
    }
    bn.beta()[0] = std::numeric_limits<float>::denorm_min();
    bn.num_batches_tracked()[0] = INT64_MAX - 1;
    save(bn, argv[1], "batch.npz");
    hnorm::BatchNorm one(1);
    save(one, argv[1], "one.npz");
    hnorm::BatchNorm no_affine(3, hnorm::Options().affine(false));
    save(no_affine, argv[1], "no_affine.npz");
    hnorm::InstanceNorm affine(5, hnorm::Options().affine(true));
    save(affine, argv[1], "affine.npz");
    hnorm::InstanceNorm nothing(5);
    save(nothing, argv[1], "nothing.npz");
    return 0;
}
