# cmake -D VERSION=X.Y.Z -D LIST=FILE -D OUT=FILE -P BuildName.cmake: writes the source of the
# build's name, as 0.2.0-1c2f9d0a7b3e. The digest is over the names and contents of the files that
# LIST names, a line each: compiled kernels, and the table with its values. No path is part of it,
# so that the same kernels have the same name wherever they are built.
cmake_policy(VERSION 3.28)
include("${CMAKE_CURRENT_LIST_DIR}/KernelTable.cmake")
file(STRINGS "${LIST}" files)
set(digests "")
foreach(file IN LISTS files)
    cmake_path(GET file FILENAME name)
    file(SHA256 "${file}" digest)
    list(APPEND digests "${name} ${digest}")
endforeach()
list(SORT digests)
string(SHA256 digest "${digests}")
string(SUBSTRING "${digest}" 0 12 digest)
hnorm_build_name_source(source "${VERSION}-${digest}")
file(CONFIGURE OUTPUT "${OUT}" CONTENT "${source}" @ONLY)
