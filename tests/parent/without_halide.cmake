# Configures project/, which takes hnorm in from SOURCE, in WORK, where there is no Halide: it must
# say what to install.
cmake_minimum_required(VERSION 3.28)
file(REMOVE_RECURSE "${WORK}")
execute_process(
    COMMAND
        /usr/bin/env -i PATH=/usr/bin:/bin "${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -B "${WORK}" -G Ninja -D
        "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -D "CMAKE_CXX_COMPILER=${CXX}" -D "HNORM_SOURCE=${SOURCE}" -D
        "Halide_ROOT=${WORK}/none"
    OUTPUT_QUIET ERROR_VARIABLE output RESULT_VARIABLE status
)
string(REGEX REPLACE "[ \n]+" " " output "${output}")
foreach(words IN ITEMS "Halide 21, which compiles hnorm's kernels, was not found" "run `./dev build` in hnorm's folder"
                       "pip install 'halide==21.*'" "-D Halide_DIR=FOLDER" "source archive")
    string(FIND "${output}" "${words}" at)
    if(status EQUAL 0 OR at EQUAL -1)
        message(FATAL_ERROR "without Halide, the status is ${status}, and nothing says: ${words}\n${output}")
    endif()
endforeach()
