# hnorm_measure: the copies and the interleaved measurement, for the benchmark and for the demo's table.
include_guard(GLOBAL)

add_library(hnorm_measure STATIC
    ${CMAKE_CURRENT_LIST_DIR}/copies.cpp
    ${CMAKE_CURRENT_LIST_DIR}/measure.cpp
    ${CMAKE_CURRENT_LIST_DIR}/workspace.cpp)
target_compile_features(hnorm_measure PUBLIC cxx_std_17)
target_include_directories(hnorm_measure PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_compile_options(hnorm_measure PRIVATE -Wall -Wextra)
target_link_libraries(hnorm_measure PUBLIC hnorm::hnorm)
# A copy loop must stay a loop: by default the compiler makes a call of memcpy of it.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/copies.cpp PROPERTIES
    COMPILE_OPTIONS "-O3;-fno-tree-loop-distribute-patterns")
