# hnorm_write_cpu_space(JSON FILE), hnorm_write_gpu_space(JSON FILE): the knobs of schedules/space/
# as the macros that schedules/cpu_knobs.h and schedules/gpu_knobs.h read.
include(Manifest)

# The lines X(name, default, legal values...) of a space's knobs.
function(hnorm_knob_lines out json)
    set(knobs "")
    json_items(names MEMBER "${json}" knobs)
    foreach(name IN LISTS names)
        string(JSON default GET "${json}" knobs ${name} default)
        if(default STREQUAL "target")
            set(default hnorm::kOfTarget)
        endif()
        json_items(values GET "${json}" knobs ${name} values)
        list(JOIN values ", " values)
        string(APPEND knobs " \\\n    X(${name}, ${default}, ${values})")
    endforeach()
    set(${out} "${knobs}" PARENT_SCOPE)
endfunction()

# The lines X(value, value, ...) of an array of arrays.
function(hnorm_tuple_lines out json)
    set(lines "")
    json_items(tuples GET "${json}" ${ARGN})
    foreach(tuple IN LISTS tuples)
        json_items(tuple GET "${tuple}")
        list(JOIN tuple ", " tuple)
        string(APPEND lines " \\\n    X(${tuple})")
    endforeach()
    set(${out} "${lines}" PARENT_SCOPE)
endfunction()

function(hnorm_write_cpu_space json file)
    hnorm_knob_lines(knobs "${json}")
    json_items(names GET "${json}" vectors names)
    list(TRANSFORM names REPLACE "(.+)" " \\\\\n    X(\\1)" OUTPUT_VARIABLE vectors)
    list(JOIN vectors "" vectors)
    hnorm_tuple_lines(ordered "${json}" ordered pairs)
    file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Made by CMake from schedules/space/: edit that.
#pragma once

// X(name, default, legal values...)
#define HNORM_CPU_KNOBS(X)@knobs@

// X(name): follows the target's vector
#define HNORM_VECTOR_KNOBS(X)@vectors@

// X(less, more): the first is never more than the second
#define HNORM_ORDERED_KNOBS(X)@ordered@
]=])
endfunction()

function(hnorm_write_gpu_space json file)
    hnorm_knob_lines(knobs "${json}")
    string(JSON threads GET "${json}" blocks threads)
    hnorm_tuple_lines(products "${json}" blocks products)
    json_values(lanes "${json}" blocks lanes)
    list(TRANSFORM lanes REPLACE "(.+)=(.+)" " \\\\\n    X(\\1, \\2)")
    list(JOIN lanes "" lanes)
    file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Made by CMake from schedules/space/: edit that.
#pragma once

// X(name, default, legal values...)
#define HNORM_GPU_KNOBS(X)@knobs@

// Of a block, at most
#define HNORM_BLOCK_THREADS @threads@

// X(knob, other): their product is a number of threads
#define HNORM_BLOCK_PRODUCTS(X)@products@

// X(planes, lanes)
#define HNORM_BLOCK_LANES(X)@lanes@
]=])
endfunction()
