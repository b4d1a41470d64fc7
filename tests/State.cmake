# The tests of saved states. They make files with libzip that hnorm would not.
include(hnormLibzip)
set(of_states fuzz_state layer_state layer_state_errors layer_state_file_errors layer_state_memory layer_state_numpy)
foreach(name IN LISTS of_states)
    target_link_libraries(test_${name} PRIVATE hnorm::state hnorm::libzip)
endforeach()
target_compile_definitions(test_layer_state_numpy PRIVATE HNORM_STATE_FILES="${CMAKE_CURRENT_SOURCE_DIR}")

# NumPy's own opinion, where ./dev has put NumPy.
hnorm_test_executable(state_for_numpy)
target_link_libraries(state_for_numpy PRIVATE hnorm::state)
set(read_state "${HNORM_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/read_state.py" $<TARGET_FILE:state_for_numpy>)
if(NOT HNORM_PYTHON)
    set(read_state "${CMAKE_COMMAND}" -E echo "skipped: no python in .venv, where ./dev puts it with NumPy")
endif()
add_test(NAME "NumPy reads saved states" COMMAND ${read_state})
set_tests_properties("NumPy reads saved states" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
