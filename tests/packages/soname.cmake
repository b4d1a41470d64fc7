# cmake -D LIBRARY=FILE -D VERSION=0.2.0 -D READELF=PROGRAM -P soname.cmake: fails unless the name
# of the shared library, and the versions of the names that it gives, are those of the minor version
# (docs/packages.md).
cmake_minimum_required(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")
string(REGEX REPLACE "\\.[0-9]+$" "" minor "${VERSION}")
cmake_path(GET LIBRARY STEM name)
run("${READELF}" -W -d -V "${LIBRARY}")
foreach(words IN ITEMS "Library soname: \\[${name}\\.so\\.${minor}\\]" "Name: HNORM_${minor}\n")
    if(NOT output MATCHES "${words}")
        message(FATAL_ERROR "${LIBRARY} does not have '${words}': ${output}")
    endif()
endforeach()
