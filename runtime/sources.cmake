# The runtime's sources, relative to this folder. runtime/CMakeLists.txt reads this list; nothing globs.
set(HNORM_RUNTIME_SOURCES
    src/backward.cpp
    src/compute.cpp
    src/error.cpp
    src/functions.cpp
    src/gradients.cpp
    src/layer.cpp
    src/layer_backward.cpp
    src/post_ops.cpp
    src/residual_backward.cpp
    src/statistics.cpp
    src/targets.cpp
    src/tensor.cpp
    src/threads.cpp
    src/validate.cpp
)
