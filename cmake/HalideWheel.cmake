# Finds Halide: the installation that the caller names (Halide_DIR, Halide_ROOT) or has in
# CMAKE_PREFIX_PATH, else the wheel in .venv, whose folder carries the Python version in its name.

# Halide 21 loads its Python part, which needs Python's headers, even where nobody wants it.
set(CMAKE_DISABLE_FIND_PACKAGE_Halide_Python TRUE)
if(CMAKE_PREFIX_PATH) # which may be for other packages
    find_package(Halide 21 QUIET COMPONENTS Halide PATHS ${CMAKE_PREFIX_PATH} NO_DEFAULT_PATH)
endif()
if(NOT Halide_DIR AND NOT Halide_ROOT)
    # By its folder: a search would stop at .venv/share/cmake, whose file asks for Python's headers.
    file(GLOB wheel "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/halide/lib64/cmake/Halide")
    set(Halide_DIR "${wheel}" CACHE PATH "Folder of HalideConfig.cmake" FORCE)
endif()
find_package(Halide 21 QUIET COMPONENTS Halide)
if(NOT Halide_FOUND)
    message(
        FATAL_ERROR
            "Halide 21, which compiles hnorm's kernels, was not found. There are three ways:\n"
            "  - run `./dev build` in hnorm's folder once: it sets Halide up there;\n"
            "  - install the Python package (pip install 'halide==21.*') and give -D Halide_DIR=FOLDER/lib64/cmake/Halide: the "
            "FOLDER is what python3 -c 'import halide; print(halide.install_dir())' prints;\n"
            "  - take hnorm's source archive, which `./dev source-archive` writes: its kernels are compiled.\n"
            "${Halide_NOT_FOUND_MESSAGE}"
    )
endif()
get_target_property(HNORM_HALIDE_INCLUDE Halide::Runtime INTERFACE_INCLUDE_DIRECTORIES) # of HalideRuntime.h
