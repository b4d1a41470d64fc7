# The digests of kernels' results: the program that writes their file, which has no kernels, and the
# one that compares.

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

set(manifest_include "${CMAKE_CURRENT_BINARY_DIR}/manifest")

hnorm_test_executable(test_digests)
set(digests "${CMAKE_CURRENT_SOURCE_DIR}/digests.txt")
target_compile_definitions(test_digests PRIVATE HNORM_DIGESTS="${digests}")
target_include_directories(
    test_digests SYSTEM PRIVATE $<TARGET_PROPERTY:Catch2::Catch2,INTERFACE_INCLUDE_DIRECTORIES> # for calls.h
)
hnorm_transcription_executable(write_digests)
foreach(name IN ITEMS test_kernels test_digests write_digests)
    target_include_directories(${name} PRIVATE "${manifest_include}")
endforeach()
add_test(NAME "digests:the file is what the transcription gives" COMMAND write_digests --check "${digests}")
