# cmake -D SOURCE=FOLDER -D BUILD=FOLDER -D GENERATORS=PROGRAM -D MAKE=PROGRAM -D PREFIX=PATHS "-D
# NAMES=KERNEL_CLASS_TYPE;..." -P compiled.cmake: a build with sse41.json as a schedule for some
# CPUs compiles NAMES for it, and no other kernels. One of some types has no kernels of others.
cmake_minimum_required(VERSION 3.28)
set(folder "${BUILD}/by_cpu")
configure_file("${CMAKE_CURRENT_LIST_DIR}/sse41.json" "${folder}/x86-64-sse41.test.json" COPYONLY)
set(parts "")
foreach(part IN ITEMS STATE GPU TOOLS TESTS BENCH EXAMPLES)
    list(APPEND parts "-DHNORM_BUILD_${part}=OFF")
endforeach()
# Sets output and status.
macro(configure types)
    execute_process(
        COMMAND "${CMAKE_COMMAND}" -G Ninja -S "${SOURCE}" -B "${BUILD}" "-DCMAKE_MAKE_PROGRAM=${MAKE}" "-DCMAKE_PREFIX_PATH=${PREFIX}"
                "-DHNORM_GENERATORS=${GENERATORS}" "-DHNORM_BY_CPU=${folder}" -DHNORM_TARGETS=x86-64-sse41 -DHNORM_DEVICES=
                "-DHNORM_TYPES=${types}" ${parts}
        OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status
    )
endmacro()
configure("")
if(status)
    message(FATAL_ERROR "it cannot be configured:\n${output}")
endif()
file(STRINGS "${BUILD}/build.ninja" commands REGEX "^build [^:]*hnorm_kernel_[a-z0-9_]*_sse41_test\\.o")
list(TRANSFORM commands REPLACE ".*hnorm_kernel_([a-z0-9_]*)_x86_64_sse41_test\\.o.*" "\\1")
list(SORT commands)
list(SORT NAMES)
if(NOT commands STREQUAL NAMES)
    message(FATAL_ERROR "compiled are:     ${commands}\nit should compile: ${NAMES}")
endif()
file(READ "${BUILD}/generators/kernel_table/kernels_moments.cpp" table)
foreach(name IN ITEMS moments_large_f32_x86_64_sse41_test moments_small_f32_x86_64_sse41)
    if(NOT table MATCHES "[{ ]hnorm_kernel_${name}[,}].*x86-64-sse41.test.*[{ ]hnorm_kernel_${name}[,}]" AND NOT name MATCHES _test)
        message(FATAL_ERROR "both rows should have ${name}:\n${table}")
    elseif(NOT table MATCHES "x86-64-sse41.test.*[{ ]hnorm_kernel_${name}[,}]")
        message(FATAL_ERROR "the row should have ${name}:\n${table}")
    endif()
endforeach()
# The build's name is of files, a line each.
file(READ "${BUILD}/generators/build_name.txt" named)
if(named MATCHES "\n\n")
    message(FATAL_ERROR "build_name.txt has an empty line:\n${named}")
endif()

configure("f32;f64")
if(NOT output MATCHES "HNORM_TYPES names f64: it must be one of f32, f16, bf16")
    message(FATAL_ERROR "a type that there is none of should be refused:\n${output}")
endif()
configure("f32;bf16")
file(READ "${BUILD}/generators/kernel_table/types.cpp" types)
if(NOT types MATCHES "{true, false, true}.*\"HNORM_F32 \\(0\\) and HNORM_BF16 \\(2\\)\"")
    message(FATAL_ERROR "the library should have f32 and bf16:\n${types}")
endif()
file(STRINGS "${BUILD}/build.ninja" commands REGEX "^build [^:]*hnorm_kernel_[a-z0-9_]*_f16_[a-z0-9_]*\\.o")
if(commands)
    message(FATAL_ERROR "it should compile no kernel of f16:\n${commands}")
endif()
