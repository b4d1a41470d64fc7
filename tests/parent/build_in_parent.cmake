# Configures project/, which takes hnorm in from SOURCE, in WORK, and compiles hnorm's sources
# there.
cmake_minimum_required(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" -S "${PROJECT}" -B "${WORK}" -G Ninja -D "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -D
    "CMAKE_CXX_COMPILER=${CXX}" -D "HNORM_SOURCE=${SOURCE}" -D "HNORM_GENERATORS=${GENERATORS}" -D "Halide_DIR=${HALIDE}")
run("${CMAKE_COMMAND}" --build "${WORK}" --target hnorm_objects uses_header)
file(GLOB objects "${WORK}/hnorm/runtime/CMakeFiles/hnorm_objects.dir/src/*.o")
list(LENGTH objects count)
if(count LESS 30)
    message(FATAL_ERROR "there are only ${count} objects")
endif()
foreach(object IN LISTS objects)
    run("${OBJCOPY}" --redefine-sym unused=hnorm_unused "${object}" "${WORK}/renamed.o")
    file(STRINGS "${object}" lto REGEX "\\.gnu\\.lto" LIMIT_COUNT 1)
    if(lto)
        message(FATAL_ERROR "${object} is of the parent's link time optimization")
    endif()
endforeach()
message("${count} objects")
