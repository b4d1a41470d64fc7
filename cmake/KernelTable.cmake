# Reads the manifest (generators/kernels.json) and the schedule files, and writes the dispatch table from them.

# hnorm_targets_best_first(OUT FILE...): schedule files of CPUs by their "rank", the highest first
function(hnorm_targets_best_first out)
    set(ranked "")
    foreach(file IN LISTS ARGN)
        file(READ "${file}" json)
        string(JSON device ERROR_VARIABLE of_cpu GET "${json}" device)
        if(of_cpu STREQUAL "NOTFOUND")
            continue()
        endif()
        string(JSON rank GET "${json}" rank)
        list(APPEND ranked "${rank}|${file}")
    endforeach()
    list(SORT ranked COMPARE NATURAL ORDER DESCENDING)
    list(TRANSFORM ranked REPLACE "^[0-9]+\\|" "")
    set(${out} ${ranked} PARENT_SCOPE)
endfunction()

# json_array(OUT JSON PATH...): an array of strings as a list
function(json_array out json)
    string(JSON count LENGTH "${json}" ${ARGN})
    set(values "")
    if(count GREATER 0)
        math(EXPR last "${count} - 1")
        foreach(i RANGE ${last})
            string(JSON value GET "${json}" ${ARGN} ${i})
            list(APPEND values "${value}")
        endforeach()
    endif()
    set(${out} ${values} PARENT_SCOPE)
endfunction()

# json_assignments(OUT JSON PATH...): an object as a list of name=value
function(json_assignments out json)
    string(JSON count LENGTH "${json}" ${ARGN})
    set(values "")
    if(count GREATER 0)
        math(EXPR last "${count} - 1")
        foreach(i RANGE ${last})
            string(JSON name MEMBER "${json}" ${ARGN} ${i})
            string(JSON value GET "${json}" ${ARGN} ${name})
            list(APPEND values "${name}=${value}")
        endforeach()
    endif()
    set(${out} ${values} PARENT_SCOPE)
endfunction()

# Sets kernels, planes_classes, element_types, and for each kernel generator_of_, signature_of_, table_of_, planes_of_ and
# parameters_of_KERNEL.
macro(hnorm_read_manifest file)
    file(READ "${file}" manifest_json)
    json_array(planes_classes "${manifest_json}" planes)
    json_array(element_types "${manifest_json}" types)
    set(kernels "")
    string(JSON kernel_count LENGTH "${manifest_json}" kernels)
    math(EXPR kernel_last "${kernel_count} - 1")
    foreach(kernel_index RANGE ${kernel_last})
        string(JSON kernel GET "${manifest_json}" kernels ${kernel_index} name)
        list(APPEND kernels ${kernel})
        string(JSON generator_of_${kernel} GET "${manifest_json}" kernels ${kernel_index} generator)
        string(JSON signature_of_${kernel} GET "${manifest_json}" kernels ${kernel_index} signature)
        string(JSON table_of_${kernel} GET "${manifest_json}" kernels ${kernel_index} table)
        json_array(planes_of_${kernel} "${manifest_json}" kernels ${kernel_index} planes)
        json_assignments(parameters_of_${kernel} "${manifest_json}" kernels ${kernel_index} parameters)
    endforeach()
endmacro()

# Sets target, halide_target and schedule_json.
macro(hnorm_read_schedule file)
    file(READ "${file}" schedule_json)
    string(JSON target GET "${schedule_json}" target)
    string(JSON halide_arch GET "${schedule_json}" halide_arch)
    json_array(halide_features "${schedule_json}" halide_features)
    list(JOIN halide_features "-" halide_features)
    set(halide_target "${halide_arch}-linux-${halide_features}")
endmacro()

# hnorm_knobs(OUT KERNEL PLANES TYPE): the schedule file's values as name=value; an object named by the type replaces some
function(hnorm_knobs out kernel planes type)
    json_assignments(values "${schedule_json}" kernels ${kernel} ${planes})
    string(JSON replaced ERROR_VARIABLE none GET "${schedule_json}" kernels ${kernel} ${planes} ${type})
    list(FILTER values EXCLUDE REGEX "^(${element_pattern})=")
    if(none STREQUAL "NOTFOUND")
        json_assignments(own "${replaced}")
        foreach(value IN LISTS own)
            string(REGEX REPLACE "=.*" "" name "${value}")
            list(FILTER values EXCLUDE REGEX "^${name}=")
            list(APPEND values "${value}")
        endforeach()
    endif()
    set(${out} ${values} PARENT_SCOPE)
endfunction()

macro(hnorm_table_begin_row)
    list(JOIN element_types "|" element_pattern)
    foreach(kernel IN LISTS kernels)
        foreach(type IN LISTS element_types)
            set(row_${kernel}_${type} "")
        endforeach()
    endforeach()
endmacro()

macro(hnorm_table_add kernel type symbol)
    string(APPEND table_declarations "std::remove_pointer_t<hnorm::detail::${signature_of_${kernel}}> ${symbol};\n")
    list(APPEND row_${kernel}_${type} ${symbol})
endmacro()
# where the manifest has no such kernel
macro(hnorm_table_add_none kernel type)
    list(APPEND row_${kernel}_${type} nullptr)
endmacro()

macro(hnorm_table_end_row)
    json_array(cpu_features "${schedule_json}" cpu_features)
    list(JOIN cpu_features "\", \"" cpu_features)
    string(MAKE_C_IDENTIFIER "features_${target}" features_name)
    string(APPEND table_features "const char *const ${features_name}[] = {\"${cpu_features}\", nullptr};\n")
    string(APPEND table_rows "    {\n        .name = \"${target}\",\n        .features = ${features_name},\n")
    # How many channels a task of the groups kernels takes: the knob of their schedule, 1 where it has none.
    set(groups_per_task "")
    foreach(planes IN LISTS planes_classes)
        string(JSON block ERROR_VARIABLE none GET "${schedule_json}" kernels forward ${planes} group_block)
        if(NOT none STREQUAL "NOTFOUND")
            set(block 1)
        endif()
        list(APPEND groups_per_task ${block})
    endforeach()
    list(JOIN groups_per_task ", " groups_per_task)
    string(APPEND table_rows "        .groups_per_task = {${groups_per_task}},\n")
    json_assignments(dispatch "${schedule_json}" dispatch)
    foreach(value IN LISTS dispatch)
        string(REPLACE "=" " = " value "${value}")
        string(APPEND table_rows "        .${value},\n")
    endforeach()
    string(APPEND table_rows "        .of =\n            {\n")
    foreach(type IN LISTS element_types)
        string(APPEND table_rows "                {\n")
        foreach(kernel IN LISTS kernels)
            list(JOIN row_${kernel}_${type} ", " row)
            string(APPEND table_rows "                    .${table_of_${kernel}} = {${row}},\n")
        endforeach()
        string(APPEND table_rows "                },\n")
    endforeach()
    string(APPEND table_rows "            },\n    },\n")
endmacro()

function(hnorm_write_table file)
    file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Made by CMake from generators/kernels.json and schedules/*.json: edit those.
#include "kernels.h"

#include <type_traits>

extern "C" {
@table_declarations@}

namespace hnorm::detail {

namespace {
@table_features@}  // namespace

const TargetKernels kTargets[] = {
@table_rows@};
const int kTargetCount = sizeof(kTargets) / sizeof(kTargets[0]);

}  // namespace hnorm::detail
]=])
endfunction()
