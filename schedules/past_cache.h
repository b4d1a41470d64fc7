// Stores past the cache. Halide 21 has none (22 has stream_stores, which can replace this header).
// A schedule splits its stores to the output into tiles of kPastCacheBytes, whole cache lines, and
// a tile into vectors by a loop named kPastCache. A pass after Halide's own ones changes that loop:
// it fills a tile on the stack, and then a function of the runtime
// (runtime/src/store_past_cache.cpp) moves the tile to memory. A tile is so small that the
// processor reads for the next one meanwhile.
#pragma once

#include <Halide.h>

#include <stdexcept>
#include <string>

namespace hnorm {

constexpr int kPastCacheBytes = 256;
constexpr const char *kPastCache = "past_cache";

inline bool has_stores_past_cache(const Halide::Target &target) { return target.arch == Halide::Target::X86; }

// Widens the operands of 32-bit sums and products, in place of their results: in an index these do
// not overflow.
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

// Turns the loops named kPastCache into stores of whole tiles past the cache.
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
        // Refuses a tile of the output that is not dense or not of that size.
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

    // The body of such a loop, which now stores vector `i` of the tile. base: where it stored
    // before.
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
