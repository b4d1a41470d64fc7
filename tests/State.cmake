# The tests of saved states. They make files with libzip that hnorm would not.
include(hnormLibzip)
foreach(name IN ITEMS test_fuzz_state test_layer_state test_layer_state_errors test_layer_state_memory)
    target_link_libraries(${name} PRIVATE hnorm::state hnorm::libzip)
endforeach()
target_compile_definitions(test_layer_state PRIVATE HNORM_STATE_FILES="${CMAKE_CURRENT_SOURCE_DIR}")

# NumPy's own opinion, where ./dev has put NumPy.
hnorm_test_executable(state_for_numpy)
target_link_libraries(state_for_numpy PRIVATE hnorm::state)
set(read_state "${HNORM_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/read_state.py" $<TARGET_FILE:state_for_numpy>)
if(NOT HNORM_PYTHON)
    set(read_state "${CMAKE_COMMAND}" -E echo "skipped: no python in .venv, where ./dev puts it with NumPy")
endif()
add_test(NAME "NumPy reads saved states" COMMAND ${read_state})
set_tests_properties("NumPy reads saved states" PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
