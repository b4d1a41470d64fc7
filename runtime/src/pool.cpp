// A list of loops that want help, and threads that sleep until there is one. It is our own rather
// than Halide's because it has to bear what programs do: fork, exit and dlclose while others
// compute, threads that cannot be begun, small stacks, signals.
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>

namespace hnorm::detail {

namespace {

// A loop, on its caller's stack.
struct Job {
    void (*work)(void *argument, int index);
    void *argument;
    int workers;
    int next = 1;  // the first index that no thread has taken; guarded by the lock, as is `after`
    Job *after = nullptr;
    std::atomic<int> running{0};  // the pool's threads that are at work
};

// Nothing here is ever destroyed: threads may outlive the static objects of a program that ends.
struct Pool {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t posted = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
    Job *jobs = nullptr;  // with indices that no thread has taken, the latest first
    int threads = 0, sleeping = 0, waiting = 0;
    bool ending = false;
    std::atomic<unsigned> posts{0};  // what threads watch before they sleep
    pthread_t ids[kMaxThreads];
};
Pool pool;
pthread_mutex_t ends = PTHREAD_MUTEX_INITIALIZER;  // one end of the pool at a time
bool unloaded = false;                             // then no thread may begin: its code is about to go

// A thread looks so often for work, and a caller for the end of its loop, before it sleeps: some 20
// us, for loops follow each other closely and to wake a thread takes as long. It yields, so that
// whoever has work gets the core.
constexpr int kLooks = 40;
template <typename Seen>
void look_for(const Seen &seen) {
    for (int i = 0; i < kLooks && !seen(); ++i) {
        sched_yield();
    }
}

void *serve(void *) {
    pthread_mutex_lock(&pool.lock);
    while (!pool.ending) {
        if (Job *const job = pool.jobs) {
            const int index = job->next++;
            if (job->next == job->workers) {
                pool.jobs = job->after;
            }
            job->running.fetch_add(1, std::memory_order_relaxed);
            pthread_mutex_unlock(&pool.lock);
            job->work(job->argument, index);
            pthread_mutex_lock(&pool.lock);
            // The caller may be gone right after.
            if (job->running.fetch_sub(1, std::memory_order_release) == 1 && pool.waiting > 0) {
                pthread_cond_broadcast(&pool.finished);
            }
            continue;
        }
        const unsigned posts = pool.posts.load(std::memory_order_relaxed);
        const auto news = [posts] { return pool.posts.load(std::memory_order_relaxed) != posts; };
        pthread_mutex_unlock(&pool.lock);
        look_for(news);
        pthread_mutex_lock(&pool.lock);
        while (!news()) {
            ++pool.sleeping;
            pthread_cond_wait(&pool.posted, &pool.lock);
            --pool.sleeping;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return nullptr;
}

// The program's signals are not ours to handle. Those of faults stay open: a thread that blocks
// them dies without its handler.
bool begin_thread(pthread_t *id) {
    constexpr size_t kStack = size_t(1) << 20;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
        sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_attr_setstacksize(&attributes, kStack);
    bool begun = pthread_create(id, &attributes, serve, nullptr) == 0;
    if (!begun) {  // a stack holds the program's thread-local variables too, which may be large
        begun = pthread_create(id, nullptr, serve, nullptr) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return begun;
}

// The list without the job; under the lock.
void withdraw(Job *job) {
    for (Job **place = &pool.jobs; *place; place = &(*place)->after) {
        if (*place == job) {
            *place = job->after;
            return;
        }
    }
}

// Only the thread that forks is in the child, which begins its own pool.
void before_fork() {
    pthread_mutex_lock(&ends);
    pthread_mutex_lock(&pool.lock);
}
void after_fork_in_parent() {
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&ends);
}
void after_fork_in_child() {
    pool.jobs = nullptr;
    pool.threads = pool.sleeping = pool.waiting = 0;
    pool.posted = pool.finished = PTHREAD_COND_INITIALIZER;
    after_fork_in_parent();
}

// As the program or the plug-in is loaded: not in the first call, beside which another thread may
// fork.
__attribute__((constructor(101))) void mind_forks() {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

// As the plug-in is unloaded or the program ends, after its static objects.
__attribute__((destructor(101))) void unload() {
    pthread_mutex_lock(&pool.lock);
    unloaded = true;
    pthread_mutex_unlock(&pool.lock);
    end_pool();
}

}  // namespace

void run_on_pool(int workers, void (*work)(void *argument, int index), void *argument) {
    Job job = {work, argument, workers};
    pthread_mutex_lock(&pool.lock);
    while (pool.threads < std::min(workers, kMaxThreads) - 1 && !pool.ending && !unloaded &&
           begin_thread(&pool.ids[pool.threads])) {
        ++pool.threads;
    }
    job.after = pool.jobs;
    pool.jobs = &job;
    pool.posts.fetch_add(1, std::memory_order_relaxed);
    const int wanted = std::min(workers - 1, pool.sleeping);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < wanted; ++i) {
        pthread_cond_signal(&pool.posted);
    }

    work(argument, 0);

    pthread_mutex_lock(&pool.lock);
    withdraw(&job);
    pthread_mutex_unlock(&pool.lock);
    const auto is_done = [&job] { return job.running.load(std::memory_order_acquire) == 0; };
    look_for(is_done);
    if (is_done()) {
        return;
    }
    pthread_mutex_lock(&pool.lock);
    ++pool.waiting;
    while (!is_done()) {
        pthread_cond_wait(&pool.finished, &pool.lock);
    }
    --pool.waiting;
    pthread_mutex_unlock(&pool.lock);
}

void end_pool() {
    pthread_mutex_lock(&ends);
    pthread_mutex_lock(&pool.lock);
    pool.ending = true;
    pool.posts.fetch_add(1, std::memory_order_relaxed);
    const int threads = pool.threads;
    pthread_cond_broadcast(&pool.posted);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < threads; ++i) {
        pthread_join(pool.ids[i], nullptr);  // which refuses where a thread of the pool ends the program
    }
    pthread_mutex_lock(&pool.lock);
    pool.threads = 0;
    pool.ending = false;
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&ends);
}

}  // namespace hnorm::detail
