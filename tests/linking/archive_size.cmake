# cmake -D ARCHIVE=FILE -D MOST=BYTES -P archive_size.cmake
cmake_minimum_required(VERSION 3.28)
file(SIZE "${ARCHIVE}" size)
message("${ARCHIVE}: ${size} bytes")
if(size GREATER MOST)
    message(FATAL_ERROR "${ARCHIVE} has ${size} bytes: it must have ${MOST} at most (docs/archive.md, Size)")
endif()
