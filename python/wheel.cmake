# Builds the wheel (./dev wheel, and a test): installs from BUILD into WORK/prefix, compiles the
# extension module over that with the tools of PYTHON's environment, and names the wheel in
# WORK/wheels by the systems that it runs on.
cmake_minimum_required(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/../tests/run.cmake")

cmake_path(GET PYTHON PARENT_PATH programs)
set(environment "${CMAKE_COMMAND}" -E env "PATH=${programs}:$ENV{PATH}" "CMAKE_PREFIX_PATH=${WORK}/prefix")

file(REMOVE_RECURSE "${WORK}/prefix" "${WORK}/built" "${WORK}/wheels")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix")
# In a folder that stays: only what has changed is compiled again.
run(${environment} "${PYTHON}" -m pip wheel --no-build-isolation --no-deps --no-index --wheel-dir "${WORK}/built"
    --config-settings "build-dir=${WORK}/extension" "${CMAKE_CURRENT_LIST_DIR}")
file(GLOB built "${WORK}/built/*.whl")
run(${environment} "${PYTHON}" -m auditwheel repair --wheel-dir "${WORK}/wheels" "${built}")
