// Groups, threads and targets.
#include "bindings.h"

#include <nanobind/stl/vector.h>  // notes about wisdom

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

void bind_context(nb::module_ &m) {
    nb::class_<hnorm::Context>(
        m, "Context",
        R"(Settings for the calls of one thread (hnorm.use_context) or of one layer (set_context).

num_threads: 1 to 256, or 0 for the default. target: a name, or "" for the choice of hnorm. No setting
changes a result. Both can be set later, while no call uses the context.)")
        .def(
            "__init__",
            [](hnorm::Context *self, int threads, const std::string &target) {
                hnorm::Context made;
                made.set_num_threads(threads);
                made.set_target(target);
                new (self) hnorm::Context(std::move(made));
            },
            "num_threads"_a = 0, "target"_a = "")
        .def_prop_rw("num_threads", &hnorm::Context::num_threads, &hnorm::Context::set_num_threads,
                     "The number of threads that a call may use.")
        .def_prop_rw("target", &hnorm::Context::target, &hnorm::Context::set_target, "The name of the target.");
    m.def(
        "use_context",
        [](nb::handle context) {
            hnorm_use_context(context.is_none() ? nullptr : nb::cast<hnorm::Context &>(context).c());
        },
        "context"_a.none(), nb::sig("def use_context(context: Context | None) -> None"),
        "Makes the calls of this thread use a context: hnorm.use_context.");
}

}  // namespace

void bind_machine(nb::module_ &m) {
    bind_group(m);
    bind_context(m);
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
    m.def(
        "load_wisdom", hnorm::load_wisdom, "path"_a,
        "Reads a file of choices that `hnorm tune` measured on this machine. They differ in speed, never in results.");
    m.def("forget_wisdom", hnorm::forget_wisdom, "Forgets all wisdom, that of files which hnorm reads by itself, too.");
    m.def("wisdom_notes", hnorm::wisdom_notes,
          "Sentences about the wisdom files that were read: what is in use, and what is ignored and why.");
}

}  // namespace hnorm_python
