# Reads the manifest (generators/kernels.json) and the schedule files, and writes the dispatch table from them.

# hnorm_targets_best_first(OUT ARCHITECTURE FILE...): schedule files of CPUs by their "rank", the highest first, but those of other
# architectures behind
function(hnorm_targets_best_first out architecture)
    set(ranked "")
    set(others "")
    foreach(file IN LISTS ARGN)
        file(READ "${file}" json)
        string(JSON device ERROR_VARIABLE of_cpu GET "${json}" device)
        if(of_cpu STREQUAL "NOTFOUND")
            continue()
        endif()
        string(JSON rank GET "${json}" rank)
        string(JSON arch GET "${json}" halide_arch)
        if(arch STREQUAL architecture)
            list(APPEND ranked "${rank}|${file}")
        else()
            list(APPEND others "${rank}|${file}")
        endif()
    endforeach()
    list(SORT ranked COMPARE NATURAL ORDER DESCENDING)
    list(SORT others COMPARE NATURAL ORDER DESCENDING)
    list(APPEND ranked ${others})
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

# Sets kernels, kernel_features, planes_classes, element_types, and for each kernel generator_of_, signature_of_, planes_of_ and
# parameters_of_KERNEL.
macro(hnorm_read_manifest file)
    file(READ "${file}" manifest_json)
    json_array(planes_classes "${manifest_json}" planes)
    json_array(element_types "${manifest_json}" types)
    json_array(kernel_features "${manifest_json}" features)
    # Halide's names of the sanitizers
    if(HNORM_SANITIZE MATCHES address)
        list(APPEND kernel_features asan)
    endif()
    if(HNORM_SANITIZE MATCHES thread)
        list(APPEND kernel_features tsan)
    endif()
    list(JOIN kernel_features "-" kernel_features)
    set(kernels "")
    string(JSON kernel_count LENGTH "${manifest_json}" kernels)
    math(EXPR kernel_last "${kernel_count} - 1")
    foreach(kernel_index RANGE ${kernel_last})
        string(JSON kernel GET "${manifest_json}" kernels ${kernel_index} name)
        list(APPEND kernels ${kernel})
        string(JSON generator_of_${kernel} GET "${manifest_json}" kernels ${kernel_index} generator)
        string(JSON signature_of_${kernel} GET "${manifest_json}" kernels ${kernel_index} signature)
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
    set(halide_target ${halide_arch} linux ${halide_features})
    list(JOIN halide_target "-" halide_target)
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

# The table: for each kernel a row, a source of its own (runtime/src/kernels.h), which hnorm_table_add fills while
# hnorm_table_begin_target and hnorm_table_end_target stand around a target's kernels; and the list of targets.
macro(hnorm_table_begin)
    list(JOIN element_types "|" element_pattern)
    set(table_index 0)
    set(table_features "")
    set(table_targets "")
    foreach(kernel IN LISTS kernels)
        set(table_declarations_${kernel} "")
        set(table_row_${kernel} "")
    endforeach()
endmacro()

macro(hnorm_table_begin_target)
    foreach(kernel IN LISTS kernels)
        foreach(type IN LISTS element_types)
            set(entries_${kernel}_${type} "")
        endforeach()
    endforeach()
endmacro()

macro(hnorm_table_add kernel type symbol)
    string(APPEND table_declarations_${kernel}
           "std::remove_pointer_t<hnorm::detail::${signature_of_${kernel}}> ${symbol};\n"
    )
    list(APPEND entries_${kernel}_${type} ${symbol})
endmacro()
# where the manifest has no such kernel
macro(hnorm_table_add_none kernel type)
    list(APPEND entries_${kernel}_${type} nullptr)
endmacro()

macro(hnorm_table_end_target)
    foreach(kernel IN LISTS kernels)
        string(APPEND table_row_${kernel} "    {\n        // ${target}\n")
        foreach(type IN LISTS element_types)
            list(JOIN entries_${kernel}_${type} ", " entries)
            string(APPEND table_row_${kernel} "        {${entries}},\n")
        endforeach()
        string(APPEND table_row_${kernel} "    },\n")
    endforeach()
    hnorm_table_add_target(${table_index})
    math(EXPR table_index "${table_index} + 1")
endmacro()

# The target of the schedule file just read; index: of its kernels in the rows, -1 where the library does not have them
macro(hnorm_table_add_target index)
    json_array(cpu_features "${schedule_json}" cpu_features)
    list(JOIN cpu_features "\", \"" cpu_features)
    string(MAKE_C_IDENTIFIER "features_${target}" features_name)
    string(APPEND table_features "const char *const ${features_name}[] = {\"${cpu_features}\", nullptr};\n")
    string(APPEND table_targets "    {\n        .name = \"${target}\",\n        .features = ${features_name},\n")
    string(APPEND table_targets "        .index = ${index},\n")
    json_assignments(dispatch "${schedule_json}" dispatch)
    foreach(value IN LISTS dispatch)
        string(REPLACE "=" " = " value "${value}")
        string(APPEND table_targets "        .${value},\n")
    endforeach()
    string(APPEND table_targets "    },\n")
endmacro()

# hnorm_write_table(OUT FOLDER): the sources
function(hnorm_write_table out folder)
    set(made_by "// Made by CMake from generators/kernels.json and schedules/*.json: edit those.\n#include \"kernels.h\"\n")
    set(sources "${folder}/targets.cpp")
    file(CONFIGURE OUTPUT "${folder}/targets.cpp" @ONLY CONTENT [=[
@made_by@
namespace hnorm::detail {

namespace {
@table_features@}  // namespace

const Target hnorm_targets[] = {
@table_targets@};
const int hnorm_targets_count = sizeof(hnorm_targets) / sizeof(hnorm_targets[0]);

}  // namespace hnorm::detail
]=])
    foreach(kernel IN LISTS kernels)
        set(signature ${signature_of_${kernel}})
        set(declarations "${table_declarations_${kernel}}")
        set(row "${table_row_${kernel}}")
        file(CONFIGURE OUTPUT "${folder}/kernels_${kernel}.cpp" @ONLY CONTENT [=[
@made_by@
#include <type_traits>

extern "C" {
@declarations@}

namespace hnorm::detail {

const @signature@ hnorm_kernels_@kernel@[@table_index@][kElementTypes][kPlaneClasses] = {
@row@};

}  // namespace hnorm::detail
]=])
        list(APPEND sources "${folder}/kernels_${kernel}.cpp")
    endforeach()
    set(${out} ${sources} PARENT_SCOPE)
endfunction()
