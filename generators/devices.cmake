# The kernels of devices, included by CMakeLists.txt: a schedule file with a "device" is one. Adds to HNORM_DEVICE_OBJECTS;
# writes HNORM_DEVICE_TABLE.
include(DeviceTable)

set(HNORM_DEVICES "cuda;opencl" CACHE STRING "The devices that the library hnorm_gpu has kernels for: cuda;opencl, none if empty")

set(device_objects "")
set(device_declarations "")
set(device_rows "")
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

add_custom_target(hnorm_device_kernels DEPENDS ${device_objects})
set(HNORM_DEVICE_OBJECTS ${device_objects} PARENT_SCOPE)
set(HNORM_DEVICE_TABLE "${device_table}" PARENT_SCOPE)
