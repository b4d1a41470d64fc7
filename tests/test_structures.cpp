// Structures that grow: what older and newer programs pass, and what has no right size.
#include "api.h"
#include "random_calls.h"

#include <hnorm/context.h>

#include <memory>

using namespace api;

namespace {

// A structure as a newer header might have it: with a field behind those that the library knows.
template <typename T>
struct Newer {
    explicit Newer(const T &known, uint64_t further) : known_(known), further_(further) { known_.size = sizeof *this; }
    const T *get() const { return &known_; }

private:
    T known_;
    uint64_t further_;
};
static_assert(sizeof(Newer<hnorm_tensor>) == sizeof(hnorm_tensor) + 8);

struct Call {
    Pair pair{{2, 3, 4}};
    Pair other{{2, 3, 4}, 2};
    std::vector<float> gamma = {1, 2, 3}, beta = {4, 5, 6};
    std::vector<double> mean = {0, 0, 0}, variance = {1, 1, 1};
    hnorm_affine affine = hnorm_affine_of(gamma.data(), beta.data());
    hnorm_post_ops post = hnorm_post_ops_defaults();
    hnorm_post_ops_gradient gradient = hnorm_post_ops_gradient_defaults();

    hnorm_status forward(const hnorm_tensor *x, const hnorm_affine *a, const hnorm_post_ops *p) {
        return hnorm_forward(x, HNORM_BATCH, a, 1e-5, p, &pair.out, nullptr, nullptr);
    }
    hnorm_status backward(const hnorm_post_ops_gradient *p) {
        return hnorm_backward(&other.in, &pair.in, HNORM_BATCH, mean.data(), variance.data(), &affine, 1e-5, p,
                              &pair.out, nullptr, nullptr);
    }
};

hnorm_status create(const hnorm_layer_options *options) {
    hnorm_layer *layer = nullptr;
    const hnorm_status status = hnorm_layer_create(3, options, &layer);
    REQUIRE((status == HNORM_OK) == (layer != nullptr));
    hnorm_layer_destroy(layer);
    return status;
}

void *no_memory(void *, size_t) { return nullptr; }
void free_nothing(void *, void *) {}

// Calls take(structure) with every size that a program may pass.
template <typename T, typename Take>
void check_sizes(const std::string &where, const std::string &type, T good, const Take &take) {
    const std::string size = std::to_string(sizeof(T));
    REQUIRE(take(&good) == HNORM_OK);
    for (size_t wrong : {size_t(0), size_t(1), sizeof(T) - 1, size_t(4097), SIZE_MAX}) {
        T bad = good;
        bad.size = wrong;
        require_refused(take(&bad), HNORM_INVALID_ARGUMENT,
                        {where + ".size is " + std::to_string(wrong), "sizeof(" + type + "), which is " + size});
    }
    REQUIRE(take(Newer<T>(good, 0).get()) == HNORM_OK);
    require_refused(take(Newer<T>(good, 1).get()), HNORM_UNSUPPORTED,
                    {where + " has fields that are not 0 behind the " + size + " bytes", hnorm_version(), type});
}

}  // namespace

TEST_CASE("structures of newer programs are taken where their further fields are 0, other sizes refused", "[cpu]") {
    Call c;
    check_sizes("hnorm_forward: x", "hnorm_tensor", c.pair.in,
                [&](const hnorm_tensor *x) { return c.forward(x, nullptr, nullptr); });
    check_sizes("hnorm_forward: affine", "hnorm_affine", c.affine,
                [&](const hnorm_affine *a) { return c.forward(&c.pair.in, a, nullptr); });
    check_sizes("hnorm_forward: post", "hnorm_post_ops", c.post,
                [&](const hnorm_post_ops *p) { return c.forward(&c.pair.in, nullptr, p); });
    c.post.residual = &c.other.in;
    check_sizes("hnorm_forward: post.residual", "hnorm_tensor", c.other.in, [&](const hnorm_tensor *residual) {
        c.post.residual = residual;
        return c.forward(&c.pair.in, nullptr, &c.post);
    });
    check_sizes("hnorm_backward: post", "hnorm_post_ops_gradient", c.gradient,
                [&](const hnorm_post_ops_gradient *p) { return c.backward(p); });
    check_sizes("hnorm_layer_create: options", "hnorm_layer_options", hnorm_layer_defaults(HNORM_BATCH), create);
    hnorm_context *context = nullptr;
    REQUIRE(hnorm_context_create(&context) == HNORM_OK);
    check_sizes("hnorm_context_set_allocator: allocator", "hnorm_allocator",
                hnorm_allocator_of(no_memory, free_nothing, nullptr),
                [&](const hnorm_allocator *a) { return hnorm_context_set_allocator(context, a); });
    hnorm_context_destroy(context);
}

TEST_CASE("a structure without a size is refused before anything is written", "[cpu]") {
    Call c;
    c.pair.out.size = 0;
    require_refused(c.forward(&c.pair.in, nullptr, nullptr), HNORM_INVALID_ARGUMENT, {"hnorm_forward: y.size is 0"});
    REQUIRE(all_are(c.pair.y, kSentinel));
}

TEST_CASE("the functions that make structures set every field") {
    const int64_t shape[] = {2, 3, 4, 5};
    float data = 0;
    const auto require_tensor = [&](const hnorm_tensor &t, hnorm_type type, std::vector<int64_t> strides) {
        REQUIRE(t.size == sizeof(hnorm_tensor));
        REQUIRE(t.data == &data);
        REQUIRE(t.type == type);
        REQUIRE(t.device == HNORM_CPU);
        REQUIRE(t.rank == static_cast<int>(strides.size()));
        for (size_t i = 0; i < HNORM_MAX_RANK; i++) {
            REQUIRE(t.shape[i] == (i < strides.size() ? shape[i] : 0));
            REQUIRE(t.strides[i] == (i < strides.size() ? strides[i] : 0));
        }
    };
    require_tensor(hnorm_channels_first(&data, 4, shape), HNORM_F32, {60, 20, 5, 1});
    require_tensor(hnorm_dense(&data, HNORM_BF16, 1, 4, shape), HNORM_BF16, {60, 1, 15, 3});
    require_tensor(hnorm_dense(&data, HNORM_F16, 1, 3, shape), HNORM_F16, {12, 1, 3});
    require_tensor(hnorm_dense(&data, HNORM_F32, 1, 2, shape), HNORM_F32, {3, 1});
    require_tensor(hnorm_dense(&data, HNORM_F32, 1, 1, shape), HNORM_F32, {1});

    const hnorm_affine affine = hnorm_affine_of(&data, nullptr), samples = hnorm_affine_of_samples(nullptr, &data, 7);
    REQUIRE((affine.size == sizeof affine && affine.gamma == &data && affine.beta == nullptr));
    REQUIRE((affine.stride_n == 0 && affine.stride_c == 1));
    REQUIRE((samples.size == sizeof samples && samples.gamma == nullptr && samples.beta == &data));
    REQUIRE((samples.stride_n == 7 && samples.stride_c == 1));
}
