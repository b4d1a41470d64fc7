# Installs the wheel of WORK/wheels into WORK/site, and runs tests/ with it and PYTHON.
cmake_minimum_required(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/../tests/run.cmake")

file(REMOVE_RECURSE "${WORK}/site")
file(GLOB wheel "${WORK}/wheels/*.whl")
run("${PYTHON}" -m pip install --no-input --disable-pip-version-check --no-deps --no-index --target "${WORK}/site" "${wheel}")
# In the tests' folder: that of the package's sources would come before the wheel's.
execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "PYTHONPATH=${WORK}/site" PYTHONDONTWRITEBYTECODE=1 "HNORM_TEST_CMAKE=${CMAKE_COMMAND}"
            "${PYTHON}" -m pytest -q
    WORKING_DIRECTORY "${CMAKE_CURRENT_LIST_DIR}/tests" COMMAND_ERROR_IS_FATAL ANY
)
