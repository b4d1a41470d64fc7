// How many cores the process may use.
#pragma once

#include <string>

namespace hnorm::detail {

// Those that its affinity allows, or fewer where a control group grants the time of fewer; 1 at least.
int usable_cores();

// The time that control groups grant, in cores rounded up; 0: no limit. `groups` is what /proc/self/cgroup says, `root` where the groups'
// folders lie: /sys/fs/cgroup. Version 2, and version 1's controller "cpu". A group's limit holds for those inside it.
int cores_granted(const std::string &groups, const std::string &root);

}  // namespace hnorm::detail
