// A line of a wisdom file: rows, and what is chosen for them.
#pragma once

#include <string_view>
#include <tuple>

#include "wisdom.h"

namespace hnorm::detail {

// The rows that a choice is for, one or more, as the benchmark names rows.
struct Rows {
    static constexpr int64_t kInstance = -1;

    Computes computes;
    bool activation, residual;
    Layout layout;  // tensors of one position are channels-last, as in CheckedTensor
    hnorm_type type;
    int64_t groups;  // of channels in a sample; 0: batch norm; kInstance: each channel
    int64_t n, c, s;
    bool any_function, any_group, any_layout, any_type, any_shape;
    int threads;  // 0: any number

    bool hold(const CallKind &call, int call_threads) const;
    // Whether this is one row, which a call can look up.
    bool is_one() const { return threads && !any_function && !any_group && !any_layout && !any_type && !any_shape; }
    // All of them, to compare by.
    auto fields() const {
        return std::tie(n, c, s, groups, threads, computes, activation, residual, layout, type, any_function, any_group,
                        any_layout, any_type, any_shape);
    }
};

struct Choice {
    Rows rows = {};
    Plan plan;

    bool operator==(const Choice &other) const { return rows.fields() == other.rows.fields() && plan == other.plan; }
};

// Takes the text up to the separator, and the separator, away from `rest`. Returns that text.
std::string_view take(std::string_view *rest, char separator);
// A number from 0 to `most`, in digits alone.
bool read_number(std::string_view text, int64_t most, int64_t *value);

// Reads "forward/batch/channels_first/f32/32x64x112x112", in which "*" stands for all. Returns what
// is wrong with the text, or null.
const char *read_rows(std::string_view text, Rows *rows);
// Reads "target=x86-64-avx2", "threads=1" or a value of Dispatch. Returns what is wrong, or null.
const char *read_value(std::string_view text, Plan *plan);

}  // namespace hnorm::detail
