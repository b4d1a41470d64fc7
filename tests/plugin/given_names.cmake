# cmake -D LIBRARY=FILE -D "NAMES=NAME;..." -D NM=PROGRAM -P given_names.cmake: fails unless these,
# among names of hnorm, of Halide and of the C++ library's code inside, are those that the file
# gives others.
cmake_minimum_required(VERSION 3.28)
execute_process(
    COMMAND "${NM}" --dynamic --defined-only --format=posix "${LIBRARY}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY
)
# What hnorm's shared libraries give each other has a version of its own
# (cmake/SharedLibrary.cmake).
string(REGEX REPLACE "hnorm_[^\n ]+@@HNORM_[0-9.]+_PRIVATE [^\n]*" "" symbols "${symbols}")
string(REGEX REPLACE "@@HNORM_[0-9.]+ " " " symbols "${symbols}")
string(REGEX MATCHALL "[^\n ]+ [A-Za-z] " given "${symbols}")
list(TRANSFORM given REPLACE " .*" "")
list(SORT given)
list(SORT NAMES)
set(missing ${NAMES})
list(REMOVE_ITEM missing ${given})
if(missing)
    message(FATAL_ERROR "${LIBRARY} does not give these names: ${missing}")
endif()
# A program that plug-ins may use gives what its own code has, too.
set(others ${given})
list(REMOVE_ITEM others ${NAMES} "")
list(FILTER others INCLUDE REGEX "^(_ZN)?[0-9]*_*(hnorm_|halide)")
list(LENGTH given count)
if(others)
    message(FATAL_ERROR "${LIBRARY} gives these names: ${others}")
endif()
message("${LIBRARY}: ${count} names")
