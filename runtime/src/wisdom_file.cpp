#include "wisdom_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <numeric>
#include <string_view>

#include "pack.h"
#include "pool.h"

namespace hnorm::detail {

namespace {

using std::string_view;

constexpr size_t kMostBytes = 4 << 20;  // of a file
constexpr size_t kMostNotes = 20;       // of a file

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
        if (name == "threads" && read_number(value, kMaxThreads, &threads) && threads > 0) {
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
    void ask(string_view wanted, const char *is, const char *what) {
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
    const char *read_pack(string_view name, Plan *plan) {
        if (name.empty() || name.find('/') != string_view::npos) {
            return "a pack is named without its folder";
        }
        // Once, for many rows: all of it is read.
        const auto [found, is_new] = packs_.try_emplace(std::string(name));
        Loaded &pack = found->second;
        if (is_new) {
            const std::string path = name_.substr(0, name_.rfind('/') + 1) + "hnorm-pack-" + found->first + ".so";
            pack.target = hnorm_read_pack(path.c_str(), nullptr, pack.reason, sizeof pack.reason);
        }
        plan->target = pack.target;
        return pack.target ? nullptr : pack.reason;
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
    struct Loaded {
        const Target *target = nullptr;
        char reason[256];
    };
    std::map<std::string, Loaded> packs_;
};

// Of choices for the same rows the latest stays.
void drop_replaced(std::vector<Choice> *choices) {
    const Choice *const all = choices->data();
    std::vector<size_t> order(choices->size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::sort(order.begin(), order.end(), [all](size_t a, size_t b) {
        const auto of_a = all[a].rows.fields(), of_b = all[b].rows.fields();
        return of_a < of_b || (of_a == of_b && a < b);
    });
    std::vector<bool> is_replaced(choices->size());
    for (size_t i = 1; i < order.size(); ++i) {
        is_replaced[order[i - 1]] = all[order[i - 1]].rows.fields() == all[order[i]].rows.fields();
    }
    size_t kept = 0;
    for (size_t i = 0; i < choices->size(); ++i) {
        if (!is_replaced[i]) {
            (*choices)[kept++] = (*choices)[i];
        }
    }
    choices->resize(kept);
}

// Closes itself, also where memory runs out.
struct File {
    explicit File(int its_number) : number(its_number) {}
    ~File() {
        if (number >= 0) {
            close(number);
        }
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    const int number;
};

}  // namespace

void WisdomText::add(const std::string &name, const std::string &text, const WisdomMachine &machine) {
    const auto is_of_name = [&](const std::string &note) {
        return note.compare(0, name.size(), name) == 0 && note.find_first_of(":,", name.size()) == name.size();
    };
    notes.erase(std::remove_if(notes.begin(), notes.end(), is_of_name), notes.end());
    Reader(name, machine, this).read(text);
    drop_replaced(&choices);
}

std::string read_wisdom_file(const std::string &path, std::string *text, bool *missing) {
    // A FIFO would let the call wait.
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    *missing = file.number < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (file.number < 0) {
        return std::strerror(errno);
    }
    struct stat about = {};
    if (fstat(file.number, &about) != 0 || !S_ISREG(about.st_mode)) {
        return "not a regular file";
    }
    char part[4096];
    while (text->size() <= kMostBytes) {
        const ssize_t got = read(file.number, part, sizeof part);
        if (got == 0) {
            return "";
        }
        if (got > 0) {
            text->append(part, static_cast<size_t>(got));
        } else if (errno != EINTR) {
            return std::strerror(errno);
        }
    }
    return "larger than 4 MiB";
}

}  // namespace hnorm::detail
