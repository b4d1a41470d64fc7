// Calls that give the same gradients, whatever the data: compared bit for bit unless a case says
// otherwise.
#include "accuracy.h"
#include "backward_properties.h"

#include <cmath>

using namespace test;

namespace {

// Samples [first, last) of x, dense.
Tensor samples(const Tensor &x, int64_t first, int64_t last) {
    Shape shape = x.shape();
    shape[0] = last - first;
    Tensor result(shape);
    for (int64_t n = first; n < last; n++)
        for (int64_t c = 0; c < x.channels(); c++)
            std::copy_n(x.plane(n, c), x.positions(), result.plane(n - first, c));
    return result;
}

}  // namespace

TEST_CASE("backward is backward_reduce and backward_apply") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Sums sums = backward_reduce(data.x, data.dy, data.group, data.saved.mean);
        const std::vector<double> count(data.saved.mean.size(), static_cast<double>(group_size(data.x, data.group)));
        for (AffineKind kind : kAffineKinds) {
            if (kind == AffineKind::kSampleAndChannel && data.group == HNORM_BATCH) continue;  // apply refuses it
            const Affine affine(kind, data.x);
            data.gradients(affine);
            const std::vector<float> dx = elements(data.dx);
            backward_apply(data.x, data.dy, data.group, count, data.saved.mean, data.saved.variance, sums, affine,
                           data.eps, data.dx);
            require_same(difference(data.dx, dx), where + ", " + affine.describe());
        }
    });
}

// To within rounding: the chunks of the parts are others than those of the whole.
TEST_CASE("batch norm's sums over parts of the samples add up to the whole's, and give its dx") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        if (data.group != HNORM_BATCH || data.x.samples() < 2) return;
        const Affine affine(AffineKind::kChannel, data.x);
        const References statistics = references(data.x, data.group);
        const reference::Gradients expected =
            reference_gradients(data.x, data.dy, data.group, statistics, false, affine, data.eps);
        const int64_t N = data.x.samples(), cuts[] = {0, N / 3, N};
        const std::vector<double> count(data.saved.mean.size(), static_cast<double>(group_size(data.x, HNORM_BATCH)));
        Sums whole{std::vector<double>(count.size(), 0), std::vector<double>(count.size(), 0)};
        for (int part : {0, 1}) {
            if (cuts[part] == cuts[part + 1]) continue;
            const Sums sums =
                backward_reduce(samples(data.x, cuts[part], cuts[part + 1]),
                                samples(data.dy, cuts[part], cuts[part + 1]), HNORM_BATCH, data.saved.mean);
            for (size_t g = 0; g < count.size(); g++) {
                whole.dy[g] += sums.dy[g];
                whole.dy_xmu[g] += sums.dy_xmu[g];
            }
        }
        const Sums at_once = backward_reduce(data.x, data.dy, HNORM_BATCH, data.saved.mean);
        for (size_t g = 0; g < count.size(); g++) {
            INFO(where << ", group " << g);
            REQUIRE(std::fabs(whole.dy[g] - at_once.dy[g]) <= kGradientTolerance * expected.dbeta_size[g]);
            REQUIRE(std::fabs(whole.dy_xmu[g] - at_once.dy_xmu[g]) <=
                    kGradientTolerance * expected.dgamma_size[g] * std::sqrt(data.saved.variance[g] + data.eps));
        }
        for (int part : {0, 1}) {
            if (cuts[part] == cuts[part + 1]) continue;
            const Tensor part_x = samples(data.x, cuts[part], cuts[part + 1]);
            const Tensor part_dy = samples(data.dy, cuts[part], cuts[part + 1]);
            Tensor part_dx(part_x.shape());
            backward_apply(part_x, part_dy, HNORM_BATCH, count, data.saved.mean, data.saved.variance, whole, affine,
                           data.eps, part_dx);
            for (int64_t n = cuts[part]; n < cuts[part + 1]; n++)
                for (int64_t c = 0; c < part_x.channels(); c++)
                    std::copy_n(part_dx.plane(n - cuts[part], c), part_x.positions(), data.dx.plane(n, c));
        }
        const Worst worst = worst_dx(data.x, HNORM_BATCH, expected, data.dx);
        INFO(where << "\n" << worst.where);
        REQUIRE(worst.error <= kGradientTolerance);
    });
}

TEST_CASE("gradients of batch norm of one sample equal those of instance norm") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        if (data.group != HNORM_BATCH || data.x.samples() > 1) return;
        for (AffineKind kind : kAffineKinds) {
            const Affine affine(kind, data.x);
            for (bool frozen : {false, true}) {
                data.group = HNORM_BATCH;
                const ParameterGradients batch = data.gradients(affine, frozen);
                const std::vector<float> dx = elements(data.dx);
                data.group = HNORM_INSTANCE;
                const ParameterGradients instance = data.gradients(affine, frozen);
                require_same(difference(data.dx, dx), where + ", " + affine.describe());
                require_same(instance, batch, where + ", " + affine.describe());
            }
        }
    });
}

TEST_CASE("which gradients are wanted changes no bit of the others") {
    for_each(1e-5, [](Data &data, const std::string &where) {
        const Affine affine(data.x.samples() % 2 ? AffineKind::kChannel : AffineKind::kSampleAndChannel, data.x);
        for (bool frozen : {false, true}) {
            const ParameterGradients all = data.gradients(affine, frozen);
            const std::vector<float> dx = elements(data.dx);
            for (Wanted wanted : {Wanted::kBoth, Wanted::kGamma, Wanted::kBeta, Wanted::kNeither}) {
                for (bool wants_dx : {true, false}) {
                    const ParameterGradients found =
                        backward(&data.x, data.dy, data.group, data.saved.mean, data.saved.variance, affine, data.eps,
                                 frozen, wants_dx ? &data.dx : nullptr, wanted);
                    if (wants_dx) require_same(difference(data.dx, dx), where);
                    if (!found.dgamma.empty()) require_same(difference("dgamma", found.dgamma, all.dgamma), where);
                    if (!found.dbeta.empty()) require_same(difference("dbeta", found.dbeta, all.dbeta), where);
                }
            }
            if (!frozen) continue;
            // x is not needed; dy in its place may change dbeta's last bits
            const ParameterGradients with_dy = backward(&data.dy, data.dy, data.group, data.saved.mean,
                                                        data.saved.variance, affine, data.eps, true, nullptr);
            const ParameterGradients without =
                backward(nullptr, data.dy, data.group, data.saved.mean, data.saved.variance, affine, data.eps, true,
                         &data.dx, Wanted::kBeta);
            require_same(difference(data.dx, dx), where + ", without x");
            require_same(difference("dbeta", without.dbeta, with_dy.dbeta), where + ", without x");
        }
    });
}
