# cmake -D "PUBLIC=NAME;..." -D ARCHIVE=FILE -D "USERS=ARCHIVE;..." -D NODE=VERSION -D MAP=FILE -D
# NAMES=FILE -D NM=PROGRAM
#     -P WriteGivenNames.cmake
#
# Writes the version script MAP of a shared library of ARCHIVE, and the names that it gives to
# NAMES, one a line: PUBLIC under NODE; and under NODE_PRIVATE what else of ARCHIVE the archives
# USERS take.
cmake_minimum_required(VERSION 3.16) # the source archive's
# names(OUT KIND ARCHIVE...): global names, KIND being defined or undefined
function(names out kind)
    execute_process(
        COMMAND "${NM}" --${kind}-only --extern-only --format=posix ${ARGN} OUTPUT_VARIABLE symbols ERROR_QUIET
        RESULT_VARIABLE status
    )
    if(status)
        message(FATAL_ERROR "${NM} cannot read ${ARGN}: ${status}")
    endif()
    string(REGEX MATCHALL "hnorm_[^\n ]* [A-Za-z]" symbols "${symbols}")
    list(TRANSFORM symbols REPLACE " .*" "")
    list(REMOVE_DUPLICATES symbols)
    set(${out} "${symbols}" PARENT_SCOPE)
endfunction()

set(private "")
if(USERS)
    names(defined defined "${ARCHIVE}")
    names(taken undefined ${USERS})
    foreach(name IN LISTS taken)
        if(name IN_LIST defined AND NOT name IN_LIST PUBLIC)
            list(APPEND private ${name})
        endif()
    endforeach()
    list(SORT private)
endif()

list(JOIN PUBLIC ";\n        " functions)
set(map "${NODE} {\n    global:\n        ${functions};\n    local:\n        *;\n};\n")
if(private)
    list(JOIN private ";\n        " functions)
    string(APPEND map "${NODE}_PRIVATE {\n    global:\n        ${functions};\n};\n")
endif()
file(WRITE "${MAP}" "${map}")
list(JOIN PUBLIC "\n" names)
list(JOIN private "\n" private)
file(WRITE "${NAMES}" "${names}\n${private}\n")
