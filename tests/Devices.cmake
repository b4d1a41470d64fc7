# The kernels for devices by themselves: run on HNORM_TEST_DEVICE ("opencl" if nothing, which
# without a GPU is PoCL), and what they were compiled to for CUDA. What calls them is tested by
# on_device/.
set_source_files_properties(${HNORM_DEVICE_OBJECTS} ${HNORM_DEVICE_RUNTIME} PROPERTIES GENERATED TRUE EXTERNAL_OBJECT TRUE)
set_source_files_properties(${HNORM_DEVICE_TABLE} PROPERTIES GENERATED TRUE)
find_package(Threads REQUIRED)
add_executable(test_devices test_devices.cpp ${HNORM_DEVICE_OBJECTS} ${HNORM_DEVICE_RUNTIME} ${HNORM_DEVICE_TABLE})
add_dependencies(test_devices hnorm_device_kernels)
include(CarriesRuntime)
hnorm_carries_runtime(test_devices)
target_compile_options(test_devices PRIVATE ${test_options})
target_link_libraries(test_devices PRIVATE catch_main Threads::Threads ${CMAKE_DL_LIBS})
target_include_directories(test_devices SYSTEM PRIVATE $<TARGET_PROPERTY:Halide::Runtime,INTERFACE_INCLUDE_DIRECTORIES>)
target_include_directories(
    test_devices PRIVATE "${PROJECT_SOURCE_DIR}/runtime/src" $<TARGET_PROPERTY:hnorm,INTERFACE_INCLUDE_DIRECTORIES>
)

# For check_gpu.py, in a folder that programs find it in when told.
if("cuda" IN_LIST HNORM_DEVICES AND HNORM_BUILD_BENCH AND HNORM_BUILD_EXAMPLES AND NOT HNORM_SANITIZE)
    set(fake_cuda "${CMAKE_CURRENT_BINARY_DIR}/fake_cuda")
    add_library(fake_cuda SHARED fake_cuda.cpp)
    set_target_properties(fake_cuda PROPERTIES OUTPUT_NAME cuda SOVERSION 1 LIBRARY_OUTPUT_DIRECTORY "${fake_cuda}")
    target_compile_options(fake_cuda PRIVATE -Wall -Wextra)
endif()

if(HNORM_DEVICES)
    set(number 100)
    function(hnorm_test_device_kernels format label spec)
        string(REPLACE "/" "_" list device_kernels_${format}_${label})
        catch_discover_tests(
            test_devices
            TEST_PREFIX "device kernels ${format}:"
            TEST_LIST ${list}
            TEST_SPEC ${spec}
            EXTRA_ARGS --warn NoTests --rng-seed ${number}
            PROPERTIES TIMEOUT ${timeout} SKIP_REGULAR_EXPRESSION "skipped: no driver" LABELS ${label}
                       ENVIRONMENT "HNORM_TEST_FORMAT=${format}"
        )
        math(EXPR number "${number} + 1")
        set(number ${number} PARENT_SCOPE)
    endfunction()
    foreach(layout IN LISTS layouts)
        foreach(type IN LISTS types)
            set(format ${layout}/${type})
            # Each type once; kernels of a layout differ between types in conversions alone.
            if(format MATCHES "^(channels_first/f32|channels_last/bf16)$")
                hnorm_test_device_kernels(${format} device "")
            elseif(format STREQUAL "channels_first/f16") # small planes take the most time
                hnorm_test_device_kernels(${format} device "~*small planes")
                hnorm_test_device_kernels(${format} device_long "*small planes")
            else()
                hnorm_test_device_kernels(${format} device_long "")
            endif()
        endforeach()
    endforeach()
endif()

if("cuda" IN_LIST HNORM_DEVICES AND HNORM_PYTHON)
    find_program(HNORM_PTXAS ptxas HINTS /usr/local/cuda/bin DOC "ptxas of CUDA, for a test")
    set(cuda_objects ${HNORM_DEVICE_OBJECTS})
    list(FILTER cuda_objects INCLUDE REGEX "_cuda\\.[a-z]+$")
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/cuda_objects.txt" "${cuda_objects}")
    # The oldest and the newest each time, those between with all types of devices.
    function(hnorm_test_ptx promise label)
        add_test(NAME "cuda:${promise}" COMMAND "${HNORM_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/ptx.py" "${HNORM_PTXAS}"
                                                "${CMAKE_CURRENT_BINARY_DIR}/cuda_objects.txt" ${ARGN}
        )
        set_tests_properties("cuda:${promise}" PROPERTIES TIMEOUT ${timeout} LABELS ${label})
    endfunction()
    hnorm_test_ptx("PTX rounds every product, and fits the registers of GPUs old and new" short sm_80 sm_120)
    hnorm_test_ptx("PTX fits the registers of GPUs between" device_long sm_90 sm_100)
endif()
