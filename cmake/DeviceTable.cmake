# Reads the manifest's kernels of devices (generators/kernels.json) and the schedule files that name a device, and writes
# their dispatch table. After KernelTable, whose functions it uses.

# Sets LIST, and for each kernel of it device_generator_of_, device_signature_of_, device_table_of_, device_planes_of_ and
# device_parameters_of_KERNEL.
macro(hnorm_read_device_kernels list json)
    set(${list} "")
    string(JSON device_kernel_count LENGTH "${json}" ${list})
    math(EXPR device_kernel_last "${device_kernel_count} - 1")
    foreach(i RANGE ${device_kernel_last})
        string(JSON kernel GET "${json}" ${list} ${i} name)
        list(APPEND ${list} ${kernel})
        string(JSON device_generator_of_${kernel} GET "${json}" ${list} ${i} generator)
        string(JSON device_signature_of_${kernel} GET "${json}" ${list} ${i} signature)
        string(JSON device_table_of_${kernel} GET "${json}" ${list} ${i} table)
        json_assignments(device_parameters_of_${kernel} "${json}" ${list} ${i} parameters)
        set(device_planes_of_${kernel} "")
        string(JSON none ERROR_VARIABLE without_planes GET "${json}" ${list} ${i} planes)
        if(without_planes STREQUAL "NOTFOUND")
            json_array(device_planes_of_${kernel} "${json}" ${list} ${i} planes)
        endif()
    endforeach()
endmacro()

# The object of one kernel, and its row of declarations: the name is in `symbol`.
macro(hnorm_add_device_kernel kernel symbol_parts)
    string(MAKE_C_IDENTIFIER "hnorm_kernel_${symbol_parts}_${target}" symbol)
    set(object "${folder}/${symbol}${CMAKE_CXX_OUTPUT_EXTENSION}")
    add_custom_command(
        OUTPUT "${object}" "${folder}/${symbol}.stmt"
        COMMAND hnorm_generators -g ${device_generator_of_${kernel}} -f ${symbol} -o "${folder}" -e object,stmt,c_header
                target=${halide_target}-${device_features} ${device_parameters_of_${kernel}} ${ARGN}
        DEPENDS hnorm_generators
        COMMENT "Kernel ${symbol_parts}, ${target}"
        VERBATIM
    )
    list(APPEND device_objects "${object}")
    string(APPEND device_declarations "std::remove_pointer_t<hnorm::detail::${device_signature_of_${kernel}}> ${symbol};\n")
endmacro()

# One device: appends to device_objects, device_declarations and device_rows. Wants target, halide_target, schedule_json.
macro(hnorm_add_device)
    string(APPEND device_rows "    {\n        .name = \"${target}\",\n")
    list(JOIN element_types "|" element_pattern)
    string(APPEND device_rows "        .of =\n            {\n")
    foreach(type IN LISTS element_types)
        string(APPEND device_rows "                {\n")
        foreach(kernel IN LISTS device_kernels)
            set(row "")
            foreach(planes IN LISTS planes_classes)
                if(planes IN_LIST device_planes_of_${kernel})
                    hnorm_knobs(knobs ${kernel} ${planes} ${type})
                    hnorm_add_device_kernel(
                        ${kernel} "${kernel}_${planes}_${type}" planes=${planes} element=${type} ${knobs}
                    )
                    list(APPEND row ${symbol})
                else()
                    list(APPEND row nullptr)
                endif()
            endforeach()
            list(JOIN row ", " row)
            string(APPEND device_rows "                    .${device_table_of_${kernel}} = {${row}},\n")
        endforeach()
        string(APPEND device_rows "                },\n")
    endforeach()
    string(APPEND device_rows "            },\n")
    foreach(kernel IN LISTS device_group_kernels)
        hnorm_add_device_kernel(${kernel} "${kernel}")
        string(APPEND device_rows "        .${device_table_of_${kernel}} = ${symbol},\n")
    endforeach()
    string(APPEND device_rows "    },\n")
endmacro()

function(hnorm_write_device_table file)
    file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Made by CMake from generators/kernels.json and schedules/*.json: edit those.
#include "device_kernels.h"

#include <type_traits>

extern "C" {
@device_declarations@}

namespace hnorm::detail {

const DeviceKernels hnorm_devices[] = {
@device_rows@};
const int hnorm_devices_count = sizeof(hnorm_devices) / sizeof(hnorm_devices[0]);

}  // namespace hnorm::detail
]=])
endfunction()
