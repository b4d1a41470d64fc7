#include "wisdom_choice.h"

#include "pool.h"

namespace hnorm::detail {

extern "C" const DispatchField hnorm_dispatch_fields[kDispatchFields] = {
    {"batch_block_elements", &Dispatch::batch_block_elements, kMaxElements},
    {"block_elements", &Dispatch::block_elements, kMaxElements},
    {"flat_elements", &Dispatch::flat_elements, kMaxElements},
    {"least_busy_percent", &Dispatch::least_busy_percent, 100},
    {"past_cache_percent", &Dispatch::past_cache_percent, 1000000},
    {"sample_elements", &Dispatch::sample_elements, kMaxElements},
    {"serial_below", &Dispatch::serial_below, kMaxElements},
};

using std::string_view;

namespace {

constexpr const char *kLayouts[] = {"channels_first", "channels_last"};

template <size_t count>
bool read_name(string_view text, const char *const (&names)[count], int *index) {
    for (*index = 0; *index < int(count); ++*index) {
        if (text == names[*index]) {
            return true;
        }
    }
    return false;
}

bool take_suffix(string_view *text, string_view suffix) {
    const bool has = text->size() > suffix.size() && text->substr(text->size() - suffix.size()) == suffix;
    text->remove_suffix(has ? suffix.size() : 0);
    return has;
}

bool read_function(string_view text, Rows *rows) {
    rows->activation = take_suffix(&text, "_relu");
    rows->residual = take_suffix(&text, "_add");
    int index;
    const bool known = read_name(text, kComputesNames, &index);
    rows->computes = static_cast<Computes>(index);
    return known;
}

bool read_shape(string_view text, Rows *rows) {
    int64_t extents[HNORM_MAX_RANK], all = 1;
    int rank = 0;
    while (!text.empty()) {
        if (rank == HNORM_MAX_RANK || !read_number(take(&text, 'x'), kMaxExtent, &extents[rank]) ||
            extents[rank] == 0 || extents[rank] > kMaxElements / all) {
            return false;
        }
        all *= extents[rank++];
    }
    if (rank < 2) {
        return false;
    }
    rows->n = extents[0];
    rows->c = extents[1];
    rows->s = all / (rows->n * rows->c);
    return true;
}

bool read_group(string_view text, Rows *rows) {
    constexpr string_view kGroups = "groups";
    rows->groups = text == "batch" ? 0 : Rows::kInstance;
    if (text.substr(0, kGroups.size()) == kGroups) {
        return read_number(text.substr(kGroups.size()), kMaxExtent, &rows->groups) && rows->groups > 0;
    }
    return text == "batch" || text == "instance";
}

// A target that runs here, or what is wrong with it.
const char *read_target(string_view name, const Target **target) {
    for (int i = 0; i < hnorm_targets_count; ++i) {
        if (name == hnorm_targets[i].name) {
            *target = hnorm_target_named(hnorm_targets[i].name);
            return hnorm_target_unusable(i) ? "the target cannot run here" : nullptr;
        }
    }
    return "the target is unknown";
}

}  // namespace

string_view take(string_view *rest, char separator) {
    const size_t at = rest->find(separator);
    const string_view first = rest->substr(0, at);
    rest->remove_prefix(at == string_view::npos ? rest->size() : at + 1);
    return first;
}

bool read_number(string_view text, int64_t most, int64_t *value) {
    *value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9' || *value > most) {
            return false;
        }
        *value = *value * 10 + (c - '0');
    }
    return !text.empty() && *value <= most;
}

const char *read_rows(string_view text, Rows *rows) {
    string_view parts[5];
    for (string_view &part : parts) {
        part = take(&text, '/');
    }
    bool *const any[] = {&rows->any_function, &rows->any_group, &rows->any_layout, &rows->any_type, &rows->any_shape};
    for (int i = 0; i < 5; ++i) {
        *any[i] = parts[i] == "*";
    }
    int layout = 0, type = 0;
    if (!rows->any_function && !read_function(parts[0], rows)) {
        return "the function is unknown";
    }
    if (!rows->any_group && !read_group(parts[1], rows)) {
        return "the group must be batch, instance or groupsG";
    }
    if (!rows->any_layout && !read_name(parts[2], kLayouts, &layout)) {
        return "the layout must be channels_first or channels_last";
    }
    if (!rows->any_type && !read_name(parts[3], kTypeNames, &type)) {
        return "the type must be f32, f16 or bf16";
    }
    if (!text.empty() || (!rows->any_shape && !read_shape(parts[4], rows))) {
        return "the shape must be 2 to 5 extents, as 32x64x56x56";
    }
    if (rows->computes == Computes::kActivationBackward) {  // which has no groups
        rows->groups = 0;
    }
    const bool one_position = !rows->any_shape && rows->s == 1;
    rows->layout = layout == 1 || one_position ? Layout::kChannelsLast : Layout::kChannelsFirst;
    rows->type = static_cast<hnorm_type>(type);
    return nullptr;
}

const char *read_value(string_view text, Plan *plan) {
    const string_view name = take(&text, '=');
    if (name == "target") {
        return read_target(text, &plan->target);
    }
    int64_t value;
    if (name == "threads") {
        const bool valid = read_number(text, kMaxThreads, &value) && value > 0;
        plan->threads = static_cast<int>(value);
        return valid ? nullptr : "threads must be 1 to 256";
    }
    for (int i = 0; i < kDispatchFields; ++i) {
        if (name == hnorm_dispatch_fields[i].name) {
            plan->set |= 1u << i;
            return read_number(text, hnorm_dispatch_fields[i].most, &plan->values[i]) ? nullptr
                                                                                      : "the value is not valid";
        }
    }
    return "the choice is unknown";
}

bool Rows::hold(const CallKind &call, int call_threads) const {
    const bool is_function =
        any_function || (computes == call.computes && activation == call.activation && residual == call.residual);
    const bool is_group = any_group || call.groups == (groups == kInstance ? call.c : groups);
    const bool is_shape = any_shape || (n == call.n && c == call.c && s == call.s);
    return is_function && is_group && is_shape && (any_layout || layout == call.layout) &&
           (any_type || type == call.type) && (threads == 0 || threads == call_threads);
}

}  // namespace hnorm::detail
