# cmake -D JSON=SCHEDULE -P check_schedule.cmake: whether the build takes a schedule file of a CPU with this text
cmake_minimum_required(VERSION 3.28)
set(root "${CMAKE_CURRENT_LIST_DIR}/..")
include("${root}/cmake/Manifest.cmake")
file(READ "${root}/schedules/space/cpu.json" cpu_space_json)
hnorm_read_manifest("${root}/generators/kernels.json")
set(schedule_json "${JSON}")
hnorm_check_schedule("test.json" kernels "" "${cpu_space_json}")
