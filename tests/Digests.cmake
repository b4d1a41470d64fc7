# The digests of kernels' results: the program that writes their file, which has no kernels, and the one that compares.

# manifest.h: the manifest for programs.
set(for_each_kernel "")
foreach(kernel IN LISTS kernels)
    foreach(planes IN LISTS planes_of_${kernel})
        list(FIND planes_classes "${planes}" index)
        string(APPEND for_each_kernel " \\\n    X(${kernel}, ${signature_of_${kernel}}, ${planes}, ${index})")
    endforeach()
endforeach()
list(JOIN planes_classes "\", \"" manifest_planes)
list(TRANSFORM element_types PREPEND "HNORM_" OUTPUT_VARIABLE manifest_types)
list(JOIN manifest_types ", " manifest_types)
string(TOUPPER "${manifest_types}" manifest_types)
file(CONFIGURE OUTPUT manifest/manifest.h @ONLY CONTENT [=[
// Made by CMake from generators/kernels.json: edit that.
#define HNORM_FOR_EACH_KERNEL(X)@for_each_kernel@
#define HNORM_PLANES "@manifest_planes@"
#define HNORM_TYPES @manifest_types@
]=])

hnorm_test_executable(test_digests)
set(digests "${CMAKE_CURRENT_SOURCE_DIR}/digests.txt")
target_compile_definitions(test_digests PRIVATE HNORM_DIGESTS="${digests}")
target_include_directories(test_digests PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/manifest")

# Not linked with hnorm.
add_executable(write_digests write_digests.cpp)
target_include_directories(
    write_digests PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/manifest" $<TARGET_PROPERTY:hnorm,INTERFACE_INCLUDE_DIRECTORIES>
)
# calls.h includes its header.
foreach(name IN ITEMS test_digests write_digests)
    target_include_directories(${name} SYSTEM PRIVATE $<TARGET_PROPERTY:Catch2::Catch2,INTERFACE_INCLUDE_DIRECTORIES>)
endforeach()
target_compile_features(write_digests PRIVATE cxx_std_17)
target_compile_options(write_digests PRIVATE -O2 -ffp-contract=off -Wall -Wextra)
add_test(NAME "digests:the file is what the transcription gives" COMMAND write_digests --check "${digests}")
