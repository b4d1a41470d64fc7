# The settings of a release, given to CMake with -C: what ./dev package builds.
set(CMAKE_BUILD_TYPE Release CACHE STRING "")
# -O2 as in the build that is tested, nothing for a debugger, which packages would strip, and what
# Debian compiles its packages with.
set(flags -fno-ident -fstack-protector-strong -Wformat -Werror=format-security -D_FORTIFY_SOURCE=2)
list(JOIN flags " " flags)
set(CMAKE_CXX_FLAGS "${flags}" CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG" CACHE STRING "")
foreach(kind IN ITEMS EXE SHARED)
    set(CMAKE_${kind}_LINKER_FLAGS "-Wl,-z,relro -Wl,-z,now" CACHE STRING "")
endforeach()
set(CMAKE_SKIP_RPATH ON CACHE BOOL "") # the folder of the build would be in the bytes that the build-id is made of
set(CMAKE_INSTALL_PREFIX /usr CACHE PATH "")
foreach(part IN ITEMS TESTS BENCH EXAMPLES)
    set(HNORM_BUILD_${part} OFF CACHE BOOL "")
endforeach()
set(HNORM_BUILD_PACKAGES ON CACHE BOOL "")
