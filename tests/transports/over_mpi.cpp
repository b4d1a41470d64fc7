// Batch norm over the processes of MPI. Arguments: "steps", or what is to go wrong: "late",
// "killed", "mismatch".
#include "steps.h"

#include <hnorm/hnorm.hpp>
#include <hnorm/mpi.hpp>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace {

// The others must get an error, and not wait.
int check_failure(hnorm::MpiComm &mpi, const std::string &what) {
    std::vector<float> x(2 * 3 * 4, 1), y(x.size());
    x[0] = 2;
    hnorm::BatchNorm layer(3);
    layer.set_comm(mpi.comm(mpi.rank() == 1 && what == "mismatch" ? 5 : 0));
    if (mpi.rank() == 1 && what == "late") {
        usleep(3000000);
        std::fprintf(stderr, "process 1 came too late\n");
        std::_Exit(0);
    }
    if (mpi.rank() == 1 && what == "killed") std::raise(SIGKILL);
    try {
        layer.forward(hnorm::ncl(x.data(), {2, 3, 4}), hnorm::ncl(y.data(), {2, 3, 4}));
    } catch (const hnorm::Error &error) {
        std::fprintf(stderr, "process %d: %s\n", mpi.rank(), error.what());
        std::fflush(stderr);
        if (what == "mismatch") return error.status() == HNORM_COMM_ERROR ? 0 : 1;
        std::_Exit(error.status() == HNORM_COMM_ERROR ? 0 : 1);  // MPI_Finalize would wait for the other
    }
    std::fprintf(stderr, "process %d: no error\n", mpi.rank());
    return 1;
}

}  // namespace

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int status = 1;
    try {
        const std::string what = argc > 1 ? argv[1] : "steps";
        hnorm::MpiComm mpi(MPI_COMM_WORLD,
                           std::chrono::milliseconds(what == "late" || what == "killed" ? 1000 : 60000));
        hnorm::set_num_threads(1);
        status = what == "steps" ? transports::check_steps(mpi.comm()) : check_failure(mpi, what);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    MPI_Finalize();
    return status;
}
