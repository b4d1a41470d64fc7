# What CPack makes: Debian's packages, one for each part (the COMPONENT of install()).
# packaging/make runs it.

include(GNUInstallDirs)

# Debian's policy asks for a changelog in each package, and for compressed pages. The time is the
# commit's (SOURCE_DATE_EPOCH).
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(CPACK_PACKAGE_CONTACT "$ENV{HNORM_MAINTAINER}")
file(CONFIGURE OUTPUT changelog @ONLY CONTENT [=[
hnorm (@PROJECT_VERSION@) unstable; urgency=medium

  * Version @PROJECT_VERSION@: see the changelog of the project.

 -- @CPACK_PACKAGE_CONTACT@  @date@
]=])
configure_file(packaging/hnorm.1 hnorm.1 COPYONLY)
execute_process(
    COMMAND gzip -9nf changelog hnorm.1 WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" COMMAND_ERROR_IS_FATAL ANY
)

# hnorm_package(PART NAME SECTION SUMMARY DESCRIPTION [OPTION VALUE]...): OPTION is of
# CPACK_DEBIAN_PACKAGE_...
macro(hnorm_package part name section summary description)
    string(TOUPPER ${part} PART)
    list(APPEND CPACK_COMPONENTS_ALL ${part})
    set(CPACK_DEBIAN_${PART}_PACKAGE_NAME ${name})
    set(CPACK_DEBIAN_${PART}_PACKAGE_SECTION ${section})
    set(CPACK_DEBIAN_${PART}_DESCRIPTION "${summary}\n${description}")
    set(options ${ARGN})
    while(options)
        list(POP_FRONT options option value)
        set(CPACK_DEBIAN_${PART}_PACKAGE_${option} "${value}")
    endwhile()
    # What Debian's policy asks of every package.
    install(FILES "${PROJECT_SOURCE_DIR}/packaging/copyright" "${CMAKE_CURRENT_BINARY_DIR}/changelog.gz"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${name}" COMPONENT ${part} EXCLUDE_FROM_ALL
    )
endmacro()

set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(same "(= ${PROJECT_VERSION})")
set(what "Kernels for forward and backward of batch, instance and group normalization of
float32, float16 and bfloat16 tensors, with the semantics of PyTorch and
TensorFlow. The same input gives the same bits on every CPU.")
set(shared "This package holds the shared library")
set(dev "This package holds the headers, the static library, the CMake package and the
pkg-config files")
set(program "This package holds the program hnorm, which lists the sets of CPU
instructions that there are kernels for, says which of them this machine runs,
explains what the library does in a call, and times its calls.")
hnorm_package(lib libhnorm${soversion} libs "batch, instance and group normalization kernels" "${what}\n.\n${shared}.")
hnorm_package(
    lib_dev libhnorm-dev libdevel "batch, instance and group normalization kernels (development)" "${what}\n.\n${dev}."
    DEPENDS "libhnorm${soversion} ${same}" SUGGESTS "libhnorm-gpu-dev, libhnorm-state-dev"
)
if(TARGET hnorm::gpu)
    hnorm_package(
        gpu libhnorm-gpu${soversion} libs "normalization kernels for CUDA and OpenCL"
        "${what}\n.\n${shared} for devices. It opens\ntheir drivers when a program asks for them." DEPENDS
        "libhnorm${soversion} ${same}" SUGGESTS "libcuda1, libopencl1"
    )
    hnorm_package(
        gpu_dev libhnorm-gpu-dev libdevel "normalization kernels for CUDA and OpenCL (development)"
        "${what}\n.\n${dev}\nfor devices." DEPENDS "libhnorm-gpu${soversion} ${same}, libhnorm-dev ${same}"
    )
endif()
if(TARGET hnorm::state)
    hnorm_package(
        state libhnorm-state${soversion} libs "saving and loading the layers of hnorm"
        "${what}\n.\n${shared} that saves layers to\nNumPy's .npz files and loads them." DEPENDS
        "libhnorm${soversion} ${same}"
    )
    hnorm_package(
        state_dev libhnorm-state-dev libdevel "saving and loading the layers of hnorm (development)"
        "${what}\n.\n${dev}\nfor saving and loading layers." DEPENDS
        "libhnorm-state${soversion} ${same}, libhnorm-dev ${same}, libzip-dev"
    )
endif()
if(TARGET hnorm_program)
    hnorm_package(
        tools hnorm-tools math "what the normalization kernels of hnorm do on this machine"
        "${what}\n.\n${program}"
    )
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/hnorm.1.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1"
            COMPONENT tools EXCLUDE_FROM_ALL
    )
endif()

file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/triggers" "activate-noawait ldconfig\n")
foreach(part IN ITEMS lib gpu state)
    string(TOUPPER ${part} PART)
    set(CPACK_DEBIAN_${PART}_PACKAGE_MULTIARCH same)
    set(CPACK_DEBIAN_${PART}_DEV_PACKAGE_MULTIARCH same)
    set(CPACK_DEBIAN_${PART}_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_BINARY_DIR}/triggers")
endforeach()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
if(CMAKE_CROSSCOMPILING)
    # dpkg-shlibdeps finds the packages of the cross compiler here. These are the versions that it
    # links with.
    set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
    set(needs "")
    foreach(package IN ITEMS libc6 libgcc-s1 libstdc++6)
        execute_process(
            COMMAND dpkg-query -W -f "\${Version}" ${package}-arm64-cross OUTPUT_VARIABLE version COMMAND_ERROR_IS_FATAL ANY
        )
        string(REGEX REPLACE "-.*" "" version "${version}")
        list(APPEND needs "${package} (>= ${version})")
    endforeach()
    list(JOIN needs ", " needs)
    set(CPACK_DEBIAN_LIB_PACKAGE_DEPENDS "${needs}")
    set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${needs}")
else()
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}/runtime") # they need libhnorm.so, of another package
endif()
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY =) # the libraries take internal functions of each other
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
)

set(CPACK_PACKAGE_VENDOR hnorm)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_NAME} built using CMake") # CPack's default: the descriptions begin with their own
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 2)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
