# While the wheel is installed: makes the CMake package one of the libraries that the wheel holds.
# The name of libhnorm.so is `soname` instead of `file`; libhnorm_gpu.so and libhnorm_state.so are
# not there, and neither are their targets.
file(GLOB packages "${CMAKE_INSTALL_PREFIX}/hnorm/lib/cmake/hnorm/*Targets*.cmake")
foreach(package IN LISTS packages)
    file(READ "${package}" text)
    string(REPLACE "/${file}\"" "/${soname}\"" text "${text}")
    # The parts of a file that CMake has written begin with a comment.
    string(REGEX REPLACE "# (Create imported|Import) target \"?hnorm::(gpu|state)_shared[^#]*" "" text "${text}")
    string(REGEX REPLACE " hnorm::(gpu|state)_shared\\)" ")" text "${text}")
    if(text MATCHES "_shared")
        message(FATAL_ERROR "${package} still names a shared library that the wheel does not hold")
    endif()
    file(WRITE "${package}" "${text}")
endforeach()
