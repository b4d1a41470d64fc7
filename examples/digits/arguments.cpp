#include "arguments.h"

#include <stdexcept>

namespace digits {

std::string parse(int argc, char **argv, const std::string &usage,
                  const std::vector<std::pair<std::string, int *>> &numbers) {
    std::string csv;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        int *number = nullptr;
        for (const auto &[its_name, its_number] : numbers)
            if (name == its_name) number = its_number;
        if (number) {
            const std::string text = ++i < argc ? argv[i] : "";
            if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != std::string::npos ||
                text == "0")
                throw std::invalid_argument(name + " takes a number from 1 to 999, not '" + text + "'\n" + usage);
            *number = std::stoi(text);
        } else if (csv.empty() && name[0] != '-') {
            csv = name;
        } else {
            throw std::invalid_argument("unknown argument '" + name + "'\n" + usage);
        }
    }
    if (csv.empty()) throw std::invalid_argument(usage);
    return csv;
}

}  // namespace digits
