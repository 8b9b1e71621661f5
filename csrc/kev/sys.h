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
#include <sys/signalfd.h>
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

/*
 * A word that the kernel sets when the set gets its first event: a one-shot
 * poll of io_uring on the set, on a ring whose owner is told of work by a flag
 * in shared memory (Linux 6.1).  The flag is set by whoever makes a descriptor
 * ready, before his system call returns, and no signal comes with it.
 */
struct kev_uring {
    int fd;                      /* -1: not open; a descriptor, or its number
                                    in the table of the thread */
    int32_t thread;              /* 0: it is a descriptor */
    void *rings;                 /* shared with the kernel */
    size_t rings_size;
    struct kev_uring_sqe *entry; /* the one place for a request */
    const uint32_t *flags;       /* told in here */
    uint32_t *requested;         /* tails and heads of the two rings */
    uint32_t *heard;
    const uint32_t *answered;
    uint32_t cqes_offset;
    uint32_t cqes_mask;
    uint64_t sequence;           /* of the last request */
};

/* 0 or -errno: -ENOSYS, -EPERM, -EINVAL where it is not to be had, or not
   wanted (KEVENT_IO_URING=0 in the environment). */
int kev_sys_uring_open(struct kev_uring *uring);
void kev_sys_uring_close(struct kev_uring *uring);

/* Ask to be told of epfd's next event, by the thread that opened the ring.
   1: there is one already; 0: asked; -errno. */
int kev_sys_uring_ask(struct kev_uring *uring, int epfd);

/* The same, without a new request: is there an answer? */
int kev_sys_uring_look(struct kev_uring *uring);

/* Has nothing been told since? */
static inline bool
kev_sys_uring_quiet(const struct kev_uring *uring)
{
    const uint32_t taskrun = 4;   /* IORING_SQ_TASKRUN */
    return (__atomic_load_n(uring->flags, __ATOMIC_ACQUIRE) & taskrun) == 0;
}

/* ppoll(2) with the same timeouts. */
int kev_sys_poll(struct pollfd *fds, unsigned count, uint64_t timeout_ns,
                 const sigset_t *sigmask);

/* ---- bells and clocks ---- */

int kev_sys_eventfd(void);
int kev_sys_eventfd_ring(int fd);    /* async-signal-safe */
int kev_sys_eventfd_drain(int fd);   /* 0 also if there was nothing */
int kev_sys_timerfd(clockid_t clock);
int kev_sys_timerfd_set(int fd, uint64_t deadline_ns);   /* 0 disarms */
/* The same for a clock that may be set: readable also when that happens. */
int kev_sys_timerfd_set_wall(int fd, uint64_t deadline_ns);
uint64_t kev_sys_now(clockid_t clock);                   /* cannot fail */

/* ---- signals ---- */

/* Put a signal into *set, or out of it; -EINVAL: no signal, or one that
   cannot be blocked. */
int kev_sys_sigset(sigset_t *set, int number, bool in);
/* Block it in the calling thread. */
int kev_sys_signal_block(int number);
/* A new signalfd if fd is -1, else the same with another set. */
int kev_sys_signalfd(int fd, const sigset_t *set);
/* Do what would have been done, had the signal not been blocked, if that is
   to call a handler. */
void kev_sys_signal_handle(const struct signalfd_siginfo *info);

/* ---- files and processes ---- */

int kev_sys_inotify(void);
/* Watch the file that the descriptor names for more; the watch, or -errno. */
int kev_sys_inotify_add(int inotify, int fd, uint32_t mask);
int kev_sys_inotify_remove(int inotify, int wd);
/* One process; -ESRCH: there is none, -ENOSYS: before Linux 5.3. */
int kev_sys_pidfd(uint32_t pid);
/* The status as of wait(2), which stays to be waited for: 0, or -ECHILD if
   the process is not our child, -EAGAIN if it runs.  By its number before
   Linux 5.4: a child that has not been waited for keeps it. */
int kev_sys_pidfd_status(int pidfd, uint32_t pid, int *ret_status);
/* As read(2); -EAGAIN: nothing there. */
int kev_sys_read(int fd, void *buffer, size_t size);
int kev_sys_is_fifo(int fd);   /* 0, -EINVAL, -EBADF */
int kev_sys_is_open(int fd);   /* 0, -EBADF */

/* ---- sockets and descriptors ---- */

int kev_sys_unread(int fd, uint32_t *ret_bytes);   /* FIONREAD */
int kev_sys_sockopt(int fd, int name, int *ret_value);   /* SOL_SOCKET */
int kev_sys_close(int fd);

/* ---- memory ---- */

void *kev_sys_alloc(size_t size);              /* zeroed */
void *kev_sys_alloc_lines(size_t size);        /* zeroed, 64-byte aligned */
void *kev_sys_realloc(void *old, size_t size); /* not zeroed */
void kev_sys_free(void *memory);

/*
 * Which process this was: its number, and the word that holds the number of
 * the process that looks.  The kernel clears that word in a child of fork(2).
 */
struct kev_fork_mark {
    const uint32_t *word;
    uint32_t number;
};

int kev_sys_fork_mark(struct kev_fork_mark *ret_mark);   /* 0, -ENOMEM */
bool kev_sys_fork_same_by_pid(const struct kev_fork_mark *mark);

/* Is this the process that made the mark? */
static inline bool
kev_sys_fork_same(const struct kev_fork_mark *mark)
{
    uint32_t here = __atomic_load_n(mark->word, __ATOMIC_RELAXED);
    return __builtin_expect(here == mark->number, 1)
        || kev_sys_fork_same_by_pid(mark);
}

#ifdef KEV_FAULTS
/*
 * Tests: let `after` calls pass, then fail one with `error`.  A negative
 * after switches it off.  Returns whether the previous fault was reached.
 */
bool kev_fault_set(long after, int error);
#endif

#endif
