// The program hnorm: what the library does on the machine that it runs on. Each command has a file
// of its own.
#include <hnorm/hnorm.h>

#include <cstdio>
#include <exception>

#include "commands.h"

int main(int argc, char **argv) {
    CLI::App program("What the normalization kernels of hnorm do on this machine.", "hnorm");
    program.require_subcommand(1);
    program.set_help_flag("--help", "Show the arguments");
    program.set_version_flag("--version", hnorm_version(), "Show the version");
    hnorm::tools::add_info(program);
    hnorm::tools::add_bench(program);
    hnorm::tools::add_tune(program);
    try {
        program.parse(argc, argv);         // runs the command
    } catch (const CLI::Success &asked) {  // --help, --version
        return program.exit(asked);
    } catch (const CLI::ParseError &error) {
        const auto commands = program.get_subcommands();
        const std::string command = commands.empty() ? "hnorm" : "hnorm " + commands.front()->get_name();
        const std::string what =
            commands.empty() && argc > 1 ? std::string("no command '") + argv[1] + "'" : error.what();
        std::fprintf(stderr, "hnorm: %s\nhnorm: %s --help lists the arguments\n", what.c_str(), command.c_str());
        return 2;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "hnorm: %s\n", failure.what());
        return 1;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
        std::fprintf(stderr, "hnorm: not all could be written to the standard output\n");
        return 1;
    }
    return 0;
}
