// Calls that give the same bits, whatever the data: in place and not, batch norm and instance norm,
// forward and its parts.
#include "properties.h"

using namespace test;

// Every remainder modulo every vector width, in tiny, small and large planes: a kernel that
// normalizes an element twice or leaves one out shows here.
TEST_CASE("in place equals out of place at every length") {
    std::vector<int64_t> lengths;
    for (int64_t S = 1; S <= 70; S++) lengths.push_back(S);
    for (int64_t S = 1025; S <= 1096; S++) lengths.push_back(S);
    for (int64_t S = 4090; S <= 4102; S++) lengths.push_back(S);
    for (int64_t S : lengths) {
        const Shape shape = {3, 2, S};
        Tensor x(shape), y(shape), z(shape);
        fill(x, {Kind::kNormal, 2, 1, static_cast<uint64_t>(S)});
        const Affine affine(AffineKind::kChannel, x);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            const MeanAndVariance saved = forward(x, group, affine, 1e-5, y);
            z.copy_elements(x);
            const MeanAndVariance saved_in_place = forward(z, group, affine, 1e-5, z);
            require_same(difference(z, elements(y)), "forward " + where);
            require_same(difference("mean", saved_in_place.mean, saved.mean), where);
            require_same(difference("variance", saved_in_place.variance, saved.variance), where);
            z.copy_elements(x);
            normalize(z, group, saved.mean, saved.variance, affine, 1e-5, z);
            require_same(difference(z, elements(y)), "normalize " + where);
        });
    }
}

TEST_CASE("batch norm of one sample equals instance norm") {
    for (Shape shape : kShapes) {
        shape[0] = 1;
        Tensor x(shape), y(shape), z(shape);
        if (x.positions() < 2) continue;
        fill_mixed(x, 23);
        const Affine affine(AffineKind::kChannel, x);
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            if (group != HNORM_BATCH) return;
            const MeanAndVariance batch = forward(x, HNORM_BATCH, affine, 1e-5, y);
            const MeanAndVariance instance = forward(x, HNORM_INSTANCE, affine, 1e-5, z);
            require_same(difference(z, elements(y)), where);
            require_same(difference("mean", instance.mean, batch.mean), where);
            require_same(difference("variance", instance.variance, batch.variance), where);
        });
    }
}

TEST_CASE("normalize with the data's own moments equals forward, for every kind of affine") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), y(shape), z(shape);
        fill_mixed(x, 29);
        for (AffineKind kind : kAffineKinds) {
            const Affine affine(kind, x);
            for_each_group(shape, [&](hnorm_group group, const std::string &where) {
                const Statistics own = moments(x, group);
                const MeanAndVariance saved = forward(x, group, affine, 1e-5, y);
                normalize(x, group, own.mean, variances(own), affine, 1e-5, z);
                require_same(difference(z, elements(y)), where + ", " + affine.describe());
                require_same(difference("mean", saved.mean, own.mean), where);
                require_same(difference("variance", saved.variance, variances(own)), where);
            });
        }
    }
}

TEST_CASE("affine per channel, repeated for each sample, equals affine per sample and channel") {
    for (const Shape &shape : kShapes) {
        Tensor x(shape), y(shape), z(shape);
        fill(x, {Kind::kNormal, 1, 1, 31});
        const Affine channel(AffineKind::kChannel, x);
        Affine both(AffineKind::kSampleAndChannel, x);
        for (int64_t n = 0; n < x.samples(); n++) {
            for (int64_t c = 0; c < x.channels(); c++) {
                both.gammas[static_cast<size_t>(n * x.channels() + c)] = channel.gamma(n, c);
                both.betas[static_cast<size_t>(n * x.channels() + c)] = channel.beta(n, c);
            }
        }
        for_each_group(shape, [&](hnorm_group group, const std::string &where) {
            forward(x, group, channel, 1e-5, y);
            forward(x, group, both, 1e-5, z);
            require_same(difference(z, elements(y)), where);
        });
    }
}
