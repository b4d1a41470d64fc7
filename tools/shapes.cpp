#include "shapes.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "../bench/engine/operations.h"
#include "failure.h"
#include "shape_lists.h"

namespace hnorm::tools {
namespace {

using Words = std::vector<std::string>;

const Words kGroups = {"batch", "instance"}, kLayouts = {"channels_first", "channels_last"},
            kTypes = {"f32", "f16", "bf16"}, kMainOperations = {"forward", "normalize", "backward"};
constexpr size_t kLeastExtents = 2, kMostExtents = 5;
constexpr int64_t kMostElements = int64_t(1) << 40;  // the library's

bool contains(const Words &words, const std::string &word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::string joined(const Words &words) {
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.front() != '0' && text.size() <= 12 &&
           text.find_first_not_of("0123456789") == text.npos;
}

// G of "groupsG"; 0 of other words.
int64_t groups_of_channels(const std::string &word) {
    const std::string prefix = "groups";
    return word.rfind(prefix, 0) == 0 && is_number(word.substr(prefix.size()))
               ? std::atoll(word.c_str() + prefix.size())
               : 0;
}

// None: it is no shape.
std::vector<int64_t> extents_of(const std::string &shape) {
    std::vector<int64_t> extents;
    int64_t elements = 1;
    std::istringstream in(shape);
    for (std::string part; std::getline(in, part, 'x');) {
        if (!is_number(part) || std::atoll(part.c_str()) > kMostElements / elements) {
            return {};
        }
        extents.push_back(std::atoll(part.c_str()));
        elements *= extents.back();
    }
    const bool ends_well = !shape.empty() && shape.back() != 'x';
    return ends_well && extents.size() >= kLeastExtents && extents.size() <= kMostExtents ? extents
                                                                                          : std::vector<int64_t>();
}

// A group of one element has no variance; groups of channels are of equal size.
bool computes(const std::vector<int64_t> &shape, const std::string &group) {
    const int64_t together = groups_of_channels(group), channels = shape[1];
    if (together && channels % together) {
        return false;
    }
    int64_t size = group == "batch" ? shape[0] : together ? channels / together : 1;
    for (size_t i = 2; i < shape.size(); ++i) {
        size *= shape[i];
    }
    return size > 1;
}

std::vector<ShapeLine> read(std::istream &in, const std::string &name) {
    std::vector<ShapeLine> lines;
    std::string text;
    for (int number = 1; std::getline(in, text); ++number) {
        const std::string where = name + ", line " + std::to_string(number) + ": '";
        std::istringstream words(text.substr(0, text.find('#')));
        ShapeLine line;
        if (!(words >> line.shape)) {
            continue;
        }
        if (!is_shape(line.shape)) {
            throw Failure(where + line.shape +
                          "' is no shape: 2 to 5 positive extents, as in 32x64x56x56, of at most 2^40 elements");
        }
        for (std::string word; words >> word;) {
            if (!is_operation(word) && !is_group(word) && !is_layout(word) && !is_type(word)) {
                throw Failure(where + word + "' is no operation, group, layout or type: " + joined(operation_names()) +
                              ", " + joined(kGroups) + ", groupsG, " + joined(kLayouts) + ", " + joined(kTypes));
            }
            line.words.push_back(word);
        }
        lines.push_back(line);
    }
    if (lines.empty()) {
        throw Failure(name + " names no shape");
    }
    return lines;
}

// Those of a line that were asked for.
Words chosen(const Words &asked, const Words &usual, bool (*is_word)(const std::string &), const Words &words) {
    Words named, left;
    std::copy_if(words.begin(), words.end(), std::back_inserter(named), is_word);
    if (asked.empty()) {
        return named.empty() ? usual : named;
    }
    std::copy_if(asked.begin(), asked.end(), std::back_inserter(left),
                 [&](const std::string &one) { return named.empty() || contains(named, one); });
    return left;
}

}  // namespace

Words operation_names() {
    Words names;
    for (const bench::Operation &operation : bench::kOperations) {
        if (operation.function != bench::Function::kCopy) {
            names.emplace_back(operation.name);
        }
    }
    return names;
}
bool is_operation(const std::string &word) { return contains(operation_names(), word); }
bool is_group(const std::string &word) { return contains(kGroups, word) || groups_of_channels(word) != 0; }
bool is_layout(const std::string &word) { return contains(kLayouts, word); }
bool is_type(const std::string &word) { return contains(kTypes, word); }
bool is_shape(const std::string &word) { return !extents_of(word).empty(); }

Words named_lists() {
    Words names;
    for (const ShapeList &list : kShapeLists) {
        names.emplace_back(list.name);
    }
    return names;
}

std::vector<ShapeLine> read_shapes(const std::string &list) {
    for (const ShapeList &ours : kShapeLists) {
        if (list == ours.name) {
            std::istringstream in(ours.text);
            return read(in, list);
        }
    }
    std::ifstream file(list);
    if (!file || file.peek() == std::ifstream::traits_type::eof()) {  // a folder opens, too
        throw Failure("--shapes is " + list + ": neither a file with a shape nor one of " + joined(named_lists()));
    }
    return read(file, list);
}

Words rows(const std::vector<ShapeLine> &lines, const Asked &asked) {
    Words found;
    for (const std::string &operation : asked.operations.empty() ? operation_names() : asked.operations) {
        for (const ShapeLine &line : lines) {
            if (!contains(chosen(asked.operations, kMainOperations, is_operation, line.words), operation)) {
                continue;
            }
            const std::vector<int64_t> shape = extents_of(line.shape);
            for (const std::string &type : chosen(asked.types, {"f32"}, is_type, line.words)) {
                for (const std::string &group : chosen(asked.groups, kGroups, is_group, line.words)) {
                    for (const std::string &layout : chosen(asked.layouts, kLayouts, is_layout, line.words)) {
                        const std::string row = operation + "/" + group + "/" + layout + "/" + type + "/" + line.shape;
                        if (computes(shape, group) && !contains(found, row)) {
                            found.push_back(row);
                        }
                    }
                }
            }
        }
    }
    return found;
}

}  // namespace hnorm::tools
