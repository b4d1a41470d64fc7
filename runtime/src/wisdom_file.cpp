#include "wisdom_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "pack.h"

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

namespace {

using std::string_view;

constexpr size_t kMostBytes = 4 << 20;  // of a file
constexpr size_t kMostNotes = 20;       // of a file
constexpr int kMostThreads = 256;

constexpr const char *kLayouts[] = {"channels_first", "channels_last"};

// The text up to the separator, which it takes away with it.
string_view take(string_view *rest, char separator) {
    const size_t at = rest->find(separator);
    const string_view first = rest->substr(0, at);
    rest->remove_prefix(at == string_view::npos ? rest->size() : at + 1);
    return first;
}

string_view trimmed(string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
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

// "forward/batch/channels_first/f32/32x64x112x112"; "*" stands for all. What is wrong with it, or null.
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

// "target=x86-64-avx2", "threads=1" or a value of Dispatch. What is wrong with it, or null.
const char *read_value(string_view text, Plan *plan) {
    const string_view name = take(&text, '=');
    if (name == "target") {
        return read_target(text, &plan->target);
    }
    int64_t value;
    if (name == "threads") {
        const bool valid = read_number(text, kMostThreads, &value) && value > 0;
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

// Words of a message: files may hold anything.
std::string printable(string_view text) {
    constexpr size_t kMost = 60;
    std::string result;
    for (const char c : text.substr(0, kMost)) {
        result += c >= ' ' && c < 127 ? c : '?';
    }
    return text.size() > kMost ? result + "..." : result;
}

std::string choices_in_words(size_t count) { return std::to_string(count) + (count == 1 ? " choice" : " choices"); }

// Reads one text, line by line.
class Reader {
public:
    Reader(std::string name, const WisdomMachine &machine, WisdomText *to)
        : name_(std::move(name)), machine_(machine), to_(to), first_note_(to->notes.size()) {}

    void read(string_view text) {
        while (!text.empty()) {
            ++line_;
            read_line(trimmed(take(&text, '\n')));
        }
        end_section();
        if (problems_) {
            const std::string more = " (and " + std::to_string(problems_ - 1) + " more)";
            note(to_->notes.size(), first_problem_ + (problems_ > 1 ? more : ""));
        }
        if (in_use_) {
            note(first_note_, ": " + choices_in_words(in_use_) + " in use");
        }
        if (to_->notes.size() > first_note_ + kMostNotes) {
            to_->notes.resize(first_note_ + kMostNotes);
            to_->notes.back() = name_ + ": and more that is ignored";
        }
        if (to_->notes.size() == first_note_) {
            note(first_note_, ": no choices");
        }
    }

private:
    void note(size_t at, const std::string &what) {
        to_->notes.insert(to_->notes.begin() + static_cast<std::ptrdiff_t>(at), name_ + what);
    }

    void read_line(string_view line) {
        line = trimmed(line.substr(0, line.find('#')));
        if (line.empty()) {
            return;
        }
        if (line == "[machine]") {
            end_section();
            return;
        }
        string_view rest = line;
        const string_view first = take(&rest, ' ');
        rest = trimmed(rest);
        if (first.find('/') != string_view::npos) {
            read_choice(first, rest);
        } else if (rest.substr(0, 1) == "=") {
            read_header(first, trimmed(rest.substr(1)));
        } else {
            problem(line, "this is not a line of wisdom");
        }
    }

    void read_header(string_view name, string_view value) {
        int64_t threads;
        if (name == "threads" && read_number(value, kMostThreads, &threads) && threads > 0) {
            threads_ = static_cast<int>(threads);
        } else if (name == "build") {
            ask(value, machine_.build, "build");
        } else if (name == "cpu") {
            ask(value, machine_.cpu, "CPU");
        } else if (name == "caches") {
            ask(value, machine_.caches, "caches");
        } else if (name != "date") {
            problem(name, "the line of a section is unknown or not valid");
        }
    }
    void ask(string_view wanted, const std::string &is, const char *what) {
        if (wanted != is && misfit_.empty()) {
            misfit_ = std::string("they are for the ") + what + " '" + printable(wanted) + "', this is '" + is + "'";
        }
    }

    void read_choice(string_view row, string_view values) {
        if (!misfit_.empty()) {
            ++ignored_;
            return;
        }
        Choice choice;
        choice.rows.threads = threads_;
        const char *wrong = read_rows(row, &choice.rows);
        string_view culprit = row;
        while (!wrong && !values.empty()) {
            culprit = take(&values, ' ');
            const bool is_pack = culprit.substr(0, 5) == "pack=";
            wrong = culprit.empty() ? nullptr
                    : is_pack       ? read_pack(culprit.substr(5), &choice.plan)
                                    : read_value(culprit, &choice.plan);
        }
        if (wrong) {
            problem(culprit, wrong);
        } else {
            to_->choices.push_back(choice);
            ++in_use_;
        }
    }

    // The pack hnorm-pack-NAME.so in the folder of the file. What is wrong with it, or null.
    const char *read_pack(string_view pack, Plan *plan) {
        if (pack.empty() || pack.find('/') != string_view::npos) {
            return "a pack is named without its folder";
        }
        const size_t slash = name_.rfind('/');
        const std::string folder = slash == std::string::npos ? "" : name_.substr(0, slash + 1);
        const std::string path = folder + "hnorm-pack-" + std::string(pack) + ".so";
        plan->target = hnorm_read_pack(path.c_str(), nullptr, pack_reason_, sizeof pack_reason_);
        return plan->target ? nullptr : pack_reason_;
    }

    void problem(string_view text, const char *what) {
        if (++problems_ == 1) {
            first_problem_ =
                ", line " + std::to_string(line_) + ": '" + printable(text) + "': " + what + ": the line is ignored";
        }
    }

    void end_section() {
        if (ignored_) {
            note(to_->notes.size(), ": " + choices_in_words(ignored_) + " ignored: " + misfit_);
        }
        misfit_.clear();
        ignored_ = 0;
        threads_ = 0;
    }

    const std::string name_;
    const WisdomMachine &machine_;
    WisdomText *const to_;
    const size_t first_note_;
    int line_ = 0, threads_ = 0, problems_ = 0;
    size_t in_use_ = 0, ignored_ = 0;
    std::string misfit_, first_problem_;
    char pack_reason_[256];
};

}  // namespace

bool Rows::hold(const CallKind &call, int call_threads) const {
    const bool is_function =
        any_function || (computes == call.computes && activation == call.activation && residual == call.residual);
    const bool is_group = any_group || call.groups == (groups == kInstance ? call.c : groups);
    const bool is_shape = any_shape || (n == call.n && c == call.c && s == call.s);
    return is_function && is_group && is_shape && (any_layout || layout == call.layout) &&
           (any_type || type == call.type) && (threads == 0 || threads == call_threads);
}

void WisdomText::add(const std::string &name, const std::string &text, const WisdomMachine &machine) {
    Reader(name, machine, this).read(text);
}

std::string read_wisdom_file(const std::string &path, std::string *text, bool *missing) {
    // A FIFO would let the call wait.
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *missing = file < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (file < 0) {
        return std::strerror(errno);
    }
    std::string problem;
    struct stat about = {};
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        problem = "not a regular file";
    } else if (about.st_size > off_t(kMostBytes)) {
        problem = "larger than 4 MiB";
    }
    char part[4096];
    ssize_t got = 1;
    while (problem.empty() && got > 0 && text->size() <= kMostBytes) {
        got = read(file, part, sizeof part);
        if (got > 0) {
            text->append(part, static_cast<size_t>(got));
        } else if (got < 0) {
            problem = std::strerror(errno);
        }
    }
    close(file);
    return problem;
}

}  // namespace hnorm::detail
