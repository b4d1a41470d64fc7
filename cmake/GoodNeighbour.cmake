# hnorm_good_neighbour(TARGET [OTHER [PREFIX]]): the static library gives names that begin with
# hnorm_ and no others (RenameSymbols.cmake), and hides them (hide_names.cpp): each shared library
# with it inside has its own. OTHER: the one among such libraries whose internal names it uses.
# PREFIX: hnorm_, or for a library that has what OTHER has, as a runtime of Halide's, a longer one.
set(HNORM_RENAME_SYMBOLS "${CMAKE_CURRENT_LIST_DIR}/RenameSymbols.cmake")
function(hnorm_good_neighbour target)
    set(renamed "$<TARGET_FILE_DIR:${target}>/${target}.renamed")
    set(others "")
    set(prefix hnorm_)
    if(ARGC GREATER 1)
        set(others "$<TARGET_FILE_DIR:${ARGV1}>/${ARGV1}.renamed")
    endif()
    if(ARGC GREATER 2)
        set(prefix ${ARGV2})
    endif()
    add_custom_command(
        TARGET ${target}
        POST_BUILD
        COMMAND
            "${CMAKE_COMMAND}" -D "ARCHIVE=$<TARGET_FILE:${target}>" -D "RENAMED=${renamed}" -D "OTHERS=${others}" -D
            "PREFIX=${prefix}" -D "NM=${CMAKE_NM}" -D "OBJCOPY=${CMAKE_OBJCOPY}" -P "${HNORM_RENAME_SYMBOLS}"
        COMMAND hnorm_hide_names "$<TARGET_FILE:${target}>"
        VERBATIM
    )
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${HNORM_RENAME_SYMBOLS}")
endfunction()

# hnorm_functions(RESULT HEADER...): the functions that headers of the C interface declare; those
# that are inline have no symbol.
function(hnorm_functions result)
    set(functions "")
    foreach(header IN LISTS ARGN)
        file(READ "${header}" text)
        string(REGEX REPLACE "/\\*[^*]*\\*+([^/*][^*]*\\*+)*/" "" text "${text}")
        string(REGEX REPLACE "static inline [^{;]*" "" text "${text}")
        string(REGEX MATCHALL "\n[a-z][a-z0-9_ ]* \\**hnorm_[a-z0-9_]+\\(" declarations "${text}")
        list(TRANSFORM declarations REPLACE ".*[ *](hnorm_[a-z0-9_]+)\\(" "\\1")
        list(APPEND functions ${declarations})
        get_filename_component(header "${header}" ABSOLUTE) # by two names it would be two files to ninja
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
    endforeach()
    set(${result} ${functions} PARENT_SCOPE)
endfunction()
