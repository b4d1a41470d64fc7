# cmake -D JSON=SCHEDULE -P check_schedule.cmake: whether the build takes a schedule file of a CPU
# with this text
#
# cmake -D FILE=FILE -D JSON=TEXT -P check_schedule.cmake: the same of a file of schedules/by_cpu
cmake_minimum_required(VERSION 3.28)
set(root "${CMAKE_CURRENT_LIST_DIR}/..")
include("${root}/cmake/Manifest.cmake")
file(READ "${root}/schedules/space/cpu.json" cpu_space_json)
hnorm_read_manifest("${root}/generators/kernels.json")
if(FILE)
    file(WRITE "${FILE}" "${JSON}")
    hnorm_read_schedule("${root}/schedules/x86-64-avx2.json")
    hnorm_read_schedule_of_cpus("${FILE}")
    message("for ${schedule_cpus}")
else()
    set(FILE test.json)
    set(schedule_json "${JSON}")
endif()
hnorm_check_schedule("${FILE}" kernels "" "${cpu_space_json}")
foreach(slot IN LISTS SHOWN)
    string(REPLACE "/" ";" slot "${slot}")
    hnorm_knobs(knobs ${slot})
    message("${slot}: ${knobs}")
endforeach()
