#include "demo.h"

#include "table.h"
#include "transfer.h"
#include "worked_example.h"

#include <exception>

namespace demo {
namespace {

constexpr const char *kUsage =
    "usage: dev demo [--out FOLDER] [--no-table] [CONTENT STYLE]\n"
    "\n"
    "Shows hnorm at work: a published example of batch norm; a picture CONTENT that takes over the colour statistics\n"
    "of another, STYLE (PNG or JPEG; two pictures come with the demo); and a table of times.\n"
    "\n"
    "  --out FOLDER   where result.png and statistics_transfer.png go (default: out)\n"
    "  --no-table     without the times\n";

struct Options {
    std::string content = DEMO_DATA "/rocket.jpg", style = DEMO_DATA "/chelsea.png";
    std::string out_folder = "out";
    bool table = true;
    bool help = false;
};

// Returns an empty string, or what is wrong.
std::string parse(const std::vector<std::string> &arguments, Options &options) {
    std::vector<std::string> pictures;
    for (size_t i = 0; i < arguments.size(); i++) {
        const std::string &argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            options.help = true;
        } else if (argument == "--no-table") {
            options.table = false;
        } else if (argument == "--out") {
            if (i + 1 == arguments.size() || arguments[i + 1].empty())
                return "--out needs the name of a folder after it";
            options.out_folder = arguments[++i];
        } else if (argument.size() > 1 && argument[0] == '-') {
            return "unknown option '" + argument + "' (for a picture of that name: './" + argument + "')";
        } else {
            pictures.push_back(argument);
        }
    }
    if (pictures.size() == 1)
        return "CONTENT is '" + pictures[0] + "', but STYLE is missing: give both pictures or none";
    if (pictures.size() > 2) return "'" + pictures[2] + "' is one picture too many: CONTENT and STYLE are two";
    if (pictures.size() == 2) {
        options.content = pictures[0];
        options.style = pictures[1];
    }
    return "";
}

bool show_all(const Options &options, std::ostream &out) {
    out << "1. A published example\n" << std::endl;
    bool agrees = show_worked_example(out);
    out << "\n2. Statistics transfer between two pictures\n" << std::endl;
    agrees = show_transfer(options.content, options.style, options.out_folder, out) && agrees;
    if (options.table) {
        out << "\n3. Times\n" << std::endl;
        show_table(out);
    }
    return agrees;
}

}  // namespace

int run(const std::vector<std::string> &arguments, std::ostream &out, std::ostream &err) {
    try {
        Options options;
        const std::string wrong = parse(arguments, options);
        if (!wrong.empty()) {
            err << "demo: " << wrong << "\n\n" << kUsage;
            return 2;
        }
        if (options.help) {
            out << kUsage;
            return 0;
        }
        return show_all(options, out) ? 0 : 1;
    } catch (const std::exception &error) {
        err << "demo: " << error.what() << "\n";
        return 1;
    }
}

}  // namespace demo
