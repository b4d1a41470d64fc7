# The program of all generators, hnorm_generators, included by CMakeLists.txt, and what hides the
# names of kernels (hnorm_hide_names). Each generator's object library is in library_of_GENERATOR.

# Generators run on the machine that builds: where that is another they come from a build for it,
# and they can elsewhere.
set(HNORM_GENERATORS "" CACHE FILEPATH "The program hnorm_generators of a build for the machine that builds")
if(CMAKE_CROSSCOMPILING OR HNORM_GENERATORS)
    if(NOT EXISTS "${HNORM_GENERATORS}")
        message(FATAL_ERROR "HNORM_GENERATORS is '${HNORM_GENERATORS}': it must be hnorm_generators, built for this machine "
                            "(./dev test --target arm-64 does it)")
    endif()
    add_executable(hnorm_generators IMPORTED GLOBAL)
    set_target_properties(hnorm_generators PROPERTIES IMPORTED_LOCATION "${HNORM_GENERATORS}")
    cmake_path(REPLACE_FILENAME HNORM_GENERATORS hnorm_hide_names OUTPUT_VARIABLE hide_names)
    add_executable(hnorm_hide_names IMPORTED GLOBAL)
    set_target_properties(hnorm_hide_names PROPERTIES IMPORTED_LOCATION "${hide_names}")
else()
    # Each source is compiled as a library of its own, so that a kernel is made anew where the
    # generator that makes it changed, not where another did. Those that no kernel of this build
    # needs, as devices' without devices, are left out.
    set(needed "")
    foreach(kernel IN LISTS kernels)
        list(APPEND needed ${generator_of_${kernel}})
    endforeach()
    if(HNORM_DEVICES)
        foreach(kernel IN LISTS device_kernels device_group_kernels)
            list(APPEND needed ${device_generator_of_${kernel}})
        endforeach()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "*.cpp")
    add_executable(hnorm_generators)
    target_link_libraries(hnorm_generators PRIVATE Halide::Generator)
    foreach(source IN LISTS sources)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
        file(STRINGS "${source}" registered REGEX "^HALIDE_REGISTER_GENERATOR")
        list(TRANSFORM registered REPLACE ".*, ([a-z_]+)\\)" "\\1")
        set(others ${registered})
        list(REMOVE_ITEM others ${needed})
        if(others STREQUAL registered)
            continue()
        endif()
        cmake_path(GET source STEM name)
        set(library hnorm_generators_${name})
        add_library(${library} OBJECT "${source}")
        target_link_libraries(${library} PRIVATE Halide::Generator)
        target_include_directories(${library} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/include")
        target_compile_features(${library} PRIVATE cxx_std_17)
        target_compile_options(${library} PRIVATE -O0 -g0) # it runs for a second, and compiling took twice as long
        target_sources(hnorm_generators PRIVATE $<TARGET_OBJECTS:${library}>)
        foreach(generator IN LISTS registered)
            set(library_of_${generator} ${library})
        endforeach()
    endforeach()
    add_custom_target(hnorm_generators_program DEPENDS hnorm_generators) # commands wait for it, and are not run anew for it
    add_executable(hnorm_hide_names "${PROJECT_SOURCE_DIR}/cmake/hide_names.cpp") # GoodNeighbour.cmake
    target_compile_features(hnorm_hide_names PRIVATE cxx_std_17)
    add_dependencies(hnorm_generators hnorm_hide_names) # they lie side by side for builds for other machines
endif()
