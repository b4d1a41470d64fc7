# HNORM_SAME_BYTES: options with which one commit gives the same libraries in every folder
# (docs/packages.md).
set(HNORM_SAME_BYTES
    $<$<NOT:$<CONFIG:Debug>>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.>
    $<$<NOT:$<CONFIG:Debug>>:-ffile-prefix-map=${PROJECT_BINARY_DIR}=build>
)
