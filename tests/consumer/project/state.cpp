// A C++ program over the installed library: a layer goes through a file, which its argument names.
#include <hnorm/hnorm.hpp>
#include <hnorm/state.hpp>

#include <cstdio>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    hnorm::BatchNorm2d saved(3), loaded(3);
    saved.running_var()[2] = 0.1;
    hnorm::save(saved, argv[1]);
    hnorm::load(loaded, argv[1]);
    hnorm::InstanceNorm other(3);
    try {
        hnorm::load(other, argv[1]);
        return 1;
    } catch (const hnorm::Error &error) {
        std::printf("refused, as it should be: %s\n", error.what());
    }
    const bool right = loaded.running_var()[2] == 0.1;
    std::printf("C++, a layer saved and loaded: %s\n", right ? "right" : "wrong");
    return right ? 0 : 1;
}
