# Finds Halide: the installation that the caller names (CMAKE_PREFIX_PATH, Halide_ROOT), else the wheel in .venv, whose
# folder carries the Python version in its name.
file(GLOB _hnorm_wheels LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/halide")
list(APPEND CMAKE_PREFIX_PATH ${_hnorm_wheels})
# Halide 21 asks for Python's headers even where no Python component is wanted.
set(CMAKE_DISABLE_FIND_PACKAGE_Halide_Python TRUE)
find_package(Halide 21 QUIET COMPONENTS Halide)
if(NOT Halide_FOUND)
    message(FATAL_ERROR "Halide 21 was not found. `./dev build` sets it up in .venv; an installation elsewhere is named by "
                        "-D CMAKE_PREFIX_PATH=FOLDER. (${Halide_NOT_FOUND_MESSAGE})")
endif()
