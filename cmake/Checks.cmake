# Tests of the project's own files rather than of its code's results.
include(ReadmeExample)

# .venv/bin alone: other versions of clang-format format differently.
find_program(HNORM_CLANG_FORMAT clang-format PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH)
add_test(NAME format COMMAND "${CMAKE_COMMAND}" -D CHECK=1 -D "CLANG_FORMAT=${HNORM_CLANG_FORMAT}" -P
                             "${PROJECT_SOURCE_DIR}/cmake/format.cmake"
)
add_test(NAME "locks have the versions of the requirements" COMMAND "${CMAKE_COMMAND}" -P "${PROJECT_SOURCE_DIR}/cmake/check_locks.cmake")
set_tests_properties(format PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
