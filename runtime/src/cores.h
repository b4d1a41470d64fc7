// How many cores the process may use.
#pragma once

#include <string>

namespace hnorm::detail {

// As many cores as the process's affinity allows, or fewer where a control group grants the time of
// fewer. At least 1.
int usable_cores();

// The time that control groups grant, in cores, rounded up; 0: no limit. `groups` is the text of
// /proc/self/cgroup, and `root` the folder with the groups, /sys/fs/cgroup. It knows version 2, and
// the controller "cpu" of version 1. The limit of a group holds for the groups inside it, too.
int cores_granted(const std::string &groups, const std::string &root);

}  // namespace hnorm::detail
