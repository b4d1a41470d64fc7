# Fails unless README.md shows what `diff -u before.c after.c` prints.
cmake_minimum_required(VERSION 3.28)
execute_process(
    COMMAND diff -u --label before.c --label after.c before.c after.c WORKING_DIRECTORY "${CMAKE_CURRENT_LIST_DIR}"
    OUTPUT_VARIABLE difference
)
file(READ "${CMAKE_CURRENT_LIST_DIR}/README.md" readme)
string(FIND "${readme}" "```diff\n${difference}```\n" at)
if(difference STREQUAL "" OR at EQUAL -1)
    message(FATAL_ERROR "README.md does not show this:\n${difference}")
endif()
