// Groups, threads and targets.
#include "bindings.h"

namespace hnorm_python {
namespace {

using namespace nb::literals;

std::string name_of(const Group &group) {
    const int groups = static_cast<int>(group.value) - HNORM_GROUPS;
    return group.value == hnorm::Group::batch      ? "hnorm.Group.batch"
           : group.value == hnorm::Group::instance ? "hnorm.Group.instance"
                                                   : "hnorm.groups(" + std::to_string(groups) + ")";
}

void bind_group(nb::module_ &m) {
    nb::class_<Group> group(m, "Group", nb::is_final(),
                            "The elements that are normalized together: Group.batch (a channel of all samples), "
                            "Group.instance (a channel of one sample) or groups(G).");
    group.def("__repr__", name_of)
        .def("__hash__", [](const Group &self) { return static_cast<int>(self.value); })
        .def(
            "__eq__",
            [](const Group &self, nb::handle other) {
                return nb::isinstance<Group>(other) && nb::cast<const Group &>(other).value == self.value;
            },
            "other"_a.none(), nb::sig("def __eq__(self, other: object) -> bool"));
    // Not attributes: a type and an instance that refer to each other are never freed.
    group.def_prop_ro_static("batch", [](nb::handle) { return Group{hnorm::Group::batch}; })
        .def_prop_ro_static("instance", [](nb::handle) { return Group{hnorm::Group::instance}; });
    m.def(
        "groups", [](std::int64_t count) { return Group{hnorm::groups(count)}; }, "count"_a,
        "The Group of group norm: each is C / count neighbouring channels of one sample. groups(1) is layer norm over "
        "channels and positions.");
}

}  // namespace

void bind_machine(nb::module_ &m) {
    bind_group(m);
    m.def("version", hnorm::version, "The version of the library: \"major.minor.patch\".");
    m.def("set_num_threads", hnorm::set_num_threads, "threads"_a,
          "Sets the number of threads that a call may use: 1 to 256, or 0 for the default. It never changes a result. "
          "No other thread may compute meanwhile.");
    m.def("num_threads", hnorm::num_threads, "The number of threads that a call may use.");
    m.def("shutdown", hnorm::shutdown, nb::call_guard<nb::gil_scoped_release>(),
          "Ends the threads of hnorm, and frees the memory that it keeps for later calls. Later calls are allowed.");
    m.def(
        "targets",
        [] {
            nb::list result;
            for (const hnorm::Target &target : hnorm::targets()) {
                result.append(nb::make_tuple(target.name, target.unusable));
            }
            return result;
        },
        nb::sig("def targets() -> list[tuple[str, str]]"), "Names, and why they cannot run: hnorm.targets.");
    m.def("target", hnorm::target, "The name of the target in use.");
    m.def(
        "set_target", hnorm::set_target, "name"_a,
        "Forces a target by its name; \"\" restores the choice of hnorm. Targets differ in speed, never in results. No "
        "other thread may compute meanwhile.");
}

}  // namespace hnorm_python
