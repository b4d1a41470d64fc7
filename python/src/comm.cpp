// Batch norm over several processes: the all-gather of comm.h by a function of Python.
#include "bindings.h"

#include <cstring>
#include <memory>

namespace hnorm_python {
namespace {

using namespace nb::literals;
using hnorm::header::Layer;

thread_local PyObject *raised = nullptr;

struct Comm {
    PyObject *all_gather;  // kept by the layer's dictionary, where the garbage collector sees it
    int ranks;
};

// Memory of Python that its functions may keep. Messages are short: copies of them cost nothing
// beside sending them.
nb::object message(std::size_t bytes, const void *contents) {
    const nb::object result = nb::steal(PyByteArray_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes)));
    if (!result) {
        nb::raise_python_error();
    }
    char *const memory = PyByteArray_AsString(result.ptr());
    contents ? std::memcpy(memory, contents, bytes) : std::memset(memory, 0, bytes);
    return result;
}

// A view cannot change the length of what it shows.
nb::object view(const nb::object &memory) {
    const nb::object result = nb::steal(PyMemoryView_FromObject(memory.ptr()));
    if (!result) {
        nb::raise_python_error();
    }
    return result;
}

int all_gather(void *argument, const void *mine, std::size_t bytes, void *all) {
    const Comm &comm = *static_cast<const Comm *>(argument);
    const nb::gil_scoped_acquire gil;
    try {
        const std::size_t size = bytes * static_cast<std::size_t>(comm.ranks);
        const nb::object of_all = message(size, nullptr);
        nb::handle(comm.all_gather)(view(message(bytes, mine)), view(of_all));
        std::memcpy(all, PyByteArray_AsString(of_all.ptr()), size);
        return 0;
    } catch (const nb::python_error &error) {
        Py_XDECREF(raised);
        raised = nb::borrow(error.value()).release().ptr();
    } catch (const std::exception &) {  // no memory
    }
    return 1;
}

void set_comm(nb::handle self, int rank, int ranks, nb::callable function, std::int64_t tag,
              const std::string &gradients) {
    if (gradients != "all" && gradients != "rank") {
        refuse("set_comm: gradients is " + gradients + ": it must be \"all\" or \"rank\"");
    }
    auto owner = std::make_unique<Comm>(Comm{function.ptr(), ranks});
    hnorm_comm comm = hnorm_comm_of(rank, ranks, all_gather, owner.get());
    comm.tag = tag;
    comm.gradients = gradients == "all" ? HNORM_GRADIENTS_OF_ALL : HNORM_GRADIENTS_OF_RANK;
    const nb::capsule kept(owner.release(), [](void *memory) noexcept { delete static_cast<Comm *>(memory); });
    nb::cast<Layer &>(self).set_comm(comm);
    nb::setattr(self, "_comm", nb::make_tuple(function, kept));
}

void reset_comm(nb::handle self) {
    nb::cast<Layer &>(self).reset_comm();
    nb::setattr(self, "_comm", nb::none());
}

}  // namespace

nb::object take_raised() {
    PyObject *const result = raised;
    raised = nullptr;
    return nb::steal(result);
}

void bind_comm(nb::class_<Layer> &layer) {
    layer
        .def("set_comm", set_comm, "rank"_a, "ranks"_a, "all_gather"_a, "tag"_a = 0, "gradients"_a = "all",
             nb::sig("def set_comm(self, rank: int, ranks: int, all_gather: collections.abc.Callable[[memoryview, "
                     "memoryview], object], tag: int = 0, gradients: typing.Literal['all', 'rank'] = 'all') -> None"),
             R"(Makes a batch norm share its statistics with other processes, each with some of the samples.

rank, ranks   the place of this process, and the number of processes
all_gather    all_gather(mine, all) writes the bytes `mine` of every rank into `all`, in the order of
              the ranks; an exception in it is the cause of the call's Error
tag           a number of the layer, the same on all ranks
gradients     "all": gamma_grad and beta_grad are sums over all samples; "rank": over those of this
              rank, for programs that average gradients themselves

hnorm.comm makes the first three: bn.set_comm(*hnorm.comm.torch_distributed()). Every rank must make
the same calls. If the calls differ or one rank fails, all of them raise Error.)")
        .def("reset_comm", reset_comm, "Makes the layer one of this process alone again.");
}

}  // namespace hnorm_python
