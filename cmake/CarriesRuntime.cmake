# hnorm_carries_runtime(TARGET...): with the C++ runtime inside, for a machine whose own may be
# older (./dev gpu --pack). Libraries name stdc++ themselves, where -static-libstdc++ has no say: a
# folder that has the archive alone comes first.
function(hnorm_carries_runtime)
    execute_process(
        COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=libstdc++.a OUTPUT_VARIABLE archive OUTPUT_STRIP_TRAILING_WHITESPACE
    )
    if(HNORM_SANITIZE OR CMAKE_CROSSCOMPILING OR NOT EXISTS "${archive}")
        return()
    endif()
    set(folder "${PROJECT_BINARY_DIR}/static_runtime")
    file(MAKE_DIRECTORY "${folder}")
    file(CREATE_LINK "${archive}" "${folder}/libstdc++.a" SYMBOLIC)
    foreach(target IN LISTS ARGN)
        target_link_options(${target} PRIVATE "-L${folder}" -static-libgcc LINKER:--exclude-libs,ALL)
    endforeach()
endfunction()
