// The extension module hnorm._core.
#include "bindings.h"

#include <cstdlib>

namespace hnorm_python {

// hnorm.Error, a ValueError, with the sentence of hnorm and the name of the status.
void bind_errors(nb::module_ &m) {
    const std::string name = nb::cast<std::string>(m.attr("__name__")) + ".Error";
    static PyObject *const type = PyErr_NewExceptionWithDoc(
        name.c_str(), "A refused or failed call. The message is a sentence; `status` is the name of hnorm's status.",
        PyExc_ValueError, nullptr);
    if (!type) {
        throw nb::python_error();
    }
    m.attr("Error") = nb::handle(type);
    nb::register_exception_translator([](const std::exception_ptr &pointer, void *) {
        try {
            std::rethrow_exception(pointer);
        } catch (const hnorm::Error &error) {
            const nb::object raised = nb::handle(type)(error.what());
            nb::setattr(raised, "status", nb::str(hnorm_status_name(error.status())));
            nb::object cause = take_raised();
            if (cause && !PyErr_GivenExceptionMatches(cause.ptr(), PyExc_Exception)) {  // as KeyboardInterrupt
                PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(cause.ptr())), cause.ptr());
                return;
            }
            if (cause) {
                PyException_SetCause(raised.ptr(), cause.release().ptr());
            }
            PyErr_SetObject(type, raised.ptr());
        }
    });
}

}  // namespace hnorm_python

NB_MODULE(_core, m) {
    namespace nb = nanobind;
    m.doc() = "The functions and layers of hnorm, as the package hnorm gives them.";
    // Others may keep objects of hnorm to the end, as the caches of torch.compile do. The tests ask
    // for warnings.
    nb::set_leak_warnings(std::getenv("HNORM_TEST_LEAKS") != nullptr);
    hnorm_python::bind_errors(m);
    hnorm_python::bind_machine(m);
    hnorm_python::bind_forward(m);
    hnorm_python::bind_backward(m);
    hnorm_python::bind_layers(m);
    hnorm_python::bind_torch(m);
}
