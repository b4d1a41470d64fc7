# The runtime's sources, relative to this folder. runtime/CMakeLists.txt reads this list; nothing globs.
set(HNORM_RUNTIME_SOURCES
    src/compute.cpp
    src/error.cpp
    src/functions.cpp
    src/layer.cpp
    src/statistics.cpp
    src/targets.cpp
    src/tensor.cpp
    src/threads.cpp
    src/validate.cpp
)
