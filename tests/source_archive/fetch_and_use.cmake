# Packs the kernels of BUILD into a source archive, twice; then configures, builds and runs project/, which fetches it, under WORK.
# MAKE_ARCHIVE: what packs; VERSION: the library's; CONSUMER_CMAKE: the CMake to use it with; MAKE_PROGRAM: ninja; TOOLCHAIN and
# EMULATOR: those of a cross build, or nothing.
cmake_minimum_required(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")
set(clean /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C)

file(REMOVE_RECURSE "${WORK}")
set(name "hnorm-${VERSION}-source.tar.xz")
get_filename_component(cmake_folder "${CMAKE_COMMAND}" DIRECTORY)
set(pack "${CMAKE_COMMAND}" -E env "PATH=${cmake_folder}:/usr/bin:/bin" SOURCE_DATE_EPOCH=1700000000 ${MAKE_ARCHIVE})
run(${pack} "${WORK}/${name}" "${BUILD}")
message("${output}")
run(${pack} "${WORK}/again/${name}" "${BUILD}")
run("${CMAKE_COMMAND}" -E compare_files "${WORK}/${name}" "${WORK}/again/${name}")

set(toolchain "")
if(TOOLCHAIN)
    set(toolchain -D "CMAKE_TOOLCHAIN_FILE=${TOOLCHAIN}")
endif()
run(${clean} "${CONSUMER_CMAKE}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -B "${WORK}/build" -G Ninja
    -D "CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -D "HNORM_ARCHIVE=file://${WORK}/${name}" ${toolchain})
run(${clean} "${CONSUMER_CMAKE}" --build "${WORK}/build")
foreach(program IN ITEMS uses_static uses_shared)
    run(${clean} ${EMULATOR} "${WORK}/build/${program}")
    if(NOT output STREQUAL "hnorm ${VERSION}: -1.34164 -0.447212 0.447212 1.34164\n")
        message(FATAL_ERROR "${program} prints: ${output}")
    endif()
endforeach()
