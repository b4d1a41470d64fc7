# The devices' part of the dispatch table (runtime/src/device_kernels.h), included by
# KernelTable.cmake, whose functions it calls.

# The knob fused_groups that the schedule file gives an operation's fused kernels, as an array by
# class. 0: the class has none.
function(hnorm_fused_groups out space_json operation type)
    string(JSON default GET "${space_json}" knobs fused_groups default)
    set(groups "")
    foreach(planes IN LISTS planes_classes)
        set(of_class 0)
        if(planes IN_LIST device_planes_of_fused_${operation})
            hnorm_knobs(knobs fused_${operation} ${planes} ${type})
            hnorm_merge(knobs fused_groups=${default} ${knobs})
            list(FILTER knobs INCLUDE REGEX "^fused_groups=")
            string(REPLACE "fused_groups=" "" of_class "${knobs}")
        endif()
        list(APPEND groups ${of_class})
    endforeach()
    list(JOIN groups ", " groups)
    set(${out} "{${groups}}" PARENT_SCOPE)
endfunction()

# hnorm_add_device(NAME): sets dispatch_of_NAME, of the device of the schedule file just read
macro(hnorm_add_device name)
    set(dispatch_of_${name} "")
    json_items(operations GET "${gpu_space_json}" dispatch operations)
    foreach(operation IN LISTS operations)
        string(APPEND dispatch_of_${name} "        .${operation} =\n            {\n")
        foreach(type IN LISTS element_types)
            hnorm_dispatch_fields(values "${gpu_space_json}" ${operation} ${type})
            hnorm_fused_groups(groups "${gpu_space_json}" ${operation} ${type})
            string(APPEND dispatch_of_${name} "                {${values}, .fused_groups = ${groups}},\n")
        endforeach()
        string(APPEND dispatch_of_${name} "            },\n")
    endforeach()
endmacro()

# hnorm_devices_source(OUT NAMESPACE NAME): a DeviceKernels for each of device_rows
function(hnorm_devices_source out namespace name)
    set(table "")
    set(declarations "")
    foreach(row IN LISTS device_rows)
        string(APPEND table "    {\n        .name = \"${row}\",\n${dispatch_of_${row}}        .of =\n            {\n")
        foreach(type IN LISTS element_types)
            string(APPEND table "                {\n                    // ${type}\n")
            foreach(kernel IN LISTS device_kernels)
                hnorm_classes(symbols ${row} ${kernel} ${type})
                string(APPEND table "                    .${kernel} = {${symbols}},\n")
            endforeach()
            string(APPEND table "                },\n")
        endforeach()
        string(APPEND table "            },\n")
        foreach(kernel IN LISTS device_group_kernels)
            string(APPEND table "        .${kernel} = ${symbol_${row}_${kernel}},\n")
        endforeach()
        string(APPEND table "    },\n")
    endforeach()
    foreach(kernel IN LISTS device_kernels device_group_kernels)
        string(APPEND declarations "${device_declarations_${kernel}}")
    endforeach()
    string(CONFIGURE [=[
// Made by cmake/DeviceTable.cmake from generators/kernels.json and schedules/: edit those.
#include <type_traits>

#include "device_kernels.h"

extern "C" {
@declarations@}

namespace @namespace@ {

const hnorm::detail::DeviceKernels @name@[] = {
@table@};
const int @name@_count = sizeof(@name@) / sizeof(@name@[0]);

}  // namespace @namespace@
]=] source @ONLY)
    set(${out} "${source}" PARENT_SCOPE)
endfunction()
