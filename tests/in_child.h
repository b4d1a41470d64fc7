// What depends on the environment, which a process reads once, runs in a process of its own.
#pragma once

#include "catch.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

// What `body` returns in a child, in which `prepare` has set the environment.
inline std::string in_child_after(const std::function<void()> &prepare, const std::function<std::string()> &body) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        prepare();
        const std::string text = body();
        const ssize_t wrote = write(ends[1], text.data(), text.size());
        _exit(wrote == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    REQUIRE(child > 0);
    close(ends[1]);
    std::string result;
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        result.append(buffer, static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return result;
}
