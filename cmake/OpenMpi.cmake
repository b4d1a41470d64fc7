# Open MPI, for the programs over several processes of bench/ and examples/: HNORM_OPEN_MPI says
# whether it is there, and hnorm_mpiexec is what starts a program. The programs of tests/transports
# need no more of CMake than the compiler.
find_program(HNORM_MPICXX_openmpi mpicxx.openmpi)
find_program(HNORM_MPIEXEC_openmpi mpiexec.openmpi)
set(HNORM_OPEN_MPI OFF)
if(HNORM_MPICXX_openmpi AND HNORM_MPIEXEC_openmpi AND NOT CMAKE_CROSSCOMPILING AND NOT HNORM_SANITIZE)
    # Debian may have MPICH beside it: this one is meant.
    set(MPI_CXX_COMPILER "${HNORM_MPICXX_openmpi}")
    set(MPI_CXX_SKIP_MPICXX ON) # MPI's own C++ classes, which are no part of it any more
    find_package(MPI QUIET COMPONENTS CXX)
    set(HNORM_OPEN_MPI ${MPI_CXX_FOUND})
endif()
# As root, which containers run as, and with more processes than cores.
set(hnorm_mpiexec "${HNORM_MPIEXEC_openmpi}" --allow-run-as-root --oversubscribe)
