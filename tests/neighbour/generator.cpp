// A Halide library of somebody else's: y(x) = x + 1 in parallel, for buffers that both begin at 0.
#include <Halide.h>

class Neighbour : public Halide::Generator<Neighbour> {
public:
    Input<Buffer<float, 1>> in{"in"};
    Output<Buffer<float, 1>> out{"out"};

    void generate() { out(i) = in(i) + 1; }
    void schedule() {
        in.dim(0).set_min(0);
        out.parallel(i);
    }

private:
    Halide::Var i{"i"};
};

HALIDE_REGISTER_GENERATOR(Neighbour, neighbour)
