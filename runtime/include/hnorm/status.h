/**
 * @file
 * Statuses, error messages and versions. hnorm.h includes this header.
 */
#ifndef HNORM_STATUS_H
#define HNORM_STATUS_H

/** @cond internals */
#ifdef __cplusplus
/* Enumerations are int in C and in C++. So a program can pass a value without a name, and the
 * functions can refuse it. */
#define HNORM_AN_INT : int
#define HNORM_NULL nullptr
#else
#define HNORM_AN_INT
#define HNORM_NULL NULL
#endif
/** @endcond */

/** The major version of this header. hnorm_version() gives the version of the library. */
#define HNORM_VERSION_MAJOR 0
/** The minor version of this header. */
#define HNORM_VERSION_MINOR 2
/** The patch version of this header. */
#define HNORM_VERSION_PATCH 0
/** @cond internals */
/* The C++ interface lies in this inline namespace, so that two parts of a program that use different
 * versions of the headers do not share its code. */
#define HNORM_VERSION_NAMESPACE v0_2
/** @endcond */

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/** The result of a function that can fail. */
typedef enum hnorm_status HNORM_AN_INT {
    /** The call has succeeded. */
    HNORM_OK = 0,
    /** A mistake of the caller: a null pointer, a shape, a stride, a range, an overlap. */
    HNORM_INVALID_ARGUMENT = 1,
    /** The call has a meaning, but this build or this machine cannot run it. */
    HNORM_UNSUPPORTED = 2,
    /** There is not enough memory, on the CPU or on the device. */
    HNORM_OUT_OF_MEMORY = 3,
    /** A defect of hnorm. */
    HNORM_INTERNAL = 4,
    /** A file cannot be read or written, or its contents are not valid (state.h, hnorm_load_pack). */
    HNORM_FILE_ERROR = 5,
    /** The driver of a device has failed. The error message quotes the driver (gpu.h). */
    HNORM_DEVICE_ERROR = 6,
    /** Another process has failed, or called something else, or the communication has failed
     * (comm.h). */
    HNORM_COMM_ERROR = 7
} hnorm_status;

/**
 * Returns the error message of the latest failed call of this thread.
 *
 * @return A sentence, or "" if no call has failed. It is never null. The text stays valid until
 *         the next failed call of this thread. A successful call does not change it.
 */
const char *hnorm_last_error(void);
/** Returns the name of a status: "HNORM_OK" and so on. It is never null. */
const char *hnorm_status_name(hnorm_status status);
/** Returns the version of the library: "major.minor.patch". */
const char *hnorm_version(void);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
