// hnorm.hpp says what hnorm.h says: the same bits, and its sentences as exceptions.
#include "api.h"

#include <hnorm/hnorm.hpp>

#include <array>
#include <type_traits>

using namespace api;

namespace {

// What the call throws, which must be hnorm::Error of this status.
template <typename Call>
std::string thrown(hnorm_status status, const Call &call) {
    try {
        call();
    } catch (const hnorm::Error &error) {
        INFO(error.what());
        REQUIRE(error.status() == status);
        return error.what();
    }
    FAIL("nothing was thrown");
    return "";
}

bool contains(const std::string &text, const std::string &part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

// A tensor of the run's format, made as a C++ program makes one.
hnorm::Tensor tensor(void *data, const std::vector<int64_t> &shape) {
    const test::TensorFormat &format = test::tensor_format();
    return {data, static_cast<hnorm::Type>(format.type),
            format.channels_last ? hnorm::Layout::channels_last : hnorm::Layout::channels_first, shape};
}

static_assert(!std::is_convertible_v<hnorm::ConstTensor, hnorm::Tensor>, "a const tensor must not become writable");
static_assert(!std::is_constructible_v<hnorm::Tensor, const float *, hnorm::Span<const int64_t>>, "nor const data");
static_assert(!std::is_copy_constructible_v<hnorm::BatchNorm> && std::is_nothrow_move_constructible_v<hnorm::BatchNorm>,
              "layers are moved, not copied");
static_assert(std::is_base_of_v<std::runtime_error, hnorm::Error>, "Error is a runtime_error");

}  // namespace

TEST_CASE("tensors of every rank are dense, and may be given other strides", "[once]") {
    float data[1] = {};
    const auto axes = [](hnorm::Span<const int64_t> values) {
        return std::vector<int64_t>(values.begin(), values.end());
    };
    const hnorm::Tensor tensors[] = {hnorm::nc(data, {2, 3}), hnorm::ncl(data, {2, 3, 4}),
                                     hnorm::nchw(data, {2, 3, 4, 5}), hnorm::ncdhw(data, {2, 3, 4, 5, 6})};
    const std::vector<int64_t> strides[] = {{3, 1}, {12, 4, 1}, {60, 20, 5, 1}, {360, 120, 30, 6, 1}};
    for (int rank = 2; rank <= 5; rank++) {
        const std::vector<int64_t> shape = [&] {
            std::vector<int64_t> all = {2, 3, 4, 5, 6};
            all.resize(static_cast<size_t>(rank));
            return all;
        }();
        for (const hnorm::Tensor &tensor : {tensors[rank - 2], hnorm::channels_first(data, shape)}) {
            REQUIRE(tensor.rank() == rank);
            REQUIRE(tensor.data() == data);
            REQUIRE(axes(tensor.shape()) == shape);
            REQUIRE(axes(tensor.strides()) == strides[rank - 2]);
        }
    }
    const hnorm::Tensor padded = tensors[1].with_strides(100, 30);
    REQUIRE(axes(padded.strides()) == std::vector<int64_t>{100, 30, 1});
    REQUIRE(axes(hnorm::channels_first(data, {2, 3}).strides()) == strides[0]);
}

TEST_CASE("spans view what they are made of, and nothing where there is nothing", "[once]") {
    std::vector<double> vector(3), emptied(3);
    emptied.clear();
    std::array<double, 2> array = {};
    double c_array[4] = {};
    REQUIRE((hnorm::Span<double>(vector).data() == vector.data() && hnorm::Span<const double>(vector).size() == 3));
    REQUIRE((hnorm::Span<double>(array).data() == array.data() && hnorm::Span<double>(array).size() == 2));
    REQUIRE((hnorm::Span<double>(c_array).data() == c_array && hnorm::Span<double>(c_array).size() == 4));
    REQUIRE(hnorm::Span<double>(emptied).data() == nullptr);
    REQUIRE(hnorm::Span<double>(nullptr).empty());
}

TEST_CASE("functions give the bits of the C functions") {
    Pair pair({3, 4, 6, 7}), expected({3, 4, 6, 7});
    const hnorm::ConstTensor x = tensor(pair.x.data(), {3, 4, 6, 7});
    const hnorm::Tensor y = tensor(pair.y.data(), {3, 4, 6, 7});
    for (hnorm::Group group : {hnorm::Group::batch, hnorm::Group::instance}) {
        const hnorm_group c_group = group == hnorm::Group::batch ? HNORM_BATCH : HNORM_INSTANCE;
        const size_t groups = group == hnorm::Group::batch ? 4 : 12;
        INFO(groups << " groups");
        std::vector<double> count(groups), mean(groups), m2(groups), variance(groups), variance2(groups);
        REQUIRE(hnorm_moments(&expected.in, c_group, count.data(), mean.data(), m2.data()) == HNORM_OK);
        const hnorm::Moments moments = hnorm::moments(x, group);
        REQUIRE((moments.count == count && moments.mean == mean && moments.m2 == m2));

        for (size_t values : {size_t(4), size_t(12)}) {
            std::vector<float> gamma(values), beta(values);
            fill(gamma, 3);
            fill(beta, 4);
            const hnorm_affine affine = hnorm_affine_of_samples(gamma.data(), beta.data(), values == 4 ? 0 : 4);
            REQUIRE(hnorm_forward(&expected.in, c_group, &affine, 1e-5, nullptr, &expected.out, mean.data(),
                                  variance.data()) == HNORM_OK);
            hnorm::forward(x, group, {gamma, beta}, 1e-5, y, nullptr, variance2);
            REQUIRE(same_bits(pair.y, expected.y));
            REQUIRE(variance == variance2);
            REQUIRE(moments.variance() == variance);

            REQUIRE(hnorm_normalize(&expected.in, c_group, mean.data(), variance.data(), &affine, 0.5, nullptr,
                                    &expected.out) == HNORM_OK);
            hnorm::normalize(x, group, mean, variance, {gamma, beta}, 0.5, y);
            REQUIRE(same_bits(pair.y, expected.y));
        }
    }
    for (size_t values : {size_t(4), size_t(12)}) {
        std::vector<float> mean(values, 0.5f), variance(values), offset(values), scale(values);
        fill(variance, 6);
        for (float &v : variance) v = v * v + 0.1f;
        fill(offset, 7);
        fill(scale, 8);
        REQUIRE(hnorm_batch_normalization(&expected.in, static_cast<int64_t>(values), mean.data(), variance.data(),
                                          offset.data(), scale.data(), 1e-3, &expected.out) == HNORM_OK);
        hnorm::batch_normalization(x, mean, variance, offset, scale, 1e-3, y);
        REQUIRE(same_bits(pair.y, expected.y));
        // TensorFlow's formula, and its order of arguments.
        const size_t i = 6 * 7 * 5 + 3, plane = values == 4 ? 1 : 5;  // an element of sample 1, channel 1
        const double inverse = 1 / std::sqrt(double(variance[plane]) + 1e-3);
        const double value = (pair.x[i] - 0.5) * inverse * scale[plane] + offset[plane];
        REQUIRE(pair.y[i] == Approx(value).epsilon(1e-5).margin(static_cast<double>(test::last_place(value))));
        REQUIRE(hnorm_batch_normalization(&expected.in, static_cast<int64_t>(values), mean.data(), variance.data(),
                                          nullptr, nullptr, 1e-3, &expected.out) == HNORM_OK);
        hnorm::batch_normalization(x, mean, variance, nullptr, nullptr, 1e-3, y);
        REQUIRE(same_bits(pair.y, expected.y));
    }
}

TEST_CASE("moments of parts merge to those of the whole") {
    Pair pair({5, 2, 9});
    const hnorm::Moments whole = hnorm::moments(tensor(pair.x.data(), {5, 2, 9}), hnorm::Group::batch);
    hnorm::Moments merged = hnorm::moments(tensor(pair.x.data(), {0, 2, 9}), hnorm::Group::batch);
    REQUIRE(merged.count == std::vector<double>{0, 0});
    merged.merge(hnorm::moments(tensor(pair.x.data(), {2, 2, 9}), hnorm::Group::batch));
    merged.merge(hnorm::moments(tensor(pair.x.data(36), {3, 2, 9}), hnorm::Group::batch));
    REQUIRE(merged.count == whole.count);
    for (size_t c = 0; c < 2; c++) {
        REQUIRE(merged.mean[c] == Approx(whole.mean[c]).margin(1e-7));
        REQUIRE(merged.m2[c] == Approx(whole.m2[c]).epsilon(1e-6));
    }
    const std::string why = thrown(HNORM_INVALID_ARGUMENT, [&] { merged.merge(hnorm::Moments{{1}, {1}, {1}}); });
    REQUIRE(contains(why, "Moments::merge: the vectors must be equally long, and are 2 and 1"));
    REQUIRE(merged.count == whole.count);
}

TEST_CASE("layers are the C layers with their options") {
    Pair pair({4, 3, 5, 5}), expected({4, 3, 5, 5});
    const hnorm::Tensor x = tensor(pair.x.data(), {4, 3, 5, 5}), y = tensor(pair.y.data(), {4, 3, 5, 5});
    const auto compare = [&](auto &layer, hnorm_layer *c_layer) {
        for (int step = 0; step < 3; step++) {
            layer.forward(x, y);
            REQUIRE(hnorm_layer_forward(c_layer, &expected.in, &expected.out) == HNORM_OK);
            REQUIRE(same_bits(pair.y, expected.y));
        }
        layer.eval();
        REQUIRE(!layer.is_training());
        REQUIRE(hnorm_layer_train(c_layer, 0) == HNORM_OK);
        layer.forward(x, y);
        REQUIRE(hnorm_layer_forward(c_layer, &expected.in, &expected.out) == HNORM_OK);
        REQUIRE(same_bits(pair.y, expected.y));
        layer.train();
        REQUIRE(layer.is_training());
        const auto same = [](auto span, const auto *values) {
            return span.empty() ? values == nullptr : values && std::equal(span.begin(), span.end(), values);
        };
        REQUIRE(same(layer.gamma(), hnorm_layer_gamma(c_layer)));
        REQUIRE(same(layer.beta(), hnorm_layer_beta(c_layer)));
        REQUIRE(same(layer.running_mean(), hnorm_layer_running_mean(c_layer)));
        REQUIRE(same(layer.running_var(), hnorm_layer_running_var(c_layer)));
        REQUIRE(same(layer.num_batches_tracked(), hnorm_layer_num_batches_tracked(c_layer)));
    };
    {
        hnorm::BatchNorm layer(3);
        Layer c_layer(3);
        compare(layer, c_layer);
        const hnorm::BatchNorm &view = layer;
        REQUIRE((view.running_var().size() == 3 && view.num_batches_tracked()[0] == 3 && view.num_features() == 3));
        layer.reset_running_stats();
        REQUIRE(view.num_batches_tracked()[0] == 0);
        layer.gamma()[1] = -2;
        layer.beta()[2] = 0.5f;
        hnorm_layer_gamma(c_layer)[1] = -2;
        hnorm_layer_beta(c_layer)[2] = 0.5f;
        REQUIRE(hnorm_layer_reset_running_stats(c_layer) == HNORM_OK);
        REQUIRE(hnorm_layer_train(c_layer, 1) == HNORM_OK);
        compare(layer, c_layer);
        hnorm::BatchNorm moved = std::move(layer);
        REQUIRE(moved.gamma()[1] == -2);
    }
    {
        hnorm::InstanceNorm layer(3);
        Layer c_layer(3, hnorm_layer_defaults(HNORM_INSTANCE));
        compare(layer, c_layer);
        REQUIRE((layer.gamma().empty() && layer.num_batches_tracked().empty()));
    }
    {
        hnorm::InstanceNorm layer(3, hnorm::Options().eps(0.25).momentum(0.75).affine(true).track_running_stats(true));
        Layer c_layer(3, {sizeof(hnorm_layer_options), HNORM_INSTANCE, 0.25, 0.75, 0, 1, 1, 0, HNORM_NO_ACTIVATION, 0});
        compare(layer, c_layer);
        REQUIRE((layer.gamma().size() == 3 && layer.num_batches_tracked()[0] == 3));
    }
    for (const hnorm::Options &options : {hnorm::Options().cumulative(), hnorm::Options().momentum(std::nullopt)}) {
        hnorm::BatchNorm layer(3, options);
        Layer c_layer(3, {sizeof(hnorm_layer_options), HNORM_BATCH, 1e-5, 0.1, 1, 1, 1, 0, HNORM_NO_ACTIVATION, 0});
        compare(layer, c_layer);
    }
    {
        hnorm::BatchNorm layer(3, hnorm::Options().cumulative().momentum(0.5).track_running_stats(false).affine(false));
        Layer c_layer(3, {sizeof(hnorm_layer_options), HNORM_BATCH, 1e-5, 0.5, 0, 0, 0, 0, HNORM_NO_ACTIVATION, 0});
        compare(layer, c_layer);
    }
}

TEST_CASE("exceptions carry the status and the sentence, and nothing is written", "[once]") {
    std::vector<float> in(120), out(120, kSentinel);
    const hnorm::Tensor x = hnorm::nchw(in.data(), {2, 3, 4, 5}), y = hnorm::nchw(out.data(), {2, 3, 4, 5});
    const hnorm::Group batch = hnorm::Group::batch;
    std::vector<double> three(3, kSentinelDouble), four(4, kSentinelDouble), none;
    std::vector<float> three_f(3), four_f(4), six_f(6);
    const auto refused = [&](const auto &call, const std::string &words) {
        INFO(words);
        REQUIRE(contains(thrown(HNORM_INVALID_ARGUMENT, call), words));
        REQUIRE(all_are(out, kSentinel));
        REQUIRE((all_are(three, kSentinelDouble) && all_are(four, kSentinelDouble)));
    };
    refused([&] { hnorm::forward(x, batch, {}, -1, y); }, "hnorm_forward: eps is -1");
    refused([&] { hnorm::forward(x, batch, {}, 0, y, four, three); }, "forward: mean holds 4 values but must hold 3");
    refused([&] { hnorm::forward(x, batch, {}, 0, y, three, four); }, "forward: variance holds 4 values");
    refused([&] { hnorm::forward(x, batch, {four_f, nullptr}, 0, y); },
            "forward: affine holds 4 values but must hold 3 (per channel) or 6 (per sample and channel)");
    refused([&] { hnorm::forward(x, batch, {three_f, six_f}, 0, y); }, "affine.beta holds 6 values but must hold 3");
    refused([&] { hnorm::normalize(x, batch, three, four, {}, 0, y); }, "normalize: variance holds 4 values");
    refused([&] { hnorm::normalize(x, batch, none, three, {}, 0, y); }, "hnorm_normalize: mean is null");
    refused([&] { hnorm::batch_normalization(x, three_f, six_f, nullptr, nullptr, 0, y); },
            "batch_normalization: variance holds 6 values but mean holds 3");
    refused([&] { hnorm::batch_normalization(x, three_f, three_f, four_f, nullptr, 0, y); },
            "offset holds 4 values but must hold 3");
    refused([&] { hnorm::batch_normalization(x, four_f, four_f, nullptr, nullptr, 0, y); },
            "hnorm_batch_normalization: length is 4");
    refused([&] { hnorm::moments(x.with_strides(60, 0), batch); }, "hnorm_moments: x.strides[1] is 0");
    refused([&] { hnorm::moments(hnorm::channels_first(in.data(), {120}), batch); }, "hnorm_moments: x.rank is 1");
    refused([&] { hnorm::moments(hnorm::channels_first(in.data(), {-1, 3}), batch); }, "x.shape[0] is -1");
    // A shape that is wrong is the reason given, not lengths that do not fit it.
    for (int rank : {1, 6}) {
        const std::vector<std::int64_t> shape(static_cast<size_t>(rank), 3);
        const hnorm::Tensor bad = hnorm::channels_first(in.data(), shape);
        const std::string reason = "x.rank is " + std::to_string(rank);
        refused([&] { hnorm::forward(bad, batch, {three_f, three_f}, 0, y); }, "hnorm_forward: " + reason);
        refused([&] { hnorm::normalize(bad, batch, three, three, {}, 0, y); }, "hnorm_normalize: " + reason);
    }
    refused([&] { hnorm::BatchNorm layer(0); }, "hnorm_layer_create: num_features is 0");
    refused([&] { hnorm::BatchNorm layer(3, hnorm::Options().momentum(2)); }, "options.momentum is 2");
    refused([&] { hnorm::BatchNorm(4).forward(x, y); }, "hnorm_layer_forward: x.shape is (2, 3, 4, 5)");
    REQUIRE(
        contains(thrown(HNORM_UNSUPPORTED,
                        [&] { hnorm::moments(hnorm::nc(in.data(), {INT64_MAX, INT64_MAX}), hnorm::Group::instance); }),
                 "N*C of more than 2000000000"));
}

TEST_CASE("the machine's settings", "[once]") {
    REQUIRE(hnorm::version() == hnorm_version());
    hnorm::set_num_threads(3);
    REQUIRE(hnorm::num_threads() == 3);
    hnorm::set_num_threads(0);
    REQUIRE(contains(thrown(HNORM_INVALID_ARGUMENT, [] { hnorm::set_num_threads(300); }), "threads is 300"));
    REQUIRE(contains(thrown(HNORM_INVALID_ARGUMENT, [] { hnorm::set_target("abacus"); }), "\"abacus\" is unknown"));
    const std::vector<hnorm::Target> targets = hnorm::targets();
    REQUIRE(targets.size() == static_cast<size_t>(hnorm_target_count()));
    const std::string chosen = hnorm::target();
    for (const hnorm::Target &target : targets) {
        if (!target.unusable.empty()) continue;
        hnorm::set_target(target.name);
        REQUIRE(hnorm::target() == target.name);
    }
    hnorm::set_target("");
    REQUIRE(hnorm::target() == chosen);
}

TEST_CASE("the headers are of the library's version, and the C++ names of a namespace of it", "[cpu]") {
    const std::string minor = std::to_string(HNORM_VERSION_MAJOR) + "." + std::to_string(HNORM_VERSION_MINOR);
    REQUIRE(hnorm::version() == minor + "." + std::to_string(HNORM_VERSION_PATCH));
    static_assert(std::is_same_v<hnorm::BatchNorm, hnorm::v0_2::BatchNorm>);
    REQUIRE(minor == "0.2");
}
