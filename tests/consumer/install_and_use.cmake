# Installs from BUILD into a prefix under WORK, then configures, builds and runs project/ against it, as C++ and as C.
# CONSUMER_CMAKE: the CMake to use it with; MAKE_PROGRAM: ninja; SANITIZE: how the archive was instrumented, or nothing;
# VENV: the folder that nothing installed may name.
cmake_minimum_required(VERSION 3.28)
set(prefix "${WORK}/prefix")
set(clean /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C)

function(run)
    execute_process(COMMAND ${ARGV} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
    if(status)
        string(REPLACE ";" " " line "${ARGV}")
        message(FATAL_ERROR "${output}\nexit status ${status} of: ${line}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")

foreach(file IN ITEMS include/hnorm/hnorm.h include/hnorm/hnorm.hpp lib/libhnorm.a lib/cmake/hnorm/hnormConfig.cmake
                      lib/cmake/hnorm/hnormConfigVersion.cmake lib/pkgconfig/hnorm.pc share/doc/hnorm/LICENSE)
    if(NOT EXISTS "${prefix}/${file}")
        message(FATAL_ERROR "not installed: ${file}")
    endif()
endforeach()
file(GLOB_RECURSE texts "${prefix}/lib/*.cmake" "${prefix}/lib/*.pc" "${prefix}/include/*")
foreach(file IN LISTS texts)
    file(READ "${file}" text)
    foreach(foreign IN ITEMS "${BUILD}" "${VENV}" Halide)
        string(FIND "${text}" "${foreign}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${file} names ${foreign}: it would not work on another machine")
        endif()
    endforeach()
endforeach()

set(flags)
if(SANITIZE)
    set(flags -D "CMAKE_EXE_LINKER_FLAGS=-fsanitize=${SANITIZE}")
endif()
foreach(language IN ITEMS CXX C)
    set(build "${WORK}/${language}")
    run(${clean} "${CONSUMER_CMAKE}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -B "${build}" -G Ninja
        -D "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -D "CMAKE_PREFIX_PATH=${prefix}" -D CONSUMER_LANGUAGE=${language} ${flags})
    run(${clean} "${CONSUMER_CMAKE}" --build "${build}")
    run(${clean} "${build}/consumer")
    message("${output}")
endforeach()

find_program(PKG_CONFIG pkg-config PATHS /usr/bin NO_DEFAULT_PATH)
if(PKG_CONFIG AND NOT SANITIZE)
    run(${clean} "PKG_CONFIG_PATH=${prefix}/lib/pkgconfig" sh -c
        "cc '${CMAKE_CURRENT_LIST_DIR}/project/main.c' -o '${WORK}/pkg' $('${PKG_CONFIG}' --cflags --libs hnorm)")
    run(${clean} "${WORK}/pkg")
    message("with pkg-config: ${output}")
endif()
