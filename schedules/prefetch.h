// Prefetch of the rows that channels-last sums take next. Halide's own directive takes dimension 0
// for the one of adjacent elements, and channels are dimension 2. So a schedule names the loop over
// blocks of channels kPrefetched, and a pass after Halide's own ones asks for the cache lines.
#pragma once

#include "../generators/chunks.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace hnorm {

constexpr const char *kPrefetched = "prefetched";

// Wherever the lanes of a line of channels are added to, asks for the same channels of the rows
// that come so many fours later. They may be of the next plane, or beyond the tensor: a prefetch
// never faults.
class PrefetchRows : public Halide::Internal::IRMutator {
public:
    PrefetchRows(const Reduction &d, int fours) : lanes_(d.sum.lanes.name()), fours_(fours), tensors_(d.tensors) {}

    Halide::Internal::Stmt mutate(const Halide::Internal::Stmt &s) override {
        if (depth_++ > 0) {
            const Halide::Internal::Stmt inner = IRMutator::mutate(s);
            depth_--;
            return inner;
        }
        const Halide::Internal::Stmt all = IRMutator::mutate(s);
        depth_--;
        if (lines_ == 0) throw std::logic_error("no rows that " + lanes_ + " adds are prefetched");
        return all;
    }
    using IRMutator::mutate;

private:
    using Expr = Halide::Expr;
    using Stmt = Halide::Internal::Stmt;
    using For = Halide::Internal::For;
    using Load = Halide::Internal::Load;
    using Store = Halide::Internal::Store;

    using IRMutator::visit;

    Stmt visit(const For *loop) override {
        const bool outside = inside_;
        inside_ = inside_ || Halide::Internal::ends_with(loop->name, std::string(".") + kPrefetched);
        const Stmt changed = IRMutator::visit(loop);
        inside_ = outside;
        return changed;
    }

    Expr visit(const Load *load) override {
        const bool is_vector = load->index.as<Halide::Internal::Ramp>() != nullptr;
        if (is_vector && std::find(tensors_.begin(), tensors_.end(), load->name) != tensors_.end()) {
            loads_.push_back(load);
        }
        return IRMutator::visit(load);
    }

    Stmt visit(const Store *store) override {
        Stmt changed = IRMutator::visit(store);
        // The second sum is of products, which load every tensor.
        if (inside_ && store->name == lanes_ + ".1") {
            for (const Load *load : loads_) {
                const int64_t line = 64 / load->type.bytes();
                if (store->alignment.remainder % std::min(line, store->alignment.modulus) == 0) {
                    changed = Halide::Internal::Block::make(prefetched(load), changed);
                }
            }
        }
        loads_.clear();
        return changed;
    }

    Stmt prefetched(const Load *load) {
        using namespace Halide::Internal;
        lines_++;
        const Expr rows = Halide::cast<int64_t>(Variable::make(Halide::Int(32), load->name + ".stride.0"));
        const Expr first = Halide::cast<int64_t>(load->index.as<Ramp>()->base);
        const Expr tensor = Variable::make(Halide::Handle(), load->name);
        return Evaluate::make(Call::make(load->type.element_of(), Call::prefetch,
                                         {tensor, first + rows * (fours_ * kFour), 1, 1}, Call::Intrinsic));
    }

    const std::string lanes_;
    const int fours_;
    const std::vector<std::string> tensors_;
    std::vector<const Load *> loads_;  // of tensors, since the latest store
    bool inside_ = false;
    int lines_ = 0, depth_ = 0;
};

}  // namespace hnorm
