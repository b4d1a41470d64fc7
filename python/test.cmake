# Builds the wheel (wheel.cmake has the arguments), installs it into a folder, and runs tests/ with
# it and PYTHON.
cmake_minimum_required(VERSION 3.28)
execute_process(
    COMMAND "${PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/missing.py" OUTPUT_VARIABLE missing OUTPUT_STRIP_TRAILING_WHITESPACE
            COMMAND_ERROR_IS_FATAL ANY
)
if(missing)
    message("SKIPPED: ${PYTHON} has no ${missing}: ./dev puts them there")
    return()
endif()
include("${CMAKE_CURRENT_LIST_DIR}/wheel.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/run_tests.cmake")
