# cmake -D ARCHIVE=FILE -D RENAMED=FILE [-D OTHERS=FILE] -D NM=PROGRAM -D OBJCOPY=PROGRAM -P RenameSymbols.cmake
#
# Puts hnorm_ before every name that the archive gives its users and that does not begin so: Halide's runtime, whose error
# handler and threads are the process's, and C++'s names. A program with Halide code of its own keeps its own runtime. What was
# renamed is written to RENAMED, for objcopy; OTHERS is such a list, of another archive whose names this one uses.
cmake_minimum_required(VERSION 3.28)

# Global names, and those of COMDAT groups, which may be local (type n): of groups of the same name the linker keeps one, and
# the other's functions, by other names now, would be gone.
execute_process(
    COMMAND "${NM}" --defined-only --format=posix "${ARCHIVE}" OUTPUT_VARIABLE symbols ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY
)
string(REGEX MATCHALL "[^\n ]+ [A-Zun] " symbols "${symbols}")
list(TRANSFORM symbols REPLACE " .*" "")
list(FILTER symbols EXCLUDE REGEX "^hnorm_")
if(OTHERS)
    file(STRINGS "${OTHERS}" others)
    list(TRANSFORM others REPLACE " .*" "")
    list(APPEND symbols ${others})
endif()
list(REMOVE_DUPLICATES symbols)
list(SORT symbols)
list(TRANSFORM symbols REPLACE "(.+)" "\\1 hnorm_\\1\n")
list(JOIN symbols "" renamed)
file(WRITE "${RENAMED}" "${renamed}")
execute_process(COMMAND "${OBJCOPY}" "--redefine-syms=${RENAMED}" "${ARCHIVE}" COMMAND_ERROR_IS_FATAL ANY)
