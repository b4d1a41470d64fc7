# hnorm::libzip, where there is one: for the build and, installed, for the package's component
# state. Not libzip's own package, which fails on Debian where the programs zipcmp, zipmerge and
# ziptool are not installed as well.
find_path(HNORM_LIBZIP_INCLUDE_DIR zip.h DOC "Folder of libzip's zip.h")
find_library(HNORM_LIBZIP_LIBRARY zip DOC "libzip")
mark_as_advanced(HNORM_LIBZIP_INCLUDE_DIR HNORM_LIBZIP_LIBRARY)
if(HNORM_LIBZIP_INCLUDE_DIR AND HNORM_LIBZIP_LIBRARY AND NOT TARGET hnorm::libzip)
    add_library(hnorm::libzip UNKNOWN IMPORTED)
    set_target_properties(
        hnorm::libzip PROPERTIES IMPORTED_LOCATION "${HNORM_LIBZIP_LIBRARY}"
                                 INTERFACE_INCLUDE_DIRECTORIES "${HNORM_LIBZIP_INCLUDE_DIR}"
    )
endif()
