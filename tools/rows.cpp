#include "rows.h"

#include <algorithm>

#include "failure.h"

namespace hnorm::tools {
namespace {

std::string listed(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

}  // namespace

CLI::Validator known(bool (*is_known)(const std::string &), const std::string &what_is) {
    return CLI::Validator(
        [=](std::string &word) { return is_known(word) ? "" : "'" + word + "' is none of " + what_is; }, "");
}

void add_row_arguments(CLI::App *command, RowArguments *arguments) {
    const std::string group = "Rows (each may be repeated)";
    Asked &asked = arguments->asked;
    const auto add = [&](const char *name, std::vector<std::string> *values, const char *type,
                         const std::string &help) {
        return command->add_option(name, *values, help)
            ->type_name(type)
            ->type_size(1)
            ->expected(1)
            ->group(group)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    };
    add("--shapes", &arguments->lists, "LIST",
        "A file of shapes, a line each, as 32x64x56x56, or what HNORM_LOG wrote,\nor one of " + listed(named_lists()) +
            "\n(default: standard)");
    add("--op", &asked.operations, "OP", "An operation (default: forward, normalize, backward, or a line's own)")
        ->check(known(is_operation, listed(operation_names())));
    add("--group", &asked.groups, "GROUP", "batch, instance (default: both), or groupsG, as groups32")
        ->check(known(is_group, "batch, instance, or groupsG, as groups32"));
    add("--layout", &asked.layouts, "LAYOUT", "channels_first or channels_last (default: both)")
        ->check(known(is_layout, "channels_first, channels_last"));
    add("--type", &asked.types, "TYPE", "f32, f16 or bf16 (default: f32, or a line's own)")
        ->check(known(is_type, "f32, f16, bf16"));
}

std::vector<std::string> rows_of(const RowArguments &arguments) {
    std::vector<std::string> found;
    const std::vector<std::string> usual = {"standard"};
    for (const std::string &list : arguments.lists.empty() ? usual : arguments.lists) {
        for (const std::string &row : rows(read_shapes(list), arguments.asked)) {
            if (std::find(found.begin(), found.end(), row) == found.end()) {
                found.push_back(row);
            }
        }
    }
    if (found.empty()) {
        throw Failure("no row is left: the arguments ask for none that the shapes have");
    }
    return found;
}

}  // namespace hnorm::tools
