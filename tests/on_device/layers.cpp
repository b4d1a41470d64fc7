// Layers on a device, as functions.cpp: a layer moves there when it is made. Its arrays have a copy
// on the CPU, which tests read and write as if it were the layer: it is copied in before a call,
// and back after it.
#include "layers.h"

#include "arguments.h"

#include <hnorm/gpu.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#define HNORM_REAL(function) decltype(function) __real_##function
extern "C" {
HNORM_REAL(hnorm_layer_create);
HNORM_REAL(hnorm_layer_destroy);
HNORM_REAL(hnorm_layer_forward);
HNORM_REAL(hnorm_layer_forward_add);
HNORM_REAL(hnorm_layer_backward);
HNORM_REAL(hnorm_layer_backward_add);
HNORM_REAL(hnorm_layer_zero_grad);
HNORM_REAL(hnorm_layer_reset_running_stats);
HNORM_REAL(hnorm_layer_gamma);
HNORM_REAL(hnorm_layer_beta);
HNORM_REAL(hnorm_layer_gamma_grad);
HNORM_REAL(hnorm_layer_beta_grad);
HNORM_REAL(hnorm_layer_running_mean);
HNORM_REAL(hnorm_layer_running_var);
}

namespace {

using namespace on_device;

void require(hnorm_status status) {
    if (status == HNORM_OK) return;
    std::fprintf(stderr, "the tests' device: a layer's arrays: %s\n", hnorm_last_error());
    std::abort();
}

// The copies of a layer's arrays: floats, then doubles, empty where the layer has none.
struct Copies {
    std::vector<float> floats[4];
    std::vector<double> doubles[2];
};
std::map<const hnorm_layer *, Copies> all_copies;
std::mutex mutex;

Copies &copies_of(const hnorm_layer *layer) {
    const std::lock_guard<std::mutex> lock(mutex);
    return all_copies[layer];
}

// visit(copy, the layer's array)
template <typename Visit>
void each_array(hnorm_layer *layer, Visit visit) {
    Copies &copies = copies_of(layer);
    visit(copies.floats[0], __real_hnorm_layer_gamma(layer));
    visit(copies.floats[1], __real_hnorm_layer_beta(layer));
    visit(copies.floats[2], __real_hnorm_layer_gamma_grad(layer));
    visit(copies.floats[3], __real_hnorm_layer_beta_grad(layer));
    visit(copies.doubles[0], __real_hnorm_layer_running_mean(layer));
    visit(copies.doubles[1], __real_hnorm_layer_running_var(layer));
}

}  // namespace

namespace on_device {

void copy_layer_in(hnorm_layer *layer) {
    use();
    each_array(layer, [](auto &copy, auto *array) {
        if (array) require(hnorm_device_copy_in(device(), array, copy.data(), copy.size() * sizeof copy[0]));
    });
}
void copy_layer_back(hnorm_layer *layer) {
    use();
    each_array(layer, [&](auto &copy, auto *array) {
        if (!array) return;
        copy.resize(static_cast<size_t>(hnorm_layer_num_features(layer)));
        require(hnorm_device_copy_out(device(), copy.data(), array, copy.size() * sizeof copy[0]));
    });
}

}  // namespace on_device

namespace {

// A call on a layer, which may be null.
template <typename Call>
hnorm_status call(hnorm_layer *layer, const hnorm_tensor *like, Call call) {
    if (layer) copy_layer_in(layer);
    hnorm_status status;
    {
        Arguments on(like);
        status = on.done(call(on));
    }
    if (layer) copy_layer_back(layer);
    return status;
}

template <typename T>
T *data(std::vector<T> &copy) {
    return copy.empty() ? nullptr : copy.data();
}

}  // namespace

extern "C" {

hnorm_status __wrap_hnorm_layer_create(int64_t num_features, const hnorm_layer_options *options, hnorm_layer **layer) {
    use();
    const hnorm_status status = __real_hnorm_layer_create(num_features, options, layer);
    if (status != HNORM_OK) return status;
    require(hnorm_layer_to(*layer, device()));
    copy_layer_back(*layer);
    return HNORM_OK;
}

void __wrap_hnorm_layer_destroy(hnorm_layer *layer) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        all_copies.erase(layer);
    }
    __real_hnorm_layer_destroy(layer);
}

hnorm_status __wrap_hnorm_layer_forward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y) {
    return call(layer, x, [&](Arguments &on) { return __real_hnorm_layer_forward(layer, on.tensor(x), on.tensor(y)); });
}
hnorm_status __wrap_hnorm_layer_forward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                                            const hnorm_tensor *y) {
    return call(layer, x, [&](Arguments &on) {
        return __real_hnorm_layer_forward_add(layer, on.tensor(x), on.tensor(residual), on.tensor(y));
    });
}
hnorm_status __wrap_hnorm_layer_backward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                                         const hnorm_tensor *dx) {
    return call(layer, x, [&](Arguments &on) {
        return __real_hnorm_layer_backward(layer, on.tensor(x), on.tensor(dy), on.tensor(dx));
    });
}
hnorm_status __wrap_hnorm_layer_backward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y,
                                             const hnorm_tensor *dy, const hnorm_tensor *dx,
                                             const hnorm_tensor *dresidual) {
    return call(layer, x, [&](Arguments &on) {
        return __real_hnorm_layer_backward_add(layer, on.tensor(x), on.tensor(y), on.tensor(dy), on.tensor(dx),
                                               on.tensor(dresidual));
    });
}
hnorm_status __wrap_hnorm_layer_zero_grad(hnorm_layer *layer) {
    return call(layer, nullptr, [&](Arguments &) { return __real_hnorm_layer_zero_grad(layer); });
}
hnorm_status __wrap_hnorm_layer_reset_running_stats(hnorm_layer *layer) {
    return call(layer, nullptr, [&](Arguments &) { return __real_hnorm_layer_reset_running_stats(layer); });
}
float *__wrap_hnorm_layer_gamma(hnorm_layer *layer) { return layer ? data(copies_of(layer).floats[0]) : nullptr; }
float *__wrap_hnorm_layer_beta(hnorm_layer *layer) { return layer ? data(copies_of(layer).floats[1]) : nullptr; }
float *__wrap_hnorm_layer_gamma_grad(hnorm_layer *layer) { return layer ? data(copies_of(layer).floats[2]) : nullptr; }
float *__wrap_hnorm_layer_beta_grad(hnorm_layer *layer) { return layer ? data(copies_of(layer).floats[3]) : nullptr; }
double *__wrap_hnorm_layer_running_mean(hnorm_layer *layer) {
    return layer ? data(copies_of(layer).doubles[0]) : nullptr;
}
double *__wrap_hnorm_layer_running_var(hnorm_layer *layer) {
    return layer ? data(copies_of(layer).doubles[1]) : nullptr;
}

}  // extern "C"
