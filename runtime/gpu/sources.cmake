# The sources of libhnorm_gpu, relative to this folder; find_kernels.cpp, which knows its table of
# kernels, besides.
set(HNORM_GPU_SOURCES
    backward.cpp
    cuda.cpp
    cuda_functions.cpp
    elements.cpp
    forward.cpp
    fused.cpp
    gpu.cpp
    hooks.cpp
    memory.cpp
    modules.cpp
    opencl.cpp
    table.cpp
)
