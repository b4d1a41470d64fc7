# Tests of the project's own files rather than of its code's results.
include(ReadmeExample)

# .venv/bin alone: other versions of clang-format format differently.
find_program(HNORM_CLANG_FORMAT clang-format PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH)
add_test(NAME format COMMAND "${CMAKE_COMMAND}" -D CHECK=1 -D "CLANG_FORMAT=${HNORM_CLANG_FORMAT}" -P
                             "${PROJECT_SOURCE_DIR}/cmake/format.cmake"
)
set_tests_properties(format PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
add_test(NAME "locks have the versions of the requirements" COMMAND "${CMAKE_COMMAND}" -P "${PROJECT_SOURCE_DIR}/cmake/check_locks.cmake")

find_program(HNORM_PYTHON python PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH)
if(HNORM_PYTHON)
    add_test(NAME "lint: the Python sources" COMMAND "${HNORM_PYTHON}" -m ruff check "${PROJECT_SOURCE_DIR}")
    set_tests_properties("lint: the Python sources" PROPERTIES SKIP_REGULAR_EXPRESSION "No module named ruff")
endif()
