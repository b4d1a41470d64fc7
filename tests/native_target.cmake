# cmake -D FOLDER=FOLDER -P native_target.cmake: HNORM_TARGETS=native takes the best target that a
# CPU runs, as its /proc/cpuinfo says
cmake_minimum_required(VERSION 3.28)
set(root "${CMAKE_CURRENT_LIST_DIR}/..")
include("${root}/cmake/Manifest.cmake")
file(GLOB schedules "${root}/schedules/*.json")

function(expect architecture features expected)
    file(WRITE "${FOLDER}/cpuinfo" "processor\t: 0\nmodel name\t: avx512f\n${features}\nbugs\t\t: avx2\n")
    hnorm_targets_best_first(targets ${architecture} ${schedules})
    hnorm_native_target(found "${FOLDER}/cpuinfo" ${architecture} ${targets})
    if(NOT found STREQUAL expected)
        message(SEND_ERROR "'${features}' gives ${found}, and not ${expected}")
    endif()
endfunction()

set(avx2 "flags\t\t: fpu sse4_1 avx fma f16c avx2 avx512f")
expect(x86-64 "flags\t\t: fpu sse4_1 avx" x86-64-sse41)
expect(x86-64 "${avx2}" x86-64-avx2) # AVX-512F alone is not the target's AVX-512
expect(x86-64 "${avx2} avx512dq avx512cd avx512bw avx512vl" x86-64-avx512)
expect(arm-64 "Features\t: fp asimd" arm-64)
expect(arm-64 "Features\t: fp asimd fphp asimdhp" arm-64-fp16)
