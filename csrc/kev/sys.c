/*
 * sys.c - the core's only door to the kernel; see sys.h.
 *
 * epoll_pwait2 is called by number: the C library's wrapper is younger than
 * the system call.  Where the kernel does not have it (or a filter refuses
 * it), the queue remembers so and milliseconds are used, rounded up, so that
 * nobody is ever woken before his time.  A look without sleeping needs none
 * of that and is plain epoll_wait, which is some 25 ns cheaper.
 */
#define _GNU_SOURCE 1   /* ppoll */

#include "kev/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define KERNEL_SIGSET_BYTES (_NSIG / 8)

#ifdef KEV_FAULTS

static long fault_countdown = -1;
static int fault_error;
static bool fault_reached;

bool
kev_fault_set(long after, int error)
{
    bool reached = fault_reached;
    fault_countdown = after;
    fault_error = error;
    fault_reached = false;
    return reached;
}

static bool
fault_due(void)
{
    if (fault_countdown < 0 || fault_countdown-- > 0) {
        return false;
    }
    fault_reached = true;
    return true;
}

#define FAIL_IF_DUE()            \
    do {                         \
        if (fault_due()) {       \
            return -fault_error; \
        }                        \
    } while (0)
#define NO_MEMORY_IF_DUE()       \
    do {                         \
        if (fault_due()) {       \
            return NULL;         \
        }                        \
    } while (0)

#else

#define FAIL_IF_DUE() ((void)0)
#define NO_MEMORY_IF_DUE() ((void)0)

#endif

static inline int
result(long r)
{
    return r < 0 ? -errno : (int)r;
}

static struct timespec
timespec_from_ns(uint64_t ns)
{
    return (struct timespec){
        .tv_sec = (time_t)(ns / KEV_NSEC_PER_SEC),
        .tv_nsec = (long)(ns % KEV_NSEC_PER_SEC),
    };
}

/* ---- the event set ---- */

int
kev_sys_epoll_create(void)
{
    FAIL_IF_DUE();
    return result(epoll_create1(EPOLL_CLOEXEC));
}

int
kev_sys_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    FAIL_IF_DUE();
    return result(epoll_ctl(epfd, op, fd, &event));
}

static inline int
epoll_wait_exact(int epfd, struct epoll_event *events, int events_max,
                 const struct timespec *timeout, const sigset_t *sigmask)
{
    FAIL_IF_DUE();
    return result(syscall(SYS_epoll_pwait2, epfd, events, events_max, timeout,
                          sigmask, (size_t)KERNEL_SIGSET_BYTES));
}

static int
epoll_wait_coarse(int epfd, struct epoll_event *events, int events_max,
                  uint64_t timeout_ns, const sigset_t *sigmask)
{
    int timeout_ms = -1;
    if (timeout_ns != UINT64_MAX) {
        uint64_t ms = timeout_ns / KEV_NSEC_PER_MSEC;
        ms += timeout_ns % KEV_NSEC_PER_MSEC != 0;
        timeout_ms = ms > INT_MAX ? INT_MAX : (int)ms;
    }
    return result(epoll_pwait(epfd, events, events_max, timeout_ms, sigmask));
}

int
kev_sys_epoll_wait(int epfd, struct epoll_event *events, int events_max,
                   uint64_t timeout_ns, const sigset_t *sigmask, bool *coarse)
{
    struct timespec timeout;
    const struct timespec *limit = NULL;
    if (timeout_ns == 0 && sigmask == NULL) {
        FAIL_IF_DUE();
        return result(epoll_wait(epfd, events, events_max, 0));
    }
    if (__builtin_expect(!*coarse, 1)) {
        if (timeout_ns != UINT64_MAX) {
            timeout = timespec_from_ns(timeout_ns);
            limit = &timeout;
        }
        int r = epoll_wait_exact(epfd, events, events_max, limit, sigmask);
        if (__builtin_expect(r != -ENOSYS && r != -EPERM, 1)) {
            return r;
        }
        *coarse = true;
    }
    return epoll_wait_coarse(epfd, events, events_max, timeout_ns, sigmask);
}

int
kev_sys_poll(struct pollfd *fds, unsigned count, uint64_t timeout_ns,
             const sigset_t *sigmask)
{
    struct timespec timeout;
    const struct timespec *limit = NULL;
    FAIL_IF_DUE();
    if (timeout_ns != UINT64_MAX) {
        timeout = timespec_from_ns(timeout_ns);
        limit = &timeout;
    }
    return result(ppoll(fds, count, limit, sigmask));
}

/* ---- bells and clocks ---- */

int
kev_sys_eventfd(void)
{
    FAIL_IF_DUE();
    return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int
kev_sys_eventfd_drain(int fd)
{
    uint64_t count;
    FAIL_IF_DUE();
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        return -errno;
    }
    return 0;
}

int
kev_sys_eventfd_ring(int fd)
{
    const uint64_t one = 1;
    FAIL_IF_DUE();
    for (;;) {
        if (write(fd, &one, sizeof(one)) >= 0) {
            return 0;
        }
        if (errno == EAGAIN) {
            /* The counter is full, which takes 2^64 rings: make room. */
            uint64_t count;
            (void)!read(fd, &count, sizeof(count));
        }
        else if (errno != EINTR) {
            return -errno;
        }
    }
}

int
kev_sys_timerfd(void)
{
    FAIL_IF_DUE();
    return result(timerfd_create(CLOCK_MONOTONIC,
                                 TFD_CLOEXEC | TFD_NONBLOCK));
}

int
kev_sys_timerfd_set(int fd, uint64_t deadline_ns)
{
    struct itimerspec when = {.it_value = timespec_from_ns(deadline_ns)};
    FAIL_IF_DUE();
    return result(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL));
}

uint64_t
kev_sys_now(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) < 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * KEV_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* ---- sockets and descriptors ---- */

int
kev_sys_sockopt(int fd, int name, int *ret_value)
{
    int value = 0;
    socklen_t size = sizeof(value);
    FAIL_IF_DUE();
    if (getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0) {
        return -errno;
    }
    *ret_value = value;
    return 0;
}

/* No fault here: a close that fails has closed all the same. */
int
kev_sys_close(int fd)
{
    return result(close(fd));
}

/* ---- memory ---- */

void *
kev_sys_alloc(size_t size)
{
    NO_MEMORY_IF_DUE();
    return calloc(1, size);
}

void *
kev_sys_alloc_lines(size_t size)
{
    NO_MEMORY_IF_DUE();
    size_t rounded = (size + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, rounded);
    if (memory != NULL) {
        memset(memory, 0, rounded);
    }
    return memory;
}

void *
kev_sys_realloc(void *old, size_t size)
{
    NO_MEMORY_IF_DUE();
    return realloc(old, size);
}

void
kev_sys_free(void *memory)
{
    free(memory);
}

const uint32_t *
kev_sys_fork_mark(void)
{
    NO_MEMORY_IF_DUE();
    uint32_t *mark = mmap(NULL, sizeof(*mark), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mark == MAP_FAILED) {
        return NULL;
    }
    /* Where this is refused a child is not told apart; no more than that. */
    (void)madvise(mark, sizeof(*mark), MADV_WIPEONFORK);
    *mark = 1;
    return mark;
}

void
kev_sys_fork_mark_free(const uint32_t *mark)
{
    if (mark != NULL) {
        (void)munmap((void *)(uintptr_t)mark, sizeof(*mark));
    }
}
