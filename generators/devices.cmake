# The kernels of devices, included by CMakeLists.txt: a schedule file with a "device" is one.
#
# Sets for the parent: HNORM_DEVICE_OBJECTS, HNORM_DEVICE_TABLE (a source), HNORM_DEVICE_RUNTIME (an object). Target
# hnorm_device_kernels makes them.
include(DeviceTable)

set(default_devices cuda opencl)
if(CMAKE_CROSSCOMPILING)
    set(default_devices "")
endif()
set(HNORM_DEVICES "${default_devices}" CACHE STRING "The devices that there are kernels for: cuda;opencl, none if empty")

set(device_objects "")
set(device_declarations "")
set(device_rows "")
json_array(device_features "${manifest_json}" device_features)
list(JOIN device_features "-" device_features)
hnorm_read_device_kernels(device_kernels "${manifest_json}")
hnorm_read_device_kernels(device_group_kernels "${manifest_json}")
foreach(device IN LISTS HNORM_DEVICES)
    set(schedule "${PROJECT_SOURCE_DIR}/schedules/${device}.json")
    if(NOT EXISTS "${schedule}")
        message(FATAL_ERROR "HNORM_DEVICES names ${device}, but schedules/ has no ${device}.json")
    endif()
    hnorm_read_schedule("${schedule}")
    hnorm_add_device()
endforeach()
set(device_table "${CMAKE_CURRENT_BINARY_DIR}/device_table.cpp")
hnorm_write_device_table("${device_table}")

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
