#include "npy_header.h"

#include "file.h"

namespace hnorm::state {

namespace {

const std::string kMagic = "\x93NUMPY";
// Values start at a multiple of this.
constexpr size_t kAlignment = 64;

// The text of a Python dictionary, as far as headers need it. Functions that find something else
// return false.
class Parser {
public:
    explicit Parser(const std::string &text) : text_(text) {}

    bool header(NpyHeader *header) {
        if (!take('{')) return false;
        bool descr = false, order = false, shape = false;
        while (!take('}')) {
            std::string key;
            if (!string(&key) || !take(':')) return false;
            bool *const seen = key == "descr" ? &descr : key == "fortran_order" ? &order : &shape;
            if (*seen || (seen == &shape && key != "shape")) return false;
            *seen = true;
            if (!(seen == &descr ? type(&header->type) : seen == &order ? boolean() : tuple(&header->shape)))
                return false;
            if (!take(',') && !next_is('}')) return false;
        }
        skip_space();
        return at_ == text_.size() && descr && order && shape;
    }

private:
    void skip_space() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    }
    bool next_is(char c) {
        skip_space();
        return at_ < text_.size() && text_[at_] == c;
    }
    bool take(char c) { return next_is(c) && ++at_; }

    bool string(std::string *value) {
        const char quote = next_is('"') ? '"' : '\'';
        if (!take(quote)) return false;
        const size_t end = text_.find(quote, at_);
        if (end == std::string::npos) return false;
        *value = text_.substr(at_, end - at_);
        at_ = end + 1;
        return true;
    }
    // A structured type is a list, shown as it stands: no array of a layer has one.
    bool type(std::string *value) {
        if (!next_is('[')) return string(value);
        const size_t begin = at_;
        at_ = text_.rfind(']');
        if (at_ == std::string::npos) return false;
        *value = text_.substr(begin, ++at_ - begin);
        return true;
    }
    // Of rank 0 and 1, C's order and Fortran's are the same.
    bool boolean() {
        skip_space();
        for (const char *word : {"False", "True"}) {
            const size_t length = std::string(word).size();
            if (text_.compare(at_, length, word) == 0) {
                at_ += length;
                return true;
            }
        }
        return false;
    }
    bool tuple(std::vector<int64_t> *values) {
        if (!take('(')) return false;
        while (!take(')')) {
            int64_t value;
            if (!number(&value)) return false;
            values->push_back(value);
            if (!take(',') && !next_is(')')) return false;
        }
        return true;
    }
    bool number(int64_t *value) {
        skip_space();
        const size_t begin = at_;
        for (*value = 0; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            if (at_ - begin == 18) return false;  // more would overflow
            *value = *value * 10 + (text_[at_] - '0');
        }
        return at_ > begin;
    }

    const std::string &text_;
    size_t at_ = 0;
};

std::string python_tuple(const std::vector<int64_t> &shape) {
    std::string text = "(";
    for (const int64_t extent : shape) {
        text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
    }
    return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

std::string NpyHeader::shape_text() const { return shown(python_tuple(shape)); }

std::string npy_header(const std::string &type, const std::vector<int64_t> &shape) {
    std::string text = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + python_tuple(shape) + ", }";
    const size_t before = kMagic.size() + 4, length = before + text.size() + 1;
    text.append((kAlignment - length % kAlignment) % kAlignment, ' ');
    text += '\n';
    const char version_and_size[] = {1, 0, static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
    return kMagic + std::string(version_and_size, 4) + text;
}

NpyHeader read_npy_header(const std::string &name, const std::string &file) {
    if (file.compare(0, kMagic.size(), kMagic) != 0) {
        throw FileError(name + ".npy is no .npy file: it must start with \\x93NUMPY");
    }
    const auto byte = [&](size_t at) -> size_t { return at < file.size() ? static_cast<unsigned char>(file[at]) : 0; };
    const size_t version = byte(6);
    if (version < 1 || version > 3) {
        throw FileError(name + ".npy is of version " + std::to_string(version) +
                        " of the .npy format: it must be 1, 2 or 3");
    }
    // Version 2 made room for longer headers, version 3 for other letters in structured types.
    const size_t begin = version == 1 ? 10 : 12;
    const size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
    if (file.size() < begin || file.size() - begin < length) {
        throw FileError(name + ".npy ends in its header, or has one of more than 65535 bytes");
    }
    const std::string text = file.substr(begin, length);
    NpyHeader header;
    if (!Parser(text).header(&header)) {
        throw FileError(name + ".npy has the header " + shown(text) +
                        ": it must be a dictionary of descr, fortran_order and shape");
    }
    header.end = begin + length;
    return header;
}

std::string shown(const std::string &text) {
    std::string result;
    for (const char c : text.substr(0, 80)) {
        result += c >= ' ' && c <= '~' ? c : '?';
    }
    return text.size() > 80 ? result + "..." : result;
}

}  // namespace hnorm::state
