// The default number of threads: the cores that affinity and control groups leave the process
// (runtime/src/cores.h).
#include "catch.hpp"
#include "cores.h"

#include <hnorm/hnorm.h>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using namespace hnorm::detail;

namespace {

class Groups {
public:
    Groups() {
        char name[] = "/tmp/hnorm_cores_XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        root_ = name;
    }
    ~Groups() { std::filesystem::remove_all(root_); }
    void write(const std::string &folder, const std::string &file, const std::string &text) const {
        std::filesystem::create_directories(root_ + folder);
        std::ofstream(root_ + folder + "/" + file) << text;
    }
    const std::string &root() const { return root_; }

private:
    std::string root_;
};

}  // namespace

TEST_CASE("control groups of version 2 grant cores, rounded up, and outer ones hold inside") {
    const Groups groups;
    CHECK(cores_granted("0::/\n", groups.root()) == 0);
    CHECK(cores_granted("", groups.root()) == 0);
    CHECK(cores_granted("nonsense\n", groups.root()) == 0);
    groups.write("", "cpu.max", "max 100000\n");
    CHECK(cores_granted("0::/\n", groups.root()) == 0);
    groups.write("/outer/inner", "cpu.max", "350000 100000\n");
    CHECK(cores_granted("0::/outer/inner\n", groups.root()) == 4);
    CHECK(cores_granted("0::/outer\n", groups.root()) == 0);
    groups.write("/outer", "cpu.max", "50000 100000\n");
    CHECK(cores_granted("0::/outer/inner\n", groups.root()) == 1);
    groups.write("", "cpu.max", "200000 100000\n");  // as a container sees its own
    CHECK(cores_granted("0::/\n", groups.root()) == 2);
    CHECK(cores_granted("0::/not/there\n", groups.root()) == 2);
}

TEST_CASE("control groups of version 1 grant cores by their controller cpu") {
    const Groups groups;
    const std::string lines = "5:memory:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n";
    CHECK(cores_granted(lines, groups.root()) == 0);
    groups.write("/cpu,cpuacct/a", "cpu.cfs_quota_us", "-1\n");
    groups.write("/cpu,cpuacct/a", "cpu.cfs_period_us", "100000\n");
    CHECK(cores_granted(lines, groups.root()) == 0);
    groups.write("/cpu,cpuacct/a", "cpu.cfs_quota_us", "300000\n");
    CHECK(cores_granted(lines, groups.root()) == 3);
    CHECK(cores_granted("4:cpuset:/a\n", groups.root()) == 0);
}

TEST_CASE("a process that may use one core has one thread by default") {
    const pid_t child = fork();
    if (child == 0) {
        unsetenv("HNORM_NUM_THREADS");
        cpu_set_t all, one;
        CPU_ZERO(&one);
        if (sched_getaffinity(0, sizeof all, &all) != 0) _exit(2);
        int core = 0;
        while (!CPU_ISSET(core, &all)) core++;
        CPU_SET(core, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) _exit(3);
        _exit(hnorm_get_num_threads() == 1 ? 0 : 1);
    }
    REQUIRE(child > 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
