/*
 * sys.h - every call that the core makes to the kernel or to the allocator.
 *
 * Nothing else in the core makes a system call, so a test that wants the nth
 * of them to fail has one place to do it (KEV_FAULTS, below).  Each function
 * returns what the system call returns, or -errno; errno itself is never read
 * by a caller.
 */
#ifndef KEV_SYS_H
#define KEV_SYS_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

#define KEV_NSEC_PER_SEC  UINT64_C(1000000000)
#define KEV_NSEC_PER_MSEC UINT64_C(1000000)

/* ---- the event set ---- */

int kev_sys_epoll_create(void);
int kev_sys_epoll_ctl(int epfd, int op, int fd, uint32_t events,
                      uint64_t data);

/*
 * Sleep up to timeout_ns (0: look only; UINT64_MAX: for ever).  *coarse is
 * the caller's memory of a kernel without epoll_pwait2: once set, timeouts
 * are milliseconds, rounded up.  The count of events, 0, -EINTR or -errno.
 */
int kev_sys_epoll_wait(int epfd, struct epoll_event *events, int events_max,
                       uint64_t timeout_ns, const sigset_t *sigmask,
                       bool *coarse);

/* ppoll(2) with the same timeouts. */
int kev_sys_poll(struct pollfd *fds, unsigned count, uint64_t timeout_ns,
                 const sigset_t *sigmask);

/* ---- bells and clocks ---- */

int kev_sys_eventfd(void);
int kev_sys_eventfd_ring(int fd);    /* async-signal-safe */
int kev_sys_eventfd_drain(int fd);   /* 0 also if there was nothing */
int kev_sys_timerfd(void);           /* CLOCK_MONOTONIC */
int kev_sys_timerfd_set(int fd, uint64_t deadline_ns);   /* 0 disarms */
uint64_t kev_sys_now(clockid_t clock);                   /* cannot fail */

/* ---- sockets and descriptors ---- */

int kev_sys_sockopt(int fd, int name, int *ret_value);   /* SOL_SOCKET */
int kev_sys_close(int fd);

/* ---- memory ---- */

void *kev_sys_alloc(size_t size);              /* zeroed */
void *kev_sys_alloc_lines(size_t size);        /* zeroed, 64-byte aligned */
void *kev_sys_realloc(void *old, size_t size); /* not zeroed */
void kev_sys_free(void *memory);

/*
 * A word that reads 1 here and 0 in a child that fork(2) makes later.  NULL
 * if there is no memory for it.
 */
const uint32_t *kev_sys_fork_mark(void);
void kev_sys_fork_mark_free(const uint32_t *mark);

#ifdef KEV_FAULTS
/*
 * Tests: let `after` calls pass, then fail one with `error`.  A negative
 * after switches it off.  Returns whether the previous fault was reached.
 */
bool kev_fault_set(long after, int error);
#endif

#endif
