// Lists of shapes, and the rows that they stand for. bench/rows.py reads the same lists, and a test
// compares the two.
#pragma once

#include <string>
#include <vector>

namespace hnorm::tools {

// A line of a list: a shape, as 32x64x56x56, and words that narrow its rows: operations, groups,
// layouts and types.
struct ShapeLine {
    std::string shape;
    std::vector<std::string> words;
};

// Of a file, or of a list that the program has: named_lists(). Throws a Failure that names the line
// and the word.
std::vector<ShapeLine> read_shapes(const std::string &list);
std::vector<std::string> named_lists();

// What was asked for. Where a list of these is empty the line's words decide, or else what is
// usual: forward, normalize and backward, batch and instance, both layouts, f32.
struct Asked {
    std::vector<std::string> operations, groups, layouts, types;
};
// Rows' names, op/group/layout/type/NxCx..., each once: for hnorm::bench::parse_case.
std::vector<std::string> rows(const std::vector<ShapeLine> &lines, const Asked &asked);

// What arguments may name.
std::vector<std::string> operation_names();
bool is_operation(const std::string &word), is_group(const std::string &word), is_layout(const std::string &word),
    is_type(const std::string &word), is_shape(const std::string &word);

}  // namespace hnorm::tools
