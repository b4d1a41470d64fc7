# hnorm_pkg_config(NAME DESCRIPTION [REQUIRES PACKAGE] [REQUIRES_MORE PACKAGES] [REQUIRES_PRIVATE
# PACKAGES] LIBS FLAGS
#     [LIBS_PRIVATE FLAGS] COMPONENT COMPONENT): writes and installs NAME.pc. REQUIRES: a package of hnorm's, in this version
function(hnorm_pkg_config name description)
    set(one_value REQUIRES REQUIRES_MORE REQUIRES_PRIVATE LIBS LIBS_PRIVATE COMPONENT)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "${one_value}" "")
    set(requires "")
    if(arg_REQUIRES)
        set(requires "${arg_REQUIRES} = ${PROJECT_VERSION}" ${arg_REQUIRES_MORE})
        list(JOIN requires ", " requires)
    endif()
    file(RELATIVE_PATH prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/hnorm.pc.in" ${name}.pc @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
            COMPONENT ${arg_COMPONENT}
    )
endfunction()

# hnorm_install_libraries(STATIC SHARED EXPORT NAME PART COMPONENT): both libraries, and their CMake
# targets. The shared one is in the component, all else in COMPONENT_dev.
function(hnorm_install_libraries static shared)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "EXPORT;PART" "")
    install(TARGETS ${static} ${shared} EXPORT ${arg_EXPORT}
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${arg_PART}_dev
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${arg_PART} NAMELINK_COMPONENT ${arg_PART}_dev
    )
    install(EXPORT ${arg_EXPORT} NAMESPACE hnorm:: DESTINATION "${package_dir}" COMPONENT ${arg_PART}_dev)
endfunction()
