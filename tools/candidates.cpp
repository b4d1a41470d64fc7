#include "candidates.h"

#include <hnorm/wisdom.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace hnorm::tools {
namespace {

using bench::Function;

detail::Operation operation_of(const bench::Case &c) {
    return c.operation->is_backward()                      ? detail::kBackward
           : c.operation->function == Function::kNormalize ? detail::kNormalize
                                                           : detail::kForward;
}

// Of a core, by the last size of hnorm_caches().
int64_t last_level_cache() {
    const char *const last = std::strrchr(hnorm_caches(), ' ');
    return std::atoll(last ? last + 1 : hnorm_caches()) << 10;
}

class Finder {
public:
    Finder(const bench::Case &c, int threads)
        : c_(c),
          threads_(threads),
          target_(*detail::hnorm_target_named(hnorm_target())),
          now_(target_.dispatch[operation_of(c)][c.type]) {}

    std::vector<Candidate> find() {
        add_targets();
        add_threads();
        add_past_cache();
        add_blocks();
        add_flat();
        return found_;
    }

private:
    int64_t positions() const { return c_.elements() / (c_.shape[0] * c_.shape[1]); }
    bool is_last() const { return c_.channels_last || positions() == 1; }
    bool is_batch() const { return c_.group == HNORM_BATCH; }
    bool is_serial() const { return threads_ == 1 || c_.elements() < now_.serial_below; }

    void add_targets() {
        for (int i = 0; i < detail::hnorm_targets_count; ++i) {
            const detail::Target *const target = detail::hnorm_target_named(hnorm_target_name(i));
            if (target != &target_ && !hnorm_target_unusable(i)) {
                Candidate candidate;
                candidate.plan.target = target;
                candidate.kind = "target";
                found_.push_back(candidate);
            }
        }
    }

    void add_threads() {
        constexpr int64_t kLeastShared = 4096;  // elements; waking threads takes longer than less
        if (is_serial()) {
            if (threads_ > 1 && c_.elements() >= kLeastShared) {
                add("serial_below", 0);
            }
            return;
        }
        for (int fewer = threads_ / 2; fewer >= 1; fewer /= 2) {
            Candidate candidate;
            candidate.plan.threads = fewer;
            candidate.kind = "threads";
            found_.push_back(candidate);
        }
    }

    void add_past_cache() {
        const bool writes = c_.operation->written > 0;
        const int64_t bytes = c_.bytes_moved(), cache = last_level_cache();
        if (!writes || bytes < cache / 8) {
            return;
        }
        const bool goes_past = now_.past_cache_percent && bytes > cache / 100 * now_.past_cache_percent;
        add("past_cache_percent", goes_past ? 0 : 1);
    }

    void add_blocks() {
        const bool uses_blocks = !is_batch() || !is_last();
        if (!uses_blocks) {
            return;
        }
        const char *const name = is_batch() ? "batch_block_elements" : "block_elements";
        const int64_t now = is_batch() ? now_.batch_block_elements : now_.block_elements;
        for (const int64_t factor : {2, 4, 16}) {
            if (now * factor / 2 < c_.elements()) {
                add(name, now * factor);
            }
            if (c_.elements() > now / factor) {
                add(name, now / factor);
            }
        }
        if (is_serial()) {
            return;
        }
        add("least_busy_percent", now_.least_busy_percent < 100 ? 100 : 0);
        add("least_busy_percent", 0);
        if (is_last()) {
            const int64_t of_sample = c_.elements() / c_.shape[0];
            add("sample_elements", of_sample > now_.sample_elements ? c_.elements() : 0);
        }
    }

    void add_flat() {
        constexpr int64_t kTiny = 16, kLeastSamples = 8;
        if (is_last() || positions() >= kTiny || c_.shape[0] < kLeastSamples) {
            return;
        }
        for (const int64_t factor : {2, 4}) {
            add("flat_elements", now_.flat_elements * factor);
            add("flat_elements", now_.flat_elements / factor);
        }
    }

    void add(const std::string &name, int64_t value) {
        Candidate candidate;
        candidate.kind = name;
        for (int i = 0; i < detail::kDispatchFields; ++i) {
            if (name == detail::hnorm_dispatch_fields[i].name) {
                candidate.plan.set = 1u << i;
                candidate.plan.values[i] = value;
            }
        }
        found_.push_back(candidate);
    }

    const bench::Case &c_;
    const int threads_;
    const detail::Target &target_;
    const detail::Dispatch &now_;
    std::vector<Candidate> found_;
};

}  // namespace

std::vector<Candidate> candidates_of(const bench::Case &c, int threads) { return Finder(c, threads).find(); }

Candidate combined(const Candidate &a, const Candidate &b) {
    Candidate both = a;
    both.kind += " " + b.kind;
    both.plan.target = b.plan.target ? b.plan.target : a.plan.target;
    both.plan.threads = b.plan.threads ? b.plan.threads : a.plan.threads;
    both.plan.set |= b.plan.set;
    for (int i = 0; i < detail::kDispatchFields; ++i) {
        both.plan.values[i] = b.plan.set >> i & 1 ? b.plan.values[i] : a.plan.values[i];
    }
    return both;
}

std::string values_of(const detail::Plan &plan) {
    std::string text = std::string("target=") + (plan.target ? plan.target->name : hnorm_target());
    if (plan.threads) {
        text += " threads=" + std::to_string(plan.threads);
    }
    for (int i = 0; i < detail::kDispatchFields; ++i) {
        if (plan.set >> i & 1) {
            text += std::string(" ") + detail::hnorm_dispatch_fields[i].name + "=" + std::to_string(plan.values[i]);
        }
    }
    return text;
}

}  // namespace hnorm::tools
