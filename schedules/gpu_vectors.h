// Loads and stores of 16 bytes on CUDA.
#pragma once

#include <Halide.h>

namespace hnorm {
namespace gpu {

using namespace Halide;

// Halide 21 loads and stores 16 bytes at once where these are four elements of 32 bits. This pass
// makes eight elements of 16 bits four of 32 bits of the same memory. Their rows begin at multiples
// of 16 bytes (GeneratorParam `aligned`).
class SixteenBytesAtOnce : public Internal::IRMutator {
    using Internal::IRMutator::visit;

    // The index of such a vector in words of 32 bits, or an undefined one.
    static Expr words(const Type &type, const Expr &index, const Internal::ModulusRemainder &alignment) {
        const auto *ramp = index.as<Internal::Ramp>();
        const bool fits = type.bits() == 16 && type.lanes() == 8 && ramp && Internal::is_const_one(ramp->stride) &&
                          alignment.modulus % 8 == 0 && alignment.remainder % 8 == 0;
        return fits ? Internal::Ramp::make(Internal::simplify(ramp->base / 2), 1, 4) : Expr();
    }

    Expr visit(const Internal::Load *op) override {
        const Expr index = words(op->type, op->index, op->alignment);
        if (!index.defined() || !Internal::is_const_one(op->predicate)) return IRMutator::visit(op);
        return reinterpret(op->type, Internal::Load::make(UInt(32, 4), op->name, mutate(index), op->image, op->param,
                                                          Internal::const_true(4), op->alignment / 2));
    }
    Internal::Stmt visit(const Internal::Store *op) override {
        const Expr index = words(op->value.type(), op->index, op->alignment);
        if (!index.defined() || !Internal::is_const_one(op->predicate)) return IRMutator::visit(op);
        return Internal::Store::make(op->name, reinterpret(UInt(32, 4), mutate(op->value)), mutate(index), op->param,
                                     Internal::const_true(4), op->alignment / 2);
    }
};

}  // namespace gpu
}  // namespace hnorm
