# The writer of dispatch tables (runtime/src/kernels.h, device_kernels.h), for the build, which
# includes this file, and for the tuner, whose tables have a row for each of its candidates:
#
#   cmake -D TABLE=FILE -D OUT=FILE -P KernelTable.cmake
#
# Both set rows and device_rows, the names of the rows; for each kernel of a row
# symbol_ROW_KERNEL_PLANES_TYPE, and for those of groups on devices symbol_ROW_KERNEL; and
# declarations_KERNEL (hnorm_add_symbol). A row has no other kernels. TABLE, a script of the
# tuner's, sets besides: schedule_file, whose CPU features, dispatch values and fused_groups all
# rows have; dispatch_overrides; code that comes first (prelude); and, where there are device_rows,
# the table's namespace and name (devices_namespace, devices).
cmake_policy(VERSION 3.28) # as a script it has no project's
include("${CMAKE_CURRENT_LIST_DIR}/Manifest.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/DeviceTable.cmake")

# hnorm_add_symbol(PREFIX KERNEL SLOT ROW SYMBOL): SLOT is KERNEL_PLANES_TYPE or KERNEL. What has a
# scope in C++ is declared already.
macro(hnorm_add_symbol prefix kernel slot row symbol)
    set("symbol_${row}_${slot}" "${symbol}")
    if(NOT "${symbol}" MATCHES "::")
        string(APPEND ${prefix}declarations_${kernel} "std::remove_pointer_t<hnorm::detail::${${prefix}signature_of_${kernel}}> ${symbol};\n")
    endif()
endmacro()

# A row's kernels by class, as "a, nullptr, b, c"
function(hnorm_classes out row kernel type)
    set(symbols "")
    foreach(planes IN LISTS planes_classes)
        set(symbol "symbol_${row}_${kernel}_${planes}_${type}")
        if(NOT DEFINED ${symbol})
            set(${symbol} nullptr)
        endif()
        list(APPEND symbols "${${symbol}}")
    endforeach()
    list(JOIN symbols ", " symbols)
    set(${out} "${symbols}" PARENT_SCOPE)
endfunction()

# hnorm_names(OUT NAME...): an array's initializer
function(hnorm_names out)
    set(names ${ARGN})
    list(TRANSFORM names REPLACE "(.+)" "\"\\1\", ")
    list(JOIN names "" names)
    set(${out} "{${names}nullptr}" PARENT_SCOPE)
endfunction()

# As the fields of Dispatch or DeviceDispatch.
function(hnorm_dispatch_fields out space_json operation type)
    hnorm_dispatch(values "${space_json}" ${operation} ${type})
    list(TRANSFORM values REPLACE "(.+)=(.+)" ".\\1 = \\2")
    list(JOIN values ", " values)
    set(${out} "${values}" PARENT_SCOPE)
endfunction()

# hnorm_add_target(NAME INDEX [SCHEDULES]): appends the target of the schedule file just read to
# target_arrays and target_rows. INDEX: of its kernels in the rows, -1 where the library does not
# have them. SCHEDULES: those for some CPUs, of hnorm_add_schedule
macro(hnorm_add_target name index)
    hnorm_add_features(${name})
    hnorm_row_of_target(row ${name} ${index} ${name} nullptr "${ARGN}")
    string(APPEND target_rows "${row}")
    if(NOT "${ARGN}" STREQUAL "")
        string(MAKE_C_IDENTIFIER "schedules_${name}" array)
        string(APPEND target_arrays "const Target ${array}[] = {\n${ARGN}};\n")
    endif()
endmacro()
macro(hnorm_add_features name)
    json_items(cpu_features GET "${schedule_json}" cpu_features)
    hnorm_names(cpu_features ${cpu_features})
    string(MAKE_C_IDENTIFIER "features_${name}" array)
    string(APPEND target_arrays "const char *const ${array}[] = ${cpu_features};\n")
endmacro()

# hnorm_add_schedule(LIST TARGET INDEX SCHEDULE CPU...): appends the values of a file of
# schedules/by_cpu, just read, to LIST.
macro(hnorm_add_schedule list target index schedule)
    hnorm_names(cpus ${ARGN})
    string(MAKE_C_IDENTIFIER "cpus_${schedule}" array)
    string(APPEND target_arrays "const char *const ${array}[] = ${cpus};\n")
    hnorm_row_of_target(row ${target} ${index} ${schedule} ${array} "")
    string(APPEND ${list} "${row}")
endmacro()

function(hnorm_row_of_target out name index schedule cpus schedules)
    string(MAKE_C_IDENTIFIER "features_${name}" features)
    set(row "    {\n        .name = \"${name}\",\n        .features = ${features},\n        .index = ${index},\n")
    string(APPEND row "        .schedule = \"${schedule}\",\n        .cpus = ${cpus},\n")
    if(schedules STREQUAL "")
        string(APPEND row "        .schedule_count = 0,\n        .schedules = nullptr,\n")
    else()
        string(MAKE_C_IDENTIFIER "schedules_${name}" array)
        string(APPEND row "        .schedule_count = sizeof(${array}) / sizeof(Target),\n        .schedules = ${array},\n")
    endif()
    string(APPEND row "        .pack = nullptr,\n        .dispatch =\n            {\n")
    json_items(operations GET "${cpu_space_json}" dispatch operations)
    foreach(operation IN LISTS operations)
        string(APPEND row "                {\n                    // ${operation}\n")
        foreach(type IN LISTS element_types)
            hnorm_dispatch_fields(values "${cpu_space_json}" ${operation} ${type})
            string(APPEND row "                    {${values}},\n")
        endforeach()
        string(APPEND row "                },\n")
    endforeach()
    set(${out} "${row}            },\n    },\n" PARENT_SCOPE)
endfunction()

# hnorm_targets_source(OUT DIGEST)
function(hnorm_targets_source out digest)
    string(CONFIGURE [=[
// Made by cmake/KernelTable.cmake from generators/kernels.json and schedules/: edit those.
#include "kernels.h"

namespace hnorm::detail {

namespace {
@target_arrays@}  // namespace

const Target hnorm_targets[] = {
@target_rows@};
const int hnorm_targets_count = sizeof(hnorm_targets) / sizeof(hnorm_targets[0]);
const char hnorm_kernels_digest[] = "@digest@";

}  // namespace hnorm::detail
]=] source @ONLY)
    set(${out} "${source}" PARENT_SCOPE)
endfunction()

# hnorm_types_source(OUT TYPE...): the types that there are kernels for
function(hnorm_types_source out)
    set(has "")
    set(names "")
    set(number 0)
    foreach(type IN LISTS element_types)
        string(TOUPPER "HNORM_${type} (${number})" name)
        if(type IN_LIST ARGN)
            list(APPEND has true)
            list(APPEND names "${name}")
        else()
            list(APPEND has false)
        endif()
        math(EXPR number "${number} + 1")
    endforeach()
    list(JOIN has ", " has)
    list(JOIN names ", " names)
    string(REGEX REPLACE "(.*), " "\\1 and " names "${names}")
    string(CONFIGURE [=[
// Made by cmake/KernelTable.cmake from generators/kernels.json and HNORM_TYPES.
#include "kernels.h"

extern "C" {
const bool hnorm::detail::hnorm_has_type[] = {@has@};
const char hnorm::detail::hnorm_types_in_words[] = "@names@";
}
]=] source @ONLY)
    set(${out} "${source}" PARENT_SCOPE)
endfunction()

function(hnorm_kernel_source out kernel)
    set(table "")
    foreach(row IN LISTS rows)
        string(APPEND table "    {{\n        // ${row}\n")
        foreach(type IN LISTS element_types)
            hnorm_classes(symbols ${row} ${kernel} ${type})
            string(APPEND table "        {${symbols}},\n")
        endforeach()
        string(APPEND table "    }},\n")
    endforeach()
    set(declarations "${declarations_${kernel}}")
    list(FIND kernels ${kernel} number)
    set(signature ${signature_of_${kernel}})
    string(CONFIGURE [=[
// Made by cmake/KernelTable.cmake from generators/kernels.json and schedules/: edit those.
#include <type_traits>

#include "kernels.h"

extern "C" {
@declarations@}

namespace hnorm::detail {

const Kernels<@signature@, KernelId(@number@)> hnorm_kernels_@kernel@[] = {
@table@};

}  // namespace hnorm::detail
]=] source @ONLY)
    set(${out} "${source}" PARENT_SCOPE)
endfunction()

# What wisdom files are tied to (runtime/src/wisdom.h)
function(hnorm_build_name_source out name)
    string(CONFIGURE [=[
// Made by cmake/KernelTable.cmake.
#include "wisdom.h"

extern "C" const char hnorm::detail::hnorm_build_name[] = "@name@";
]=] source @ONLY)
    set(${out} "${source}" PARENT_SCOPE)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    return()
endif()
set(root "${CMAKE_CURRENT_LIST_DIR}/..")
file(READ "${root}/schedules/space/cpu.json" cpu_space_json)
file(READ "${root}/schedules/space/gpu.json" gpu_space_json)
hnorm_read_manifest("${root}/generators/kernels.json")
include("${TABLE}")
hnorm_read_schedule("${schedule_file}")
set(index 0)
foreach(row IN LISTS rows)
    hnorm_add_target(${row} ${index})
    math(EXPR index "${index} + 1")
endforeach()
hnorm_kernels_digest(digest "${root}")
hnorm_targets_source(sources ${digest})
hnorm_build_name_source(source candidates) # no wisdom is for them
string(APPEND sources "${source}")
hnorm_types_source(source ${element_types})
string(APPEND sources "${source}")
foreach(kernel IN LISTS kernels)
    hnorm_kernel_source(source ${kernel})
    string(APPEND sources "${source}")
endforeach()
if(device_rows)
    foreach(row IN LISTS device_rows)
        hnorm_add_device(${row})
    endforeach()
    hnorm_devices_source(source ${devices_namespace} ${devices})
    string(APPEND sources "${source}")
endif()
file(WRITE "${OUT}" "${prelude}\n${sources}")
