// bits TYPE LAYOUT GROUP EXTENT... <INPUT >OUTPUT: reads x, dy, gamma and beta, and writes what the
// functions give: y, mean, variance, dx, dgamma, dbeta, and y of evaluation. GROUP is 0 (batch), 1
// (instance) or 2 + G.
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
    const auto type = static_cast<hnorm::Type>(std::atoi(argv[1]));
    const auto layout = static_cast<hnorm::Layout>(std::atoi(argv[2]));
    const int number = std::atoi(argv[3]);
    const hnorm::Group group = number < 2 ? static_cast<hnorm::Group>(number) : hnorm::groups(number - 2);
    std::vector<std::int64_t> shape;
    std::size_t bytes = type == hnorm::Type::f32 ? 4 : 2;
    for (int i = 4; i < argc; ++i) {
        shape.push_back(std::atoll(argv[i]));
        bytes *= static_cast<std::size_t>(shape.back());
    }
    const auto channels = static_cast<std::size_t>(shape[1]);
    const std::size_t samples = number == 0 ? 1 : static_cast<std::size_t>(shape[0]);
    const std::size_t groups = samples * (number < 2 ? channels : static_cast<std::size_t>(number - 2));

    std::vector<char> x(bytes), dy(bytes), y(bytes), dx(bytes), evaluated(bytes);
    std::vector<float> gamma(channels), beta(channels), dgamma(channels), dbeta(channels);
    std::vector<double> mean(groups), variance(groups);
    const auto read = [](auto &values) {
        return std::fread(values.data(), sizeof(values[0]), values.size(), stdin) == values.size();
    };
    const auto write = [](const auto &values) { std::fwrite(values.data(), sizeof(values[0]), values.size(), stdout); };
    if (!read(x) || !read(dy) || !read(gamma) || !read(beta)) {
        return 1;
    }
    const auto tensor = [&](std::vector<char> &memory) { return hnorm::Tensor(memory.data(), type, layout, shape); };
    const hnorm::Affine affine{gamma, beta};
    hnorm::forward(tensor(x), group, affine, 1e-5, tensor(y), mean, variance);
    hnorm::backward(tensor(x), tensor(dy), group, mean, variance, affine, 1e-5, tensor(dx), dgamma, dbeta);
    hnorm::normalize(tensor(x), group, mean, variance, affine, 1e-3, tensor(evaluated));
    write(y), write(mean), write(variance), write(dx), write(dgamma), write(dbeta), write(evaluated);
}
