# cmake -D ARCHIVE=FILE -D RENAMED=FILE [-D OTHERS=FILE] -D PREFIX=NAME -D NM=PROGRAM -D
# OBJCOPY=PROGRAM -P RenameSymbols.cmake
#
# Puts PREFIX, hnorm_ or what begins so, before every name that the archive gives its users and that
# does not begin with hnorm_: Halide's runtime, whose error handler and threads are the process's,
# and C++'s names. A program with Halide code of its own keeps its own runtime. What was renamed is
# written to RENAMED, for objcopy; OTHERS is such a list, of another archive whose names this one
# uses where it has none of its own.
cmake_minimum_required(VERSION 3.16) # the source archive's

# Global names, and those of COMDAT groups, which may be local (type n): of groups of the same name
# the linker keeps one, and the other's functions, by other names now, would be gone.
execute_process(
    COMMAND "${NM}" --defined-only --format=posix "${ARCHIVE}" OUTPUT_VARIABLE symbols ERROR_QUIET RESULT_VARIABLE status
)
if(status)
    message(FATAL_ERROR "${NM} cannot read ${ARCHIVE}: ${status}")
endif()
string(REGEX MATCHALL "[^\n ]+ [A-Zun] " symbols "${symbols}")
list(TRANSFORM symbols REPLACE " .*" "")
list(FILTER symbols EXCLUDE REGEX "^hnorm_")
list(REMOVE_DUPLICATES symbols)
set(lines ${symbols})
list(TRANSFORM lines REPLACE "(.+)" "\\1 ${PREFIX}\\1")
if(OTHERS)
    file(STRINGS "${OTHERS}" others)
    foreach(line IN LISTS others)
        string(REGEX REPLACE " .*" "" name "${line}")
        if(NOT name IN_LIST symbols)
            list(APPEND lines "${line}")
        endif()
    endforeach()
endif()
list(SORT lines)
list(JOIN lines "\n" renamed)
file(WRITE "${RENAMED}" "${renamed}\n")
execute_process(COMMAND "${OBJCOPY}" "--redefine-syms=${RENAMED}" "${ARCHIVE}" RESULT_VARIABLE status)
if(status)
    message(FATAL_ERROR "${OBJCOPY} cannot rename the symbols of ${ARCHIVE}: ${status}")
endif()
