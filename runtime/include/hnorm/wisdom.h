/**
 * @file
 * Wisdom: choices that were measured on this machine, for the calls of a program.
 *
 * hnorm has kernels for several targets, and values that decide when and how it uses threads. Its
 * own choice is good on average. For one shape on one machine another can be faster. The program
 * `hnorm tune` measures this and writes a text file. Every program with the same build of hnorm
 * reads it before its first call. No compiler is needed, and no program is linked again.
 *
 * hnorm reads the file that the environment variable HNORM_WISDOM names. If there is no such
 * variable, it reads hnorm/wisdom.txt in the user's configuration folder ($XDG_CONFIG_HOME or
 * ~/.config), and in the system's ($XDG_CONFIG_DIRS or /etc/xdg, and /etc). What the user's says
 * comes first.
 *
 * A choice holds for one row (operation, group, layout, type and shape), on the CPU, with the
 * caches, the number of threads and the build of hnorm that it was measured with. A choice for
 * another machine or build is ignored. A target that a program forces (hnorm_set_target,
 * HNORM_TARGET) stays. Calls that run on the program's own threads (hnorm_set_parallel_for) and
 * calls on devices have no wisdom. No choice changes a bit of a result.
 */
#ifndef HNORM_WISDOM_H
#define HNORM_WISDOM_H

#include <hnorm/hnorm.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads a wisdom file. What it says comes before what hnorm knew. It holds for the whole process,
 * from the next call on. Threads may compute, or read other files, meanwhile.
 *
 * A file may name kernel packs that lie beside it (docs/choices.md, "Packs"). Packs are code
 * (hnorm_load_pack), so read files only from folders whose writers you trust.
 *
 * @param path  The file. A file that cannot be read is HNORM_INVALID_ARGUMENT. What is for another
 *              machine or build is ignored, and so are lines that make no sense: hnorm_wisdom_note
 *              says which.
 */
hnorm_status hnorm_load_wisdom(const char *path);
/** Forgets all wisdom, also what hnorm has read by itself. It does not read those files again. */
void hnorm_forget_wisdom(void);

/** Returns the number of sentences about the files that were read: 20 at most of each. */
int hnorm_wisdom_note_count(void);
/**
 * Returns a sentence about a file: how many choices are in use, or what was ignored and why.
 *
 * @param index  0 to hnorm_wisdom_note_count() - 1. Elsewhere the result is null.
 * @return The sentence. It stays valid.
 */
const char *hnorm_wisdom_note(int index);

/**
 * Returns the name of the library's build, which wisdom is tied to: the version, and a digest of the
 * kernels and of the values that the library was built with.
 */
const char *hnorm_build(void);
/** Returns the name of the machine's CPU, as wisdom files have it. */
const char *hnorm_cpu(void);
/** Returns the sizes of the CPU's data caches, as wisdom files have them. */
const char *hnorm_caches(void);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
