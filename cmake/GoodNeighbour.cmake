# hnorm_good_neighbour(TARGET [OTHER [PREFIX]]): the static library gives names that begin with hnorm_ and no others
# (RenameSymbols.cmake). OTHER: the one among such libraries whose internal names it uses. PREFIX: hnorm_, or for a library that has
# what OTHER has, as a runtime of Halide's, a longer one.
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
        VERBATIM
    )
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${HNORM_RENAME_SYMBOLS}")
endfunction()
