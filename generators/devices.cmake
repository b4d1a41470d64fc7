# The kernels of devices, included by CMakeLists.txt: a schedule file with a "device" is one.
#
# Sets for the parent: HNORM_DEVICE_OBJECTS, HNORM_DEVICE_TABLE (a source), HNORM_DEVICE_RUNTIME (an
# object). Target hnorm_device_kernels makes them.

json_items(device_features GET "${manifest_json}" device_features)
foreach(device IN LISTS HNORM_DEVICES)
    set(schedule "${PROJECT_SOURCE_DIR}/schedules/${device}.json")
    if(NOT EXISTS "${schedule}")
        message(FATAL_ERROR "HNORM_DEVICES names ${device}, but schedules/ has no ${device}.json")
    endif()
    hnorm_read_schedule("${schedule}")
    hnorm_check_schedule("${schedule}" device_kernels device_ "${gpu_space_json}")
    hnorm_add_device(${target})
    list(APPEND device_rows ${target})
    hnorm_compile_kernels(device_objects device_kernels device_ "${device_features}" ${target})
    foreach(kernel IN LISTS device_group_kernels)
        hnorm_compile_kernel(device_ ${kernel} ${kernel} "${device_features}" ${target})
        list(APPEND device_objects "${object}")
    endforeach()
endforeach()
set(device_table "${CMAKE_CURRENT_BINARY_DIR}/device_table.cpp")
hnorm_devices_source(source hnorm::detail hnorm_devices)
file(CONFIGURE OUTPUT "${device_table}" CONTENT "${source}" @ONLY)

# Halide's runtime with its parts for devices, which open the drivers where a program uses one.
set(device_runtime "${folder}/halide_runtime_devices${CMAKE_CXX_OUTPUT_EXTENSION}")
add_custom_command(
    OUTPUT "${device_runtime}"
    COMMAND hnorm_generators -r halide_runtime_devices -e object -o "${folder}" target=${architecture}-linux-cuda-opencl
    DEPENDS hnorm_generators
    COMMENT "Halide runtime for devices"
    VERBATIM
)

add_custom_target(hnorm_device_kernels DEPENDS ${device_objects} "${device_runtime}")
set(HNORM_DEVICE_OBJECTS ${device_objects} PARENT_SCOPE)
set(HNORM_DEVICE_RUNTIME "${device_runtime}" PARENT_SCOPE)
set(HNORM_DEVICE_TABLE "${device_table}" PARENT_SCOPE)
