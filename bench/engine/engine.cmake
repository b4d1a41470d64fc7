# The measuring engine's sources. hnorm_engine_sources(VARIABLE ON_CPU|ON_DEVICE [SHARED]): where
# calls run, and with SHARED a shared library's C functions.
set(HNORM_ENGINE_DIR "${CMAKE_CURRENT_LIST_DIR}")

# A macro: properties of sources belong to the folder that compiles them.
macro(hnorm_engine_sources variable place)
    set(${variable} calls.cpp case.cpp contenders.cpp copies.cpp estimate.cpp plain.cpp rounds.cpp)
    if("${place}" STREQUAL ON_DEVICE)
        list(APPEND ${variable} on_device.cpp)
    else()
        list(APPEND ${variable} on_cpu.cpp)
    endif()
    if("${ARGN}" STREQUAL SHARED)
        list(APPEND ${variable} shared.cpp)
    endif()
    list(TRANSFORM ${variable} PREPEND "${HNORM_ENGINE_DIR}/")
    # A copy loop must stay a loop: by default the compiler makes a call of memcpy of it. The plain
    # loops are what -O3 makes.
    set_source_files_properties(
        "${HNORM_ENGINE_DIR}/copies.cpp" PROPERTIES COMPILE_OPTIONS "-O3;-fno-tree-loop-distribute-patterns"
    )
    set_source_files_properties("${HNORM_ENGINE_DIR}/plain.cpp" PROPERTIES COMPILE_OPTIONS -O3)
endmacro()
