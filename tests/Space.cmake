# The space of the schedules' knobs (schedules/space/cpu.json): what is not legal is refused, and nothing that is legal changes
# a bit.
if(CMAKE_CROSSCOMPILING)
    return() # of the machine that builds: its own build has them
endif()

function(hnorm_test_refused name message)
    add_test(
        NAME "space: ${name}"
        COMMAND hnorm_generators -g forward -f refused -e object -o "${CMAKE_CURRENT_BINARY_DIR}"
                target=x86-64-linux-no_runtime ${ARGN}
    )
    set_tests_properties("space: ${name}" PROPERTIES PASS_REGULAR_EXPRESSION "${message}")
endfunction()

hnorm_test_refused(
    "a value that is not listed is refused by the knob's name" "knob vector is 5: it must be one of 4, 8, 16" vector=5
)
hnorm_test_refused(
    "vectors of more than twice the target's are refused"
    "knob vector is 16: it must be at most 8, twice the target's vector" vector=16
)
hnorm_test_refused(
    "knobs out of order are refused" "knob lane_block is 4: it must be at least vector, which is 8" vector=8 lane_block=4
)

# With the tuner's own means, which need nothing that requirements.txt has not.
find_program(HNORM_PYTHON python PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH)
set(check_space "${HNORM_PYTHON}" -m tune.check_space --build "${PROJECT_BINARY_DIR}")
if(NOT HNORM_PYTHON)
    set(check_space "${CMAKE_COMMAND}" -E echo "skipped: no python in .venv, where ./dev puts it")
endif()
set(check_tune "${CMAKE_COMMAND}" -E env "PYTHONPATH=${PROJECT_SOURCE_DIR}" "${HNORM_PYTHON}" -m unittest tests/check_tune.py)
if(NOT HNORM_PYTHON)
    set(check_tune ${check_space})
endif()
add_test(NAME "tune: what it promises of itself" COMMAND ${check_tune} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties("tune: what it promises of itself" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
add_test(NAME "space: random points give the same bits" COMMAND ${check_space} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties("space: random points give the same bits" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " TIMEOUT 600)
