# hnorm_shared_library(TARGET ARCHIVE HEADERS [USED_BY ARCHIVE...]): a shared library of all that
# the static library ARCHIVE holds, for what loads libraries: plug-in systems, other languages. It
# gives the functions of HEADERS, under the version HNORM_MAJOR.MINOR; and for the shared libraries
# made of USED_BY what these need besides, under the version HNORM_MAJOR.MINOR_PRIVATE. All of these
# names begin with hnorm_, because the archives' names do (GoodNeighbour.cmake).
set(HNORM_WRITE_GIVEN_NAMES "${CMAKE_CURRENT_LIST_DIR}/WriteGivenNames.cmake")
function(hnorm_shared_library target archive headers)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "" USED_BY)
    set(version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    set(stem "${CMAKE_CURRENT_BINARY_DIR}/${target}")
    set(users ${arg_USED_BY})
    list(TRANSFORM users REPLACE "(.+)" "$<TARGET_FILE:\\1>")
    hnorm_functions(functions ${headers})
    # The archive hides all of its names, which a linker would obey: a copy gives some of them.
    add_custom_command(
        OUTPUT "${stem}.map" "${stem}.names" "${stem}.whole.a"
        COMMAND
            "${CMAKE_COMMAND}" -D "PUBLIC=${functions}" -D "ARCHIVE=$<TARGET_FILE:${archive}>" -D "USERS=${users}" -D
            "NODE=HNORM_${version}" -D "MAP=${stem}.map" -D "NAMES=${stem}.names" -D "NM=${CMAKE_NM}" -P "${HNORM_WRITE_GIVEN_NAMES}"
        COMMAND hnorm_hide_names "$<TARGET_FILE:${archive}>" "${stem}.whole.a" "${stem}.names"
        DEPENDS ${archive} ${arg_USED_BY} hnorm_hide_names "${HNORM_WRITE_GIVEN_NAMES}"
        COMMENT "Names that ${target} gives"
        VERBATIM
    )
    add_library(${target} SHARED "${stem}.map")
    string(REGEX REPLACE "_shared$" "" name ${target})
    set_target_properties(
        ${target} PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME ${name} VERSION ${PROJECT_VERSION} SOVERSION ${version}
                             LINK_DEPENDS "${stem}.map;${stem}.whole.a"
                             # A program with both kinds would have two of everything: CMake refuses
                             # it.
                             INTERFACE_HNORM_KIND shared COMPATIBLE_INTERFACE_STRING HNORM_KIND
    )
    set_target_properties(${archive} PROPERTIES INTERFACE_HNORM_KIND static COMPATIBLE_INTERFACE_STRING HNORM_KIND)
    target_link_options(${target} PRIVATE "LINKER:--version-script=${stem}.map" "LINKER:-Bsymbolic" "LINKER:--no-undefined")
    # As $<LINK_LIBRARY:WHOLE_ARCHIVE,...> does, which CMake 3.16 does not know.
    target_link_libraries(
        ${target} PRIVATE -Wl,--whole-archive "${stem}.whole.a" -Wl,--no-whole-archive Threads::Threads ${CMAKE_DL_LIBS} m
    )
endfunction()
