# Installs from BUILD into a prefix under WORK, then configures, builds and runs project/ against it, as C++ and as C.
# CONSUMER_CMAKE: the CMake to use it with; MAKE_PROGRAM: ninja; SANITIZE: how the archive was instrumented, or nothing;
# VENV: the folder that nothing installed may name; STATE: whether the component state was built.
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

set(state_files include/hnorm/state.h include/hnorm/state.hpp lib/libhnorm_state.a lib/cmake/hnorm/hnormLibzip.cmake
                lib/pkgconfig/hnorm-state.pc)
foreach(file IN LISTS state_files)
    if(STATE AND NOT EXISTS "${prefix}/${file}")
        message(FATAL_ERROR "not installed: ${file}")
    elseif(NOT STATE AND EXISTS "${prefix}/${file}")
        message(FATAL_ERROR "installed without the component that it belongs to: ${file}")
    endif()
endforeach()
foreach(file IN ITEMS bin/hnorm include/hnorm/hnorm.h include/hnorm/hnorm.hpp lib/libhnorm.a lib/cmake/hnorm/hnormConfig.cmake
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
# Without the component, with it, and with it where libzip is not to be found.
foreach(language IN ITEMS CXX C)
    set(build "${WORK}/${language}")
    set(configure ${clean} "${CONSUMER_CMAKE}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -G Ninja
        -D "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -D "CMAKE_PREFIX_PATH=${prefix}" -D CONSUMER_LANGUAGE=${language} ${flags})
    run(${configure} -B "${build}")
    run(${clean} "${CONSUMER_CMAKE}" --build "${build}")
    run(${clean} "${build}/consumer")
    message("${output}")
    if(STATE)
        run(${configure} -B "${build}_state" -D CONSUMER_STATE=ON)
        run(${clean} "${CONSUMER_CMAKE}" --build "${build}_state")
        run(${clean} "${build}_state/consumer_state" "${WORK}/${language}.npz")
        message("${output}")
        # An empty name is not looked for: a machine without libzip.
        execute_process(
            COMMAND ${configure} -B "${build}_no_libzip" -D CONSUMER_STATE=ON -D HNORM_LIBZIP_LIBRARY=
            OUTPUT_QUIET ERROR_VARIABLE output RESULT_VARIABLE status
        )
        string(REGEX REPLACE "[ \n]+" " " output "${output}")
        if(status EQUAL 0 OR NOT output MATCHES "needs libzip \\(Debian's package: libzip-dev\\)")
            message(FATAL_ERROR "without libzip, the component state gives status ${status} and says: ${output}")
        endif()
    endif()
endforeach()

find_program(PKG_CONFIG pkg-config PATHS /usr/bin NO_DEFAULT_PATH)
function(use_pkg_config package source)
    set(program "${WORK}/pkg_${source}")
    run(${clean} "PKG_CONFIG_PATH=${prefix}/lib/pkgconfig" sh -c
        "cc '${CMAKE_CURRENT_LIST_DIR}/project/${source}.c' -o '${program}' $('${PKG_CONFIG}' --cflags --libs ${package})")
    run(${clean} "${program}" ${ARGN})
    message("with pkg-config: ${output}")
endfunction()
if(PKG_CONFIG AND NOT SANITIZE)
    use_pkg_config(hnorm main)
    if(STATE)
        use_pkg_config(hnorm-state state "${WORK}/pkg.npz")
    endif()
endif()
