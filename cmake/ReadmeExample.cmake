# The README's C++ example as a program, so that it cannot rot: its includes, the data that it
# speaks of, and its statements as they stand.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/README.md")
file(READ "${PROJECT_SOURCE_DIR}/README.md" readme)
if(NOT readme MATCHES "\n```cpp\n(#include[^\n]*)\n([^`]*)\n```\n")
    message(FATAL_ERROR "README.md has no ```cpp block that starts with an #include: a test compiles that example")
endif()
set(include "${CMAKE_MATCH_1}")
set(statements "${CMAKE_MATCH_2}")
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/readme_example.cpp" @ONLY CONTENT [[
@include@

#include <vector>

int main() {
    std::vector<float> input(32 * 64 * 56 * 56, 1.5f), output(input.size());
    float *const data = input.data(), *const out = output.data();

@statements@
}
]])
add_executable(readme_example "${PROJECT_BINARY_DIR}/readme_example.cpp")
target_link_libraries(readme_example PRIVATE hnorm::hnorm)
target_compile_options(readme_example PRIVATE -Wall -Wextra)
add_test(NAME "the README's example compiles and runs" COMMAND readme_example)
