# run(COMMAND...): for tests' scripts. Sets output; fails with it where the command does.
function(run)
    execute_process(COMMAND ${ARGV} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
    if(status)
        string(REPLACE ";" " " line "${ARGV}")
        message(FATAL_ERROR "${output}\nexit status ${status} of: ${line}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()
