// Stores past the cache, which Halide 21 lacks (22 has stream_stores; this header then goes). A schedule splits its stores to the
// output into tiles of kPastCacheBytes, whole cache lines, and these into vectors by a loop named kPastCache. A pass after Halide's
// own ones has that loop fill a tile on the stack, and a function of the runtime (runtime/src/past_cache.cpp) move it to
// memory. A tile is small enough for the processor to read the next one meanwhile.
#pragma once

#include <Halide.h>

#include <stdexcept>
#include <string>

namespace hnorm {

constexpr int kPastCacheBytes = 256;
constexpr const char *kPastCache = "past_cache";

inline bool has_stores_past_cache(const Halide::Target &target) { return target.arch == Halide::Target::X86; }

// 64-bit sums and products in place of widened 32-bit ones, which do not overflow in an index.
class WidenIndex : public Halide::Internal::IRMutator {
    using IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Cast *op) override {
        using namespace Halide::Internal;
        const auto wide = [&](const Halide::Expr &e) { return mutate(Halide::cast(op->type, e)); };
        if (op->type == Halide::Int(64)) {
            if (const Add *sum = op->value.as<Add>()) return wide(sum->a) + wide(sum->b);
            if (const Mul *product = op->value.as<Mul>()) return wide(product->a) * wide(product->b);
        }
        return IRMutator::visit(op);
    }
};

// Turns the loops named kPastCache of stores to the output into such stores.
class StorePastCache : public Halide::Internal::IRMutator {
public:
    StorePastCache(std::string output, const Halide::Target &target)
        : output_(std::move(output)),
          function_(target.has_feature(Halide::Target::AVX) ? "hnorm_store_past_cache_avx"
                                                            : "hnorm_store_past_cache_sse") {}

    Halide::Internal::Stmt mutate(const Halide::Internal::Stmt &s) override {
        if (depth_++ > 0) {
            const Halide::Internal::Stmt inner = IRMutator::mutate(s);
            depth_--;
            return inner;
        }
        const Halide::Internal::Stmt all = IRMutator::mutate(s);
        depth_--;
        if (loops_ == 0) throw std::logic_error("no store to " + output_ + " goes past the cache");
        return all;
    }
    using IRMutator::mutate;

private:
    using Expr = Halide::Expr;
    using Stmt = Halide::Internal::Stmt;
    using For = Halide::Internal::For;
    using Store = Halide::Internal::Store;
    using LetStmt = Halide::Internal::LetStmt;

    using IRMutator::visit;

    Stmt visit(const For *loop) override {
        const std::string suffix = std::string(".") + kPastCache;
        const bool is_tile = loop->name.size() > suffix.size() &&
                             loop->name.compare(loop->name.size() - suffix.size(), suffix.size(), suffix) == 0;
        if (!is_tile) return IRMutator::visit(loop);
        using namespace Halide::Internal;
        loops_++;
        const Expr i = Variable::make(Halide::Int(32), loop->name);
        Expr base;
        const Stmt body = filled(loop->body, i - loop->min, &base);
        // The output's tile is dense, and as large as it should be.
        const auto at = [&](const Expr &step) { return substitute(loop->name, step, base); };
        const int tile = kPastCacheBytes / type_.bytes();
        if (!can_prove(loop->extent == tile / lanes_) || !can_prove(WidenIndex().mutate(at(i + 1) - base) == lanes_)) {
            throw std::logic_error("a loop past the cache is no tile of " + output_);
        }
        const auto address = [](const std::string &buffer) { return Variable::make(Halide::Handle(), buffer); };
        const Expr offset = Halide::cast<int64_t>(at(loop->min)) * type_.bytes();
        return Allocate::make(
            kTile, type_, Halide::MemoryType::Stack, {tile}, const_true(),
            Block::make(For::make(loop->name, loop->min, loop->extent, loop->for_type, loop->partition_policy,
                                  loop->device_api, body),
                        Evaluate::make(Call::make(Halide::Int(32), function_,
                                                  {address(output_), offset, address(kTile)}, Call::Extern))));
    }

    // The body of such a loop, with its store to the tile, of which it is vector `i`. base: where it stored before.
    Stmt filled(const Stmt &body, const Expr &i, Expr *base) {
        using namespace Halide::Internal;
        if (const LetStmt *let = body.as<LetStmt>()) {
            const Stmt rest = filled(let->body, i, base);
            *base = substitute(let->name, let->value, *base);
            return LetStmt::make(let->name, let->value, rest);
        }
        const Store *store = body.as<Store>();
        const Ramp *ramp = store ? store->index.as<Ramp>() : nullptr;
        if (!ramp || store->name != output_ || !is_const_one(ramp->stride) || !is_const_one(store->predicate)) {
            throw std::logic_error("a loop past the cache is no run of vectors of " + output_);
        }
        type_ = store->value.type().element_of();
        lanes_ = ramp->lanes;
        *base = ramp->base;
        return Store::make(kTile, store->value, Ramp::make(i * lanes_, 1, lanes_), Halide::Parameter(),
                           store->predicate, ModulusRemainder(lanes_, 0));
    }

    static constexpr const char *kTile = "tile_past_cache";
    const std::string output_, function_;
    Halide::Type type_;  // of the latest loop's elements
    int lanes_ = 0;
    int loops_ = 0, depth_ = 0;
};

}  // namespace hnorm
