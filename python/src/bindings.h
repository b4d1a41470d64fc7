// What the files of bindings share.
#pragma once

#include "arguments.h"

// The types of arguments in signatures, which stubs show: an array; a new array of the type of x;
// values that may be converted.
#define ARRAY "hnorm._types.Array"
#define LIKE_X "hnorm._types.A"
#define VALUES "hnorm._types.Values"
#define ACTIVATION "typing.Literal['relu', 'leaky_relu'] | None"
#define POST_OPS "residual: " ARRAY " | None = None, activation: " ACTIVATION " = None, negative_slope: float = 0.01"

namespace hnorm_python {

// Runs a function of hnorm where x lies, while other threads run Python.
template <typename Function>
void compute(const Array &x, const Function &function) {
    x.use_device();
    const nb::gil_scoped_release release;
    function();
}

// What the all_gather of set_comm has raised on this thread since it was last asked for; no object
// if nothing.
nb::object take_raised();

void bind_comm(nb::class_<hnorm::header::Layer> &layer);
void bind_errors(nb::module_ &m);
void bind_forward(nb::module_ &m);
void bind_backward(nb::module_ &m);
void bind_layers(nb::module_ &m);
void bind_machine(nb::module_ &m);
void bind_torch(nb::module_ &m);

}  // namespace hnorm_python
