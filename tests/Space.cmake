# The space of the schedules' knobs (schedules/space/): what is not legal is refused, and nothing
# that is legal changes a bit.
if(CMAKE_CROSSCOMPILING)
    return() # of the machine that builds: its own build has them
endif()

function(hnorm_test_refused name message generator features)
    add_test(
        NAME "space: ${name}"
        COMMAND hnorm_generators -g ${generator} -f refused -e object -o "${CMAKE_CURRENT_BINARY_DIR}"
                target=x86-64-linux-no_runtime${features} ${ARGN}
    )
    set_tests_properties("space: ${name}" PROPERTIES PASS_REGULAR_EXPRESSION "${message}")
endfunction()

hnorm_test_refused(
    "a value that is not listed is refused by the knob's name" "knob vector is 5: it must be one of 4, 8, 16" moments ""
    vector=5
)
hnorm_test_refused(
    "vectors of more than twice the target's are refused"
    "knob vector is 16: it must be at most 8, twice the target's vector" moments "" vector=16
)
hnorm_test_refused(
    "knobs out of order are refused" "knob lane_block is 4: it must be at least vector, which is 8" moments "" vector=8
    lane_block=4
)
set(gpu -opencl-cl_doubles)
hnorm_test_refused(
    "a device's value that is not listed is refused by the knob's name"
    "knob merge_runs is 3: it must be one of 1, 2, 4, 8" device_moments ${gpu} merge_runs=3
)
hnorm_test_refused(
    "blocks of more threads than a device has are refused"
    "knob chunk_groups is 4: it must be at most 1 where lanes is 512: a block has at most 512 threads" device_moments ${gpu}
    planes=large chunk_groups=4
)
hnorm_test_refused(
    "pointwise blocks of more threads than a device has are refused"
    "knob store_threads is 64: it must be at most 16 where store_rows is 32: a block has at most 512 threads" normalize
    ${gpu} store_threads=64 store_rows=32
)

# The bench's other schedule needs no knobs. Its kernels are compiled when somebody asks for them.
foreach(generator IN ITEMS probe moments normalize backward_reduce backward_apply activation_backward)
    add_test(
        NAME "space: ${generator} compiles with the naive schedule"
        COMMAND hnorm_generators -g ${generator} -f naive -e object -o "${CMAKE_CURRENT_BINARY_DIR}"
                target=x86-64-linux-no_runtime-sse41 scheduler=naive
    )
endforeach()

# What a schedule file names must exist: a slip would pass for a default. CMake breaks the lines of
# its messages.
function(hnorm_test_schedule name message json)
    add_test(NAME "space: ${name}" COMMAND "${CMAKE_COMMAND}" -D "JSON=${json}" -P "${CMAKE_CURRENT_SOURCE_DIR}/check_schedule.cmake")
    if(message)
        set_tests_properties("space: ${name}" PROPERTIES PASS_REGULAR_EXPRESSION "${message}")
    endif()
endfunction()
hnorm_test_schedule("a schedule file may name nothing" "" "{}")
hnorm_test_schedule(
    "a kernel that there is none of is refused" "schedules/test.json: kernels has 'moment': it must be one of probe"
    [[{"kernels": {"moment": {}}}]]
)
hnorm_test_schedule(
    "a class that a kernel has not is refused" "kernels.moments has 'huge': it must be one of tiny"
    [[{"kernels": {"moments": {"huge": {}}}}]]
)
hnorm_test_schedule(
    "a knob that a kernel does not read is refused" "kernels.moments.tiny.f16 has 'sweep': it must be one"
    [[{"kernels": {"moments": {"tiny": {"vector": 4, "f16": {"sweep": 8}}}}}]]
)
hnorm_test_schedule(
    "a value of a schedule file that is not legal is refused" "kernels.moments.tiny: knob vector is 5: it must be one"
    [[{"kernels": {"moments": {"tiny": {"vector": 5}}}}]]
)
hnorm_test_schedule(
    "a dispatch value that there is none of is refused" "dispatch.backward has 'serial': it must be one of"
    [[{"dispatch": {"serial_below": 0, "backward": {"f16": {"block_elements": 4096}, "serial": 1}}}]]
)

# With the tuner's own means, which need nothing that requirements.txt has not.
find_program(HNORM_PYTHON python PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH)
set(check_space "${HNORM_PYTHON}" -m tune.check_space --build "${PROJECT_BINARY_DIR}")
if(NOT HNORM_PYTHON)
    set(check_space "${CMAKE_COMMAND}" -E echo "skipped: no python in .venv, where ./dev puts it")
endif()
function(hnorm_test_python name file)
    set(check
        "${CMAKE_COMMAND}" -E env "PYTHONPATH=${PROJECT_SOURCE_DIR}" "HNORM_BUILD=${PROJECT_BINARY_DIR}"
        "HNORM_FAKE_CUDA=${fake_cuda}" "${HNORM_PYTHON}" -m unittest tests/${file}
    )
    if(NOT HNORM_PYTHON)
        set(check ${check_space})
    endif()
    add_test(NAME "${name}" COMMAND ${check} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties("${name}" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " TIMEOUT 600)
endfunction()
foreach(program IN ITEMS against bench gpu model tune)
    hnorm_test_python("${program}: what it promises of itself" check_${program}.py)
endforeach()
hnorm_test_python("tune: nothing that fails stops it" check_tune_failures.py) # needs tune/requirements.txt besides
add_test(NAME "space: random points give the same bits" COMMAND ${check_space} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties("space: random points give the same bits" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " TIMEOUT 600)

if(HNORM_DEVICES)
    if(HNORM_PYTHON)
        list(APPEND check_space --device --points 4 --rows 5)
    endif()
    set(name "space: random points of devices give the same bits")
    add_test(NAME "${name}" COMMAND ${check_space} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties("${name}" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " TIMEOUT 600 LABELS device)
endif()
