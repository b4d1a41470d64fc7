# cmake -D ABIDIFF=PROGRAM -D BASELINE=FILE -D LIBRARY=FILE -D OPAQUE=FILE -P compare.cmake Fails
# unless all that abidiff finds is the option that the library has more than the baseline, and
# functions that were added. It must find the option: or else it would not see other changes.
cmake_minimum_required(VERSION 3.28)
execute_process(
    COMMAND "${ABIDIFF}" --suppressions "${OPAQUE}" --no-show-locs "${BASELINE}" "${LIBRARY}" OUTPUT_VARIABLE report
    ERROR_VARIABLE errors RESULT_VARIABLE status
)
message("abidiff: exit status ${status}\n${report}${errors}")
# Bit 4: changed. 8: incompatible, 1 and 2: not compared.
if(NOT status EQUAL 4
   OR NOT report MATCHES "Functions changes summary: 0 Removed, 1 Changed"
   OR NOT report MATCHES "Variables changes summary: 0 Removed, 0 Changed"
   OR NOT report MATCHES "1 data member insertion:\n *'double later_option'"
   OR report MATCHES "data member (change|deletion)"
)
    message(FATAL_ERROR "there is more than one option that is new since ${BASELINE}. If the change is right, a program of the "
                        "release must still run; a new minor version has a baseline of its own (tests/abi/CMakeLists.txt)"
    )
endif()
