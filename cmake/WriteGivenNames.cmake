# cmake -D "PUBLIC=NAME;..." -D RENAMED=FILE -D "USERS=ARCHIVE;..." -D NODE=VERSION -D MAP=FILE -D NAMES=FILE -D NM=PROGRAM
#     -P WriteGivenNames.cmake
#
# Writes the version script MAP of a shared library, and the names that it gives to NAMES, one a line: PUBLIC under NODE; and under
# NODE_PRIVATE the internal functions that the archives USERS take from it. RENAMED: the list of RenameSymbols.cmake, whose names
# are internal.
cmake_minimum_required(VERSION 3.16) # the source archive's
set(private "")
if(USERS)
    file(STRINGS "${RENAMED}" internal)
    list(TRANSFORM internal REPLACE ".* " "")
    execute_process(
        COMMAND "${NM}" --undefined-only --format=posix ${USERS} OUTPUT_VARIABLE symbols ERROR_QUIET RESULT_VARIABLE status
    )
    if(status)
        message(FATAL_ERROR "${NM} cannot read ${USERS}: ${status}")
    endif()
    string(REGEX MATCHALL "hnorm_[^\n ]* U" symbols "${symbols}")
    list(TRANSFORM symbols REPLACE " U" "")
    list(REMOVE_DUPLICATES symbols)
    list(SORT symbols)
    foreach(name IN LISTS symbols)
        if(name IN_LIST internal)
            list(APPEND private ${name})
        endif()
    endforeach()
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
