# hnorm_write_space(SPACE FILE): the knobs of schedules/space/cpu.json as the macros that schedules/cpu_knobs.h reads.
include(KernelTable) # json_array

function(hnorm_write_space space file)
    file(READ "${space}" json)

    set(knobs "")
    string(JSON count LENGTH "${json}" knobs)
    math(EXPR last "${count} - 1")
    foreach(i RANGE ${last})
        string(JSON name MEMBER "${json}" knobs ${i})
        string(JSON default GET "${json}" knobs ${name} default)
        if(default STREQUAL "target")
            set(default hnorm::kOfTarget)
        endif()
        json_array(values "${json}" knobs ${name} values)
        list(JOIN values ", " values)
        string(APPEND knobs " \\\n    X(${name}, ${default}, ${values})")
    endforeach()

    json_array(names "${json}" vectors names)
    list(TRANSFORM names REPLACE "(.+)" " \\\\\n    X(\\1)" OUTPUT_VARIABLE vectors)
    list(JOIN vectors "" vectors)

    set(ordered "")
    string(JSON count LENGTH "${json}" ordered pairs)
    math(EXPR last "${count} - 1")
    foreach(i RANGE ${last})
        json_array(pair "${json}" ordered pairs ${i})
        list(JOIN pair ", " pair)
        string(APPEND ordered " \\\n    X(${pair})")
    endforeach()

    file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Made by CMake from @space@: edit that.
#pragma once

// X(name, default, legal values...)
#define HNORM_KNOBS(X)@knobs@

// X(name): follows the target's vector
#define HNORM_VECTOR_KNOBS(X)@vectors@

// X(less, more): the first is never more than the second
#define HNORM_ORDERED_KNOBS(X)@ordered@
]=])
endfunction()
