# cmake -D "ARCHIVES=FILE;..." -D NM=PROGRAM -P exposed_names.cmake: fails where one gives a name,
# of a symbol or of a COMDAT group (type n), that does not begin with hnorm_.
cmake_minimum_required(VERSION 3.28)
foreach(archive IN LISTS ARCHIVES)
    execute_process(
        COMMAND "${NM}" --defined-only --format=posix "${archive}" OUTPUT_VARIABLE symbols ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY
    )
    string(REGEX MATCHALL "\nhnorm_[^\n ]+ [A-Zun] " good "${symbols}")
    string(REGEX MATCHALL "\n[^\n ]+ [A-Zun] " all "${symbols}")
    list(LENGTH all count)
    if(count EQUAL 0)
        message(FATAL_ERROR "${archive} gives no names at all")
    endif()
    list(REMOVE_ITEM all ${good})
    if(all)
        message(FATAL_ERROR "${archive} gives these names: ${all}")
    endif()
    message("${archive}: ${count} names, all begin with hnorm_")
endforeach()
