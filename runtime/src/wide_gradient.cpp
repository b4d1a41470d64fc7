// The CPU's conversions behind a residual: gradients of 16-bit elements as floats, and back.
#include "cpu.h"
#include "elements.h"

namespace hnorm::detail {

namespace {

// One tensor's elements along a row, from (n, c, s) on.
struct Row {
    Row(const CheckedTensor &p, bool along_s, int64_t n, int64_t i)
        : data(p.at(n, along_s ? i : 0) + (along_s ? 0 : i * p.stride_s * p.element_size())),
          step(along_s ? (p.s == 1 ? 1 : p.stride_s) : (p.c == 1 ? 1 : p.stride_c)) {}

    template <typename T>
    T *as() const {
        return reinterpret_cast<T *>(data);
    }

    char *data;
    int64_t step;
};

// Calls visit(count, rows...) for rows that lie together, of tensors of one shape.
template <typename Visit, typename... Tensors>
void for_each_row(const Visit &visit, const CheckedTensor &first, const Tensors &...others) {
    const bool along_s = first.layout == Layout::kChannelsFirst && first.s > 1;
    const int64_t rows = along_s ? first.c : first.s, count = along_s ? first.s : first.c;
    for (int64_t n = 0; n < first.n; ++n) {
        for (int64_t i = 0; i < rows; ++i) {
            visit(count, Row(first, along_s, n, i), Row(others, along_s, n, i)...);
        }
    }
}

// to[i] = convert(a[i], b[i]); vectors where all are dense.
template <typename From, typename To, typename Convert>
void convert_row(int64_t count, const Row &a, const Row &b, const Row &to, const Convert &convert) {
    const From *const from_a = a.as<From>(), *const from_b = b.as<From>();
    To *const out = to.as<To>();
    if (a.step == 1 && b.step == 1 && to.step == 1) {
        for (int64_t i = 0; i < count; ++i) {
            out[i] = convert(from_a[i], from_b[i]);
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        out[i * to.step] = convert(from_a[i * a.step], from_b[i * b.step]);
    }
}

// As generators/activation_backward.cpp, into floats.
template <float (*to_float)(uint16_t)>
void widen_gradient(const CheckedTensor &y, const CheckedTensor &dy, float slope, const CheckedTensor &dz) {
    for_each_row(
        [slope](int64_t count, const Row &of_y, const Row &of_dy, const Row &to) {
            convert_row<uint16_t, float>(count, of_y, of_dy, to, [slope](uint16_t sign, uint16_t gradient) {
                const float value = to_float(gradient);
                return 0 < to_float(sign) ? value : value * slope;
            });
        },
        y, dy, dz);
}
template <uint16_t (*from_float)(float)>
void narrow_floats(const CheckedTensor &from, const CheckedTensor &to) {
    for_each_row(
        [](int64_t count, const Row &of, const Row &into) {
            convert_row<float, uint16_t>(count, of, of, into, [](float value, float) { return from_float(value); });
        },
        from, to);
}

}  // namespace

hnorm_status Cpu::wide_gradient(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                const CheckedTensor &dz) const {
    (dy.type == HNORM_F16 ? widen_gradient<f16_to_float> : widen_gradient<bf16_to_float>)(y, dy, slope, dz);
    return HNORM_OK;
}

hnorm_status Cpu::narrow(const CheckedTensor &from, const CheckedTensor &to) const {
    (to.type == HNORM_F16 ? narrow_floats<f16_from_float> : narrow_floats<bf16_from_float>)(from, to);
    return HNORM_OK;
}

}  // namespace hnorm::detail
