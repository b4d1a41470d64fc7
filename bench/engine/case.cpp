#include "case.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace hnorm::bench {
namespace {

// By hnorm_type.
struct Type {
    const char *name;
    int64_t size;
};
constexpr Type kTypes[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}};

template <typename Entry, size_t count>
const Entry *named(const Entry (&entries)[count], const std::string &name) {
    const Entry *found = std::find_if(entries, entries + count, [&](const Entry &e) { return name == e.name; });
    return found == entries + count ? nullptr : found;
}

}  // namespace

int64_t size_of(hnorm_type type) { return kTypes[type].size; }

int64_t Case::elements() const {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    return count;
}
int64_t Case::tensor_bytes() const { return elements() * size_of(type); }
int64_t Case::bytes_moved() const { return tensor_bytes() * (operation->read + operation->written); }
int64_t Case::groups() const {
    return group == HNORM_BATCH      ? shape[1]
           : group == HNORM_INSTANCE ? shape[0] * shape[1]
                                     : shape[0] * (group - HNORM_GROUPS);
}

Case parse_case(const std::string &name) {
    const auto fail = [&](const std::string &what) -> Case { throw std::runtime_error("'" + name + "': " + what); };
    std::vector<std::string> parts;
    std::istringstream in(name);
    for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
    if (parts.size() != 5) return fail("a row is op/group/layout/type/NxCx...");
    Case c;
    c.name = name;
    c.operation = named(kOperations, parts[0]);
    if (!c.operation) return fail("no operation '" + parts[0] + "'");
    const int64_t of_channels = parts[1].rfind("groups", 0) == 0 ? std::atoll(parts[1].c_str() + 6) : 0;
    if (parts[1] != "batch" && parts[1] != "instance" && of_channels < 1)
        return fail("the group is batch, instance or groupsG, as groups32");
    c.group = parts[1] == "batch" ? HNORM_BATCH : of_channels ? hnorm_groups(of_channels) : HNORM_INSTANCE;
    if (parts[2] != "channels_first" && parts[2] != "channels_last")
        return fail("the layout is channels_first or channels_last");
    c.channels_last = parts[2] == "channels_last";
    const Type *type = named(kTypes, parts[3]);
    if (!type) return fail("the type is f32, f16 or bf16");
    c.type = static_cast<hnorm_type>(type - kTypes);
    std::istringstream extents(parts[4]);
    for (std::string extent; std::getline(extents, extent, 'x');) {
        c.shape.push_back(std::atoll(extent.c_str()));
        if (c.shape.back() < 1) return fail("extents are positive numbers, with x between them");
    }
    if (c.shape.size() < 2 || c.shape.size() > HNORM_MAX_RANK) return fail("a shape has 2 to 5 extents");
    return c;
}

}  // namespace hnorm::bench
