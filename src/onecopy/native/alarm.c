/* The clock of guests' deadlines, as signals to the thread that runs them.
 *
 * A deadline is counted in epochs of wasmtime's engine, which somebody has to advance. A thread
 * that sleeps and advances needs a core, at the very time at which a looping guest has one, and
 * on a busy machine it waits for one, milliseconds at a time. A timer's signal is handled by the
 * looping thread itself, on the core that it has, or as soon as it has one again.
 *
 * Periods that pass while the thread has no core are one signal, and count as one period: a guest
 * that only had to wait should not be taken for one that loops. (The kernel would say how many
 * they were. Counted in full, they cut off three times as many guests that need half of their
 * time, and those that loop were not ended sooner.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "export.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Of a process: written once, before the first signal. */
static void (*advance)(void *engine);
static void *engine;
static timer_t timer;

static void handle(int number) {
    (void)number;
    advance(engine);
}

/* Have the calling thread get the signals that `onecopy_alarm_set` starts; once in a process.
 *
 * `function` is wasmtime_engine_increment_epoch: one atomic addition, safe in a handler.
 * Returns 0 or -errno. */
EXPORT int onecopy_alarm_prepare(void (*function)(void *), void *argument) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    sigset_t ours;
    advance = function;
    engine = argument;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    sigemptyset(&ours);
    sigaddset(&ours, SIGALRM);
    if (sigaction(SIGALRM, &action, 0) || timer_create(CLOCK_MONOTONIC, &event, &timer))
        return -errno;
    return -pthread_sigmask(SIG_UNBLOCK, &ours, 0);
}

/* Signal every so many nanoseconds from now on; 0 ends it. Returns 0 or -errno. */
EXPORT int onecopy_alarm_set(long period) {
    const struct timespec each = {period / 1000000000, period % 1000000000};
    const struct itimerspec times = {each, each};
    return timer_settime(timer, 0, &times, 0) ? -errno : 0;
}
