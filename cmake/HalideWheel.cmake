# Finds Halide: the installation that the caller names (Halide_DIR, Halide_ROOT, CMAKE_PREFIX_PATH), else the wheel in
# .venv, whose folder carries the Python version in its name.
if(NOT Halide_DIR AND NOT Halide_ROOT AND NOT CMAKE_PREFIX_PATH)
    # By its folder: a search would stop at .venv/share/cmake, whose file asks for Python's headers.
    file(GLOB wheel "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/halide/lib64/cmake/Halide")
    set(Halide_DIR "${wheel}" CACHE PATH "Folder of HalideConfig.cmake" FORCE)
endif()
# Halide 21 loads its Python part, which needs those headers as well, even where nobody wants it.
set(CMAKE_DISABLE_FIND_PACKAGE_Halide_Python TRUE)
find_package(Halide 21 QUIET COMPONENTS Halide)
if(NOT Halide_FOUND)
    message(FATAL_ERROR "Halide 21 was not found. `./dev build` sets it up in .venv; an installation elsewhere is named by "
                        "-D CMAKE_PREFIX_PATH=FOLDER. (${Halide_NOT_FOUND_MESSAGE})")
endif()
get_target_property(HNORM_HALIDE_INCLUDE Halide::Runtime INTERFACE_INCLUDE_DIRECTORIES) # of HalideRuntime.h
