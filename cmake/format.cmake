# cmake -D CLANG_FORMAT=PROGRAM [-D CHECK=1] -P cmake/format.cmake: formats every C and C++ source
# of the project or, with CHECK, changes nothing, shows what is not formatted and fails. Asks no
# git: it works in an unpacked archive, too.
cmake_minimum_required(VERSION 3.28)

if(NOT CLANG_FORMAT)
    # The test `format` takes this line for a reason to skip.
    message("skipped: no clang-format in .venv, where ./dev puts the version that requirements.txt names")
    return()
endif()

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
set(sources)
foreach(folder IN ITEMS generators schedules runtime tools tests bench tune examples python)
    file(GLOB_RECURSE found "${root}/${folder}/*.c" "${root}/${folder}/*.h" "${root}/${folder}/*.cpp" "${root}/${folder}/*.hpp")
    list(APPEND sources ${found})
endforeach()

set(arguments -i)
if(CHECK)
    set(arguments --dry-run --Werror --ferror-limit=3)
endif()
execute_process(COMMAND "${CLANG_FORMAT}" --style=file ${arguments} ${sources} RESULT_VARIABLE status)
list(LENGTH sources count)
if(status AND CHECK)
    message(FATAL_ERROR "Not formatted: the lines above. `./dev format` mends them.")
elseif(status)
    message(FATAL_ERROR "clang-format failed: ${status}")
elseif(CHECK)
    message("${count} sources are formatted")
else()
    message("formatted ${count} sources")
endif()
