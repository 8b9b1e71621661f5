/*
 * sys.c - the core's only door to the kernel; see sys.h.
 *
 * epoll_pwait2 is called by number: the C library's wrapper is younger than
 * the system call.  Where the kernel does not have it (or a filter refuses
 * it), the queue remembers so and milliseconds are used, rounded up, so that
 * nobody is ever woken before his time.  A look without sleeping needs none
 * of that and is plain epoll_wait, which is some 25 ns cheaper.
 */
#define _GNU_SOURCE 1   /* ppoll, secure_getenv, TFD_TIMER_... */

#include "kev/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif

#define P_PIDFD_ID 3   /* P_PIDFD, which older C libraries lack */

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
    if ((timeout_ns == 0 || timeout_ns == UINT64_MAX) && sigmask == NULL) {
        FAIL_IF_DUE();
        return result(epoll_wait(epfd, events, events_max,
                                 timeout_ns == 0 ? 0 : -1));
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

/* ---- io_uring: the little that is used of it ---- */

/* linux/io_uring.h, which a machine that builds may have too old or not. */
struct uring_offsets {
    uint32_t head, tail, ring_mask, ring_entries;
    uint32_t more[4];            /* see uring_params */
    uint64_t user_addr;
};

struct uring_params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle;
    uint32_t features, wq_fd, resv[3];
    struct uring_offsets sq;     /* more: flags, dropped, array, - */
    struct uring_offsets cq;     /* more: overflow, cqes, flags, - */
};

struct kev_uring_sqe {
    uint8_t opcode, flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off, addr;
    uint32_t len, poll_events;
    uint64_t user_data;
    uint64_t rest[3];
};

struct uring_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct uring_ring {
    uint32_t number, zero;
    uint64_t fd;
};

/* "fd is a number of the thread's table", to io_uring_register. */
#define URING_REGISTER_BY_NUMBER (1u << 31)

_Static_assert(sizeof(struct uring_params) == 120, "what the kernel writes");
_Static_assert(sizeof(struct kev_uring_sqe) == 64, "what the kernel reads");

enum {
    URING_TASKRUN_FLAG = 1 << 9,
    URING_SINGLE_ISSUER = 1 << 12,
    URING_DEFER_TASKRUN = 1 << 13,
    URING_SINGLE_MMAP = 1 << 0,
    URING_REG_REG_RING = 1 << 13,
    URING_POLL_ADD = 6,
    URING_GETEVENTS = 1,
    URING_ENTER_REGISTERED = 1 << 4,
    URING_REGISTER_RINGS = 20,
    URING_UNREGISTER_RINGS = 21,
    URING_SQES_OFFSET = 0x10000000,
};

static void *
uring_map(int fd, size_t size, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                        offset);
    return memory == MAP_FAILED ? NULL : memory;
}

static int32_t
thread_number(void)
{
    return (int32_t)syscall(SYS_gettid);
}

/*
 * Moves the ring from the descriptors to a table that the thread has for such
 * (Linux 6.3): a program that counts its descriptors shall not find one that
 * comes in the middle of its work.  Stays where it is if that cannot be done.
 */
static void
uring_hide(struct kev_uring *uring, uint32_t features)
{
    struct uring_ring ring = {.number = UINT32_MAX, .fd = (uint32_t)uring->fd};
    if ((features & URING_REG_REG_RING) == 0
        || syscall(SYS_io_uring_register, uring->fd, URING_REGISTER_RINGS,
                   &ring, 1) != 1) {
        return;
    }
    (void)close(uring->fd);
    uring->fd = (int)ring.number;
    uring->thread = thread_number();
}

/* In another thread, or another process, the number is somebody else's: what
   is left in the table goes with its thread. */
static void
uring_let_go(const struct kev_uring *uring)
{
    struct uring_ring ring = {.number = (uint32_t)uring->fd};
    if (uring->thread == 0) {
        (void)close(uring->fd);
    }
    else if (uring->thread == thread_number()) {
        (void)syscall(SYS_io_uring_register, uring->fd,
                      URING_UNREGISTER_RINGS | URING_REGISTER_BY_NUMBER,
                      &ring, 1);
    }
}

int
kev_sys_uring_open(struct kev_uring *uring)
{
    struct uring_params params = {
        .flags = URING_TASKRUN_FLAG | URING_SINGLE_ISSUER
            | URING_DEFER_TASKRUN,
    };
    *uring = (struct kev_uring){.fd = -1};
    const char *wanted = secure_getenv("KEVENT_IO_URING");
    if (wanted != NULL && strcmp(wanted, "0") == 0) {
        return -EPERM;
    }
    FAIL_IF_DUE();
    int fd = result(syscall(SYS_io_uring_setup, 1, &params));
    if (fd < 0) {
        return fd;
    }
    size_t cqes = params.cq.more[1]
        + params.cq_entries * sizeof(struct uring_cqe);
    size_t array = params.sq.more[2] + params.sq_entries * sizeof(uint32_t);
    uring->fd = fd;
    uring->rings_size = cqes > array ? cqes : array;
    uring->rings = uring_map(fd, uring->rings_size, 0);
    uring->entry = uring_map(fd, sizeof(*uring->entry), URING_SQES_OFFSET);
    if (uring->rings == NULL || uring->entry == NULL
        || (params.features & URING_SINGLE_MMAP) == 0
        || params.sq_entries != 1) {
        kev_sys_uring_close(uring);
        return -ENOMEM;
    }
    char *rings = uring->rings;
    uring->flags = (uint32_t *)(rings + params.sq.more[0]);
    uring->requested = (uint32_t *)(rings + params.sq.tail);
    uring->heard = (uint32_t *)(rings + params.cq.head);
    uring->answered = (uint32_t *)(rings + params.cq.tail);
    uring->cqes_offset = params.cq.more[1];
    uring->cqes_mask = params.cq_entries - 1;
    *(uint32_t *)(rings + params.sq.more[2]) = 0;   /* the only entry */
    uring_hide(uring, params.features);
    return 0;
}

void
kev_sys_uring_close(struct kev_uring *uring)
{
    if (uring->fd >= 0) {
        uring_let_go(uring);
        if (uring->rings != NULL) {
            (void)munmap(uring->rings, uring->rings_size);
        }
        if (uring->entry != NULL) {
            (void)munmap(uring->entry, sizeof(*uring->entry));
        }
    }
    *uring = (struct kev_uring){.fd = -1};
}

/* Reads all answers; whether one is that of the last request. */
static bool
uring_answered(struct kev_uring *uring)
{
    const struct uring_cqe *cqes = (const struct uring_cqe *)(
        (const char *)uring->rings + uring->cqes_offset);
    uint32_t end = __atomic_load_n(uring->answered, __ATOMIC_ACQUIRE);
    bool last = false;
    for (uint32_t i = *uring->heard; i != end; i++) {
        last |= cqes[i & uring->cqes_mask].user_data == uring->sequence;
    }
    __atomic_store_n(uring->heard, end, __ATOMIC_RELEASE);
    return last;
}

/* GETEVENTS lets the kernel finish what it has told of before. */
static int
uring_enter(const struct kev_uring *uring, unsigned count)
{
    unsigned flags = URING_GETEVENTS;
    if (uring->thread != 0) {
        if (uring->thread != thread_number()) {
            return -EEXIST;      /* as the kernel says of a descriptor */
        }
        flags |= URING_ENTER_REGISTERED;
    }
    return result(syscall(SYS_io_uring_enter, uring->fd, count, 0, flags,
                          NULL, (size_t)0));
}

int
kev_sys_uring_look(struct kev_uring *uring)
{
    FAIL_IF_DUE();
    int r = uring_enter(uring, 0);
    return r < 0 ? r : uring_answered(uring);
}

int
kev_sys_uring_ask(struct kev_uring *uring, int epfd)
{
    FAIL_IF_DUE();
    *uring->entry = (struct kev_uring_sqe){
        .opcode = URING_POLL_ADD,
        .fd = epfd,
        .poll_events = POLLIN,
        .user_data = ++uring->sequence,
    };
    __atomic_store_n(uring->requested, *uring->requested + 1,
                     __ATOMIC_RELEASE);
    int r = uring_enter(uring, 1);
    if (r != 1) {
        return r < 0 ? r : -EIO;
    }
    return uring_answered(uring);
}

/* ---- one descriptor, or several ---- */

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
kev_sys_timerfd(clockid_t clock)
{
    FAIL_IF_DUE();
    return result(timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK));
}

int
kev_sys_timerfd_set(int fd, uint64_t deadline_ns)
{
    struct itimerspec when = {.it_value = timespec_from_ns(deadline_ns)};
    FAIL_IF_DUE();
    return result(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL));
}

int
kev_sys_timerfd_set_wall(int fd, uint64_t deadline_ns)
{
    const int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    struct itimerspec when = {.it_value = timespec_from_ns(deadline_ns)};
    FAIL_IF_DUE();
    int r = result(timerfd_settime(fd, flags, &when, NULL));
    /* Set a moment ago: it was told so, and is told no more. */
    return r == -ECANCELED
        ? result(timerfd_settime(fd, flags, &when, NULL)) : r;
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

/* ---- signals ---- */

int
kev_sys_sigset(sigset_t *set, int number, bool in)
{
    if (number == SIGKILL || number == SIGSTOP) {
        return -EINVAL;
    }
    return result(in ? sigaddset(set, number) : sigdelset(set, number));
}

int
kev_sys_signal_block(int number)
{
    sigset_t set;
    FAIL_IF_DUE();
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int
kev_sys_signalfd(int fd, const sigset_t *set)
{
    FAIL_IF_DUE();
    return result(signalfd(fd, set, SFD_CLOEXEC | SFD_NONBLOCK));
}

/* The handler's argument, of what the descriptor told. */
static siginfo_t
siginfo_from(const struct signalfd_siginfo *info)
{
    siginfo_t full;
    memset(&full, 0, sizeof(full));
    full.si_signo = (int)info->ssi_signo;
    full.si_errno = info->ssi_errno;
    full.si_code = info->ssi_code;
    if (info->ssi_signo == SIGCHLD) {
        full.si_pid = (pid_t)info->ssi_pid;
        full.si_uid = info->ssi_uid;
        full.si_status = info->ssi_status;
        full.si_utime = (clock_t)info->ssi_utime;
        full.si_stime = (clock_t)info->ssi_stime;
    }
    else if (info->ssi_signo == SIGIO) {
        full.si_band = (long)info->ssi_band;
        full.si_fd = info->ssi_fd;
    }
    else if (info->ssi_code == SI_TIMER) {
        full.si_timerid = (int)info->ssi_tid;
        full.si_overrun = (int)info->ssi_overrun;
        full.si_value.sival_ptr = (void *)(uintptr_t)info->ssi_ptr;
    }
    else {
        full.si_pid = (pid_t)info->ssi_pid;
        full.si_uid = info->ssi_uid;
        full.si_value.sival_ptr = (void *)(uintptr_t)info->ssi_ptr;
    }
    return full;
}

void
kev_sys_signal_handle(const struct signalfd_siginfo *info)
{
    struct sigaction action;
    int number = (int)info->ssi_signo;
    if (sigaction(number, NULL, &action) < 0) {
        return;
    }
    if (action.sa_flags & SA_SIGINFO) {
        siginfo_t full = siginfo_from(info);
        action.sa_sigaction(number, &full, NULL);
    }
    else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
        action.sa_handler(number);
    }
}

/* ---- files and processes ---- */

int
kev_sys_inotify(void)
{
    FAIL_IF_DUE();
    return result(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int
kev_sys_inotify_add(int inotify, int fd, uint32_t mask)
{
    char path[32];
    FAIL_IF_DUE();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return result(inotify_add_watch(inotify, path, mask | IN_MASK_ADD));
}

int
kev_sys_inotify_remove(int inotify, int wd)
{
    FAIL_IF_DUE();
    return result(inotify_rm_watch(inotify, wd));
}

int
kev_sys_pidfd(uint32_t pid)
{
    FAIL_IF_DUE();
    return result(syscall(SYS_pidfd_open, (pid_t)pid, 0u));
}

int
kev_sys_pidfd_status(int pidfd, uint32_t pid, int *ret_status)
{
    const int how = WEXITED | WNOWAIT | WNOHANG;
    siginfo_t info = {.si_pid = 0};
    FAIL_IF_DUE();
    int r = waitid((idtype_t)P_PIDFD_ID, (id_t)pidfd, &info, how);
    if (r < 0 && errno == EINVAL) {
        r = waitid(P_PID, (id_t)pid, &info, how);
    }
    if (r < 0) {
        return -errno;
    }
    if (info.si_pid == 0) {
        return -EAGAIN;
    }
    switch (info.si_code) {
    case CLD_EXITED:
        *ret_status = (info.si_status & 0xff) << 8;
        break;
    case CLD_DUMPED:
        *ret_status = info.si_status | 0x80;
        break;
    default:
        *ret_status = info.si_status;
    }
    return 0;
}

int
kev_sys_read(int fd, void *buffer, size_t size)
{
    FAIL_IF_DUE();
    return result(read(fd, buffer, size));
}

int
kev_sys_is_fifo(int fd)
{
    struct stat status;
    FAIL_IF_DUE();
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    return S_ISFIFO(status.st_mode) ? 0 : -EINVAL;
}

int
kev_sys_is_open(int fd)
{
    FAIL_IF_DUE();
    return fcntl(fd, F_GETFD) < 0 ? -errno : 0;
}

/* ---- sockets and descriptors ---- */

int
kev_sys_unread(int fd, uint32_t *ret_bytes)
{
    int bytes = 0;
    FAIL_IF_DUE();
    if (ioctl(fd, FIONREAD, &bytes) < 0) {
        return -errno;
    }
    *ret_bytes = (uint32_t)bytes;
    return 0;
}

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

/*
 * The one thing here that belongs to the process and not to a queue: a page
 * that fork(2) wipes, made for the first queue and never given back.  A page
 * for each queue would be a third of what a new loop costs.
 *
 * numbers_given is copied by fork, so that a child's number is none of its
 * ancestors'.
 */
static uint32_t *process_word;
static uint32_t numbers_given;

/* Where the kernel wipes nothing this word stays 0, and the number is that
   of the process. */
static const uint32_t no_word;

/* The page, made by whoever comes first; NULL if there is no memory for it,
   no_word if the kernel does not wipe. */
static const uint32_t *
fork_word(void)
{
    uint32_t *word = __atomic_load_n(&process_word, __ATOMIC_ACQUIRE);
    if (word != NULL) {
        return word;
    }
    uint32_t *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    if (madvise(page, sizeof(*page), MADV_WIPEONFORK) < 0) {
        (void)munmap(page, sizeof(*page));
        return &no_word;
    }
    if (!__atomic_compare_exchange_n(&process_word, &word, page, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        (void)munmap(page, sizeof(*page));
        return word;
    }
    return page;
}

/* The number in the word, a new one if the kernel has wiped it. */
static uint32_t
fork_number(uint32_t *word)
{
    uint32_t number = __atomic_load_n(word, __ATOMIC_RELAXED);
    if (number != 0) {
        return number;
    }
    uint32_t next = __atomic_add_fetch(&numbers_given, 1, __ATOMIC_RELAXED);
    return __atomic_compare_exchange_n(word, &number, next, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)
        ? next : number;
}

int
kev_sys_fork_mark(struct kev_fork_mark *ret_mark)
{
#ifdef KEV_FAULTS
    if (fault_due()) {
        return -ENOMEM;
    }
#endif
    const uint32_t *word = fork_word();
    if (word == NULL) {
        return -ENOMEM;
    }
    *ret_mark = (struct kev_fork_mark){
        .word = word,
        .number = word == &no_word ? (uint32_t)getpid()
            : fork_number((uint32_t *)(uintptr_t)word),
    };
    return 0;
}

bool
kev_sys_fork_same_by_pid(const struct kev_fork_mark *mark)
{
    return mark->word == &no_word && mark->number == (uint32_t)getpid();
}
