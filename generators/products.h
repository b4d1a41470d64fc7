// A product whose rounding no compiler of GPUs takes away.
#pragma once

#include <Halide.h>

namespace hnorm {

using namespace Halide;

// The product of two floats or doubles that is then added to a sum. Compilers of GPUs fuse the
// product and the sum, although Halide forbids it, and round once where docs/order.md rounds twice.
// CUDA has a product that is never fused. Elsewhere the product passes through an "exclusive or"
// with `zero`, a parameter of the kernel that is 0. If `zero` is undefined, it is the plain
// product.
struct Products {
    Expr zero;
    bool on_cuda = false;

    Expr operator()(const Expr &a, const Expr &b) const {
        const Type type = a.type();
        if (on_cuda) {
            const char *const name = type.bits() == 64 ? "llvm.nvvm.mul.rn.d" : "llvm.nvvm.mul.rn.f";
            return Internal::Call::make(type, name, {a, b}, Internal::Call::PureExtern);
        }
        const Expr product = a * b;
        if (!zero.defined()) return product;
        const Type bits = Int(type.bits());
        return reinterpret(type, reinterpret(bits, product) ^ cast(bits, zero));
    }
};

}  // namespace hnorm
