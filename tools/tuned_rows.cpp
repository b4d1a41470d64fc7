#include "tuned_rows.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "../bench/engine/rounds.h"
#include "progress.h"

namespace hnorm::tools {
namespace {

// Shares out the time that is left among rows: small ones get more than their cost, and each what
// is worth it, or nothing.
class Shares {
public:
    // calls: what is worth it for a row.
    Shares(const std::vector<TunedRow *> &rows, double seconds, double calls) : until_(seconds), calls_(calls) {
        for (const TunedRow *row : rows) {
            left_ += weight(*row);
        }
    }
    bool can_take(const TunedRow &row) const { return time_left() > least(row); }
    double take(const TunedRow &row) const { return std::max(time_left() * weight(row) / left_, least(row)); }
    void done(const TunedRow &row) {
        left_ = std::max(left_ - weight(row), weight(row));
        if (row.proposal.call > 0) {  // this machine, with what else it does, over the usual one
            slowness_.push_back(row.proposal.call / usual_call(row.c));
        }
    }

private:
    static double weight(const TunedRow &row) { return std::pow(usual_call(row.c), 0.7); }
    double least(const TunedRow &row) const {
        const double call = row.proposal.call > 0 ? row.proposal.call
                            : slowness_.empty()   ? usual_call(row.c)
                                                  : usual_call(row.c) * bench::median(slowness_);
        return calls_ * std::max(call, bench::Conditions().least_timing);
    }
    double time_left() const {
        const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        return std::max(until_ - passed, 0.0);
    }

    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    const double until_, calls_;
    double left_ = 0;
    std::vector<double> slowness_;
};

// What two rows with the same tensors have in common.
std::string tensors_of(const TunedRow &row) {
    const std::string &name = row.c.name;
    return name.substr(name.find('/', name.find("/channels_") + 1) + 1);
}

// Rows of one shape follow each other, since filling large tensors takes as long as some calls. The
// shapes keep their order: a short budget leaves out the last.
void arrange(std::vector<TunedRow *> *rows) {
    std::map<std::string, size_t> first;
    for (size_t i = 0; i < rows->size(); ++i) {
        first.emplace(tensors_of(*(*rows)[i]), i);
    }
    std::stable_sort(rows->begin(), rows->end(), [&](const TunedRow *a, const TunedRow *b) {
        return first[tensors_of(*a)] < first[tensors_of(*b)];
    });
}

}  // namespace

void for_rows(const std::string &what, bench::Calls &calls, std::vector<TunedRow *> rows, double seconds,
              double least_calls, const std::function<void(TunedRow &row, double seconds)> &measure) {
    arrange(&rows);
    Shares shares(rows, seconds, least_calls);
    Progress progress(what, rows.size());
    std::string filled;
    for (size_t i = 0; i < rows.size(); ++i) {
        progress.show(i);
        TunedRow &row = *rows[i];
        if (shares.can_take(row)) {
            if (filled == tensors_of(row)) {
                calls.prepare_groups(row.c);
            } else {
                calls.prepare(row.c, bench::Data::kPlain);
            }
            filled = tensors_of(row);
            measure(row, shares.take(row));
        }
        shares.done(row);
    }
    progress.hide();
}

}  // namespace hnorm::tools
