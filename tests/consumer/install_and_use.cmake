# Installs from BUILD into a prefix under WORK, then configures, builds and runs project/ against
# it, as C++ and as C. CONSUMER_CMAKE: the CMake to use it with; MAKE_PROGRAM: ninja; SANITIZE: how
# the archive was instrumented, or nothing; VENV: the folder that nothing installed may name; STATE,
# GPU: whether those components were built.
cmake_minimum_required(VERSION 3.28)
set(prefix "${WORK}/prefix")
set(clean /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C)

include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")

set(files_of_STATE include/hnorm/state.h include/hnorm/state.hpp lib/libhnorm_state.a lib/libhnorm_state.so
                   lib/cmake/hnorm/hnormLibzip.cmake lib/pkgconfig/hnorm-state.pc lib/pkgconfig/hnorm-state-static.pc)
set(files_of_GPU include/hnorm/gpu.h include/hnorm/gpu.hpp lib/libhnorm_gpu.a lib/libhnorm_gpu.so
                 lib/pkgconfig/hnorm-gpu.pc lib/pkgconfig/hnorm-gpu-static.pc)
foreach(component IN ITEMS STATE GPU)
    foreach(file IN LISTS files_of_${component})
        if(${component} AND NOT EXISTS "${prefix}/${file}")
            message(FATAL_ERROR "not installed: ${file}")
        elseif(NOT ${component} AND EXISTS "${prefix}/${file}")
            message(FATAL_ERROR "installed without the component that it belongs to: ${file}")
        endif()
    endforeach()
endforeach()
foreach(file IN ITEMS bin/hnorm include/hnorm/hnorm.h include/hnorm/hnorm.hpp include/hnorm/wisdom.h lib/libhnorm.a lib/libhnorm.so
                      lib/cmake/hnorm/hnormConfig.cmake lib/cmake/hnorm/hnormConfigVersion.cmake lib/pkgconfig/hnorm.pc
                      lib/pkgconfig/hnorm-static.pc share/doc/hnorm/LICENSE)
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
function(refused what words)
    execute_process(COMMAND ${configure} -D CONSUMER_STATE=ON ${ARGN} OUTPUT_QUIET ERROR_VARIABLE output RESULT_VARIABLE status)
    string(REGEX REPLACE "[ \n]+" " " output "${output}")
    if(status EQUAL 0 OR NOT output MATCHES "${words}")
        message(FATAL_ERROR "${what}: CMake gives status ${status} and says: ${output}")
    endif()
endfunction()
foreach(variant IN ITEMS CXX C CXX_shared C_shared)
    string(REGEX REPLACE "_shared" "" language ${variant})
    string(REGEX MATCH "shared" shared ${variant})
    set(build "${WORK}/${variant}")
    set(configure
        ${clean} "${CONSUMER_CMAKE}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -G Ninja -D "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}"
        -D "CMAKE_PREFIX_PATH=${prefix}" -D CONSUMER_LANGUAGE=${language} -D "CONSUMER_SHARED=${shared}" ${flags}
    )
    run(${configure} -B "${build}" -D CONSUMER_GPU=${GPU} -D CONSUMER_STATE=${STATE})
    run(${clean} "${CONSUMER_CMAKE}" --build "${build}")
    run(${clean} "${build}/consumer")
    message("${output}")
    if(GPU)
        run(${clean} "${build}/consumer_gpu")
        message("${output}")
    endif()
    if(STATE)
        run(${clean} "${build}/consumer_state" "${WORK}/${variant}.npz")
        message("${output}")
    endif()
    if(NOT shared)
        run(${configure} -B "${build}_alone")
        if(STATE)
            # An empty name is not looked for: a machine without libzip.
            refused("without libzip" "needs libzip \\(Debian's package: libzip-dev\\)" -B "${build}_no_libzip"
                    -D HNORM_LIBZIP_LIBRARY=)
            refused("both kinds in one program" "HNORM_KIND" -B "${build}_mixed" -D CONSUMER_MIXED=ON)
        endif()
    endif()
endforeach()

# What the installed program writes, programs that are not linked again take up. A row is added:
# whether any is faster is not sure.
set(wisdom "${WORK}/wisdom.txt")
run(${clean} "${prefix}/bin/hnorm" tune --shapes tiny --op forward --group batch --budget 2s --output "${wisdom}")
file(STRINGS "${wisdom}" rows REGEX "^forward/")
list(LENGTH rows count)
math(EXPR count "${count} + 1")
file(APPEND "${wisdom}" "forward/batch/channels_first/f32/2x3x4 threads=1\n")
foreach(variant IN ITEMS C C_shared)
    run(${clean} "HNORM_WISDOM=${wisdom}" "${WORK}/${variant}/consumer_wisdom")
    if(NOT output MATCHES "^${wisdom}: ${count} choices? in use\n?$")
        message(FATAL_ERROR "${variant}: ${count} choices should be in use:\n${output}")
    endif()
endforeach()

find_program(PKG_CONFIG pkg-config PATHS /usr/bin NO_DEFAULT_PATH)
# use_pkg_config(PACKAGE SOURCE [ARGUMENTS]): both libraries; of the shared one the program must be
# told where it is.
function(use_pkg_config package source)
    foreach(kind IN ITEMS "" -static)
        set(program "${WORK}/pkg_${source}${kind}")
        run(${clean} "PKG_CONFIG_PATH=${prefix}/lib/pkgconfig" sh -c
            "cc '${CMAKE_CURRENT_LIST_DIR}/project/${source}.c' -o '${program}' $('${PKG_CONFIG}' --cflags --libs ${package}${kind})")
        if(kind STREQUAL "")
            run(${clean} "LD_LIBRARY_PATH=${prefix}/lib" "${program}" ${ARGN})
        else()
            run(${clean} "${program}" ${ARGN})
        endif()
        message("with pkg-config, ${package}${kind}: ${output}")
    endforeach()
endfunction()
if(PKG_CONFIG AND NOT SANITIZE)
    use_pkg_config(hnorm main)
    # --static is for programs that are static altogether.
    run(${clean} "PKG_CONFIG_PATH=${prefix}/lib/pkgconfig" sh -c
        "cc -static '${CMAKE_CURRENT_LIST_DIR}/project/main.c' -o '${WORK}/pkg_all_static' $('${PKG_CONFIG}' --static --cflags --libs hnorm)")
    run(${clean} "${WORK}/pkg_all_static")
    if(GPU)
        use_pkg_config(hnorm-gpu gpu)
    endif()
    if(STATE)
        use_pkg_config(hnorm-state state "${WORK}/pkg.npz")
    endif()
endif()
