// Threads that cannot begin: those of the archives (the linker's --wrap=pthread_create). Included
// by one source of a program.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cerrno>

// So many may begin, then none.
inline std::atomic<int> threads_allowed{1 << 30};
inline std::atomic<int> threads_begun{0};
extern "C" int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
extern "C" int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*body)(void *),
                                     void *argument) {
    if (threads_allowed-- <= 0) {
        return EAGAIN;
    }
    ++threads_begun;
    return __real_pthread_create(id, attributes, body, argument);
}
