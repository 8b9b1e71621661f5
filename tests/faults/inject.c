/*
 * inject.c - a library to preload, through which every system call and every
 * allocation that the extension makes by itself has to pass.
 *
 * It looks where a call comes from: only those of the extension (or of a test
 * program of the core) are counted, failed or shortened; CPython's own pass.
 * So it is the ordinary build that is tested, and nothing in it knows.
 *
 *   fault_arm(after, error, period)  let `after` calls pass, fail the next
 *         with `error`; period > 0: and every period-th after it.  error 0:
 *         writes are cut to one byte instead, and only they count
 *   fault_off()                      how many calls were counted, or failed
 *   fault_where()                    the name of the last one that failed
 *   KEVENT_DENY="accept4=38,pidfd_open=1"  those always fail (errno 38, 1)
 *   KEVENT_FAULT_PERIOD=1000         from the start, about every 1000th call
 *         fails with an error that it may have at any time, or is cut short
 *   KEVENT_FAULT_SAY=1               and at the end it says how many did
 *   KEVENT_DENY_SEEN=FILE            names of denied calls are appended there
 *
 * close(2), munmap(2) and free(3) are never failed: they cannot.
 */
#define _GNU_SOURCE 1

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* ---- whose call it is ----------------------------------------------- */

static uintptr_t text_low;
static uintptr_t text_high;

static int
find_text(struct dl_phdr_info *info, size_t size, void *data)
{
    const char *name = strrchr(info->dlpi_name, '/');
    (void)size;
    (void)data;
    name = name == NULL ? info->dlpi_name : name + 1;
    bool ours = strncmp(name, "_core", 5) == 0;
    if (!ours && info->dlpi_name[0] == '\0') {
        /* The main program: a test of the core is called `program`. */
        ours = strcmp(program_invocation_short_name, "program") == 0;
    }
    if (!ours) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
            text_low = info->dlpi_addr + header->p_vaddr;
            text_high = text_low + header->p_memsz;
        }
    }
    return 1;
}

static bool always;   /* something is asked for by the environment */

static bool
is_ours(const void *caller)
{
    if (text_high == 0) {
        if (!always) {
            return false;
        }
        static _Thread_local bool looking;
        static _Thread_local unsigned skipped;
        if (looking || (skipped++ & 63) != 0) {
            return false;   /* until the extension is loaded: now and then */
        }
        looking = true;
        (void)dl_iterate_phdr(find_text, NULL);
        looking = false;
    }
    return (uintptr_t)caller >= text_low && (uintptr_t)caller < text_high;
}

/* ---- what is to fail ------------------------------------------------ */

static atomic_long countdown = -1;
static atomic_long counted;
static atomic_long failed;
static int fault_error;
static long fault_period;
static const char *fault_name = "";
static atomic_ulong chance;
static long chance_period;
static const char *denied = "";
static const char *seen_file;

__attribute__((constructor)) static void
begin(void)
{
    const char *period = getenv("KEVENT_FAULT_PERIOD");
    const char *deny = getenv("KEVENT_DENY");
    const char *seen = getenv("KEVENT_DENY_SEEN");
    if (period != NULL) {
        chance_period = atol(period);
        chance = (unsigned long)getpid() * 2654435761u + 1;
    }
    if (deny != NULL) {
        denied = strdup(deny);
    }
    if (seen != NULL) {
        seen_file = strdup(seen);
    }
    always = chance_period > 0 || denied[0] != '\0';
}

/* The soak's short account. */
__attribute__((destructor)) static void
finish(void)
{
    if (chance_period > 0 && text_high != 0
        && getenv("KEVENT_FAULT_SAY") != NULL) {
        fprintf(stderr, "%ld calls were interrupted or cut short\n",
                (long)failed);
    }
}

void
fault_arm(long after, int error, long period)
{
    (void)dl_iterate_phdr(find_text, NULL);
    counted = 0;
    failed = 0;
    fault_error = error;
    fault_period = period;
    fault_name = "";
    countdown = after;
}

long
fault_off(void)
{
    countdown = -1;
    return failed;
}

long
fault_counted(void)
{
    return counted;
}

const char *
fault_where(void)
{
    return fault_name;
}

/* The errno with which a denied call fails, or 0. */
static int
denial(const char *name)
{
    size_t length = strlen(name);
    for (const char *at = denied; (at = strstr(at, name)) != NULL; at++) {
        if ((at == denied || at[-1] == ',') && at[length] == '=') {
            /* Not kept open: a test looks what descriptors a child has. */
            int fd = seen_file == NULL ? -1 : open(
                seen_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
            if (fd >= 0) {
                (void)!write(fd, name, length);
                (void)!write(fd, "\n", 1);
                (void)close(fd);
            }
            return atoi(at + length + 1);
        }
    }
    return 0;
}

enum kind { PLAIN, READ, WRITE, SLEEP, MEMORY };

/* Linux reads all that is there: it never says EAGAIN, or gives but a part,
   while there is more (but for urgent data and passed descriptors). */
static bool
due(enum kind kind, const char *name)
{
    if (countdown < 0 || (fault_error == 0 && kind != WRITE)
        || (fault_error == EAGAIN && kind == READ)) {
        return false;
    }
    counted++;
    long left = countdown--;
    if (left > 0) {
        return false;
    }
    countdown = fault_period > 0 ? fault_period - 1 : -1;
    failed++;
    fault_name = name;
    return true;
}

/* By chance: what may happen to such a call at any time. */
static int
by_chance(enum kind kind, size_t *size)
{
    unsigned long x = chance;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    chance = x;
    if ((x >> 8) % (unsigned long)chance_period != 0) {
        return 0;
    }
    failed++;
    if (kind == WRITE && size != NULL && *size > 1 && (x & 1)) {
        *size = 1 + (x >> 40) % *size;
        return 0;
    }
    if (kind == READ || kind == WRITE || kind == SLEEP) {
        return EINTR;
    }
    return 0;
}

/* The errno to fail with, or 0; *size may be cut. */
static int
fault(const void *caller, enum kind kind, const char *name, size_t *size)
{
    if (!is_ours(caller)) {
        return 0;
    }
    int error = denied[0] == '\0' || kind == MEMORY ? 0 : denial(name);
    if (error != 0) {
        return error;
    }
    if (chance_period > 0 && (error = by_chance(kind, size)) != 0) {
        return error;
    }
    if (!due(kind, name)) {
        return 0;
    }
    if (fault_error == 0) {
        if (size != NULL && *size > 1) {
            *size = 1;
        }
        return 0;
    }
    return fault_error;
}

/* ---- the calls ------------------------------------------------------ */

#define REAL(name)                                                        \
    static __typeof__(&name) real;                                        \
    if (real == NULL) {                                                   \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                \
    }
#define FAIL(kind, size)                                                  \
    do {                                                                  \
        int error_ = fault(__builtin_return_address(0), kind, __func__,   \
                           size);                                         \
        if (error_ != 0) {                                                \
            errno = error_;                                               \
            return -1;                                                    \
        }                                                                 \
    } while (0)

#define CALL(type, name, kind, parameters, arguments)                     \
    type name parameters                                                  \
    {                                                                     \
        REAL(name)                                                        \
        FAIL(kind, NULL);                                                 \
        return real arguments;                                            \
    }

CALL(int, accept4, PLAIN,
     (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
CALL(int, accept, PLAIN, (int fd, struct sockaddr *a, socklen_t *n),
     (fd, a, n))
CALL(int, bind, PLAIN, (int fd, const struct sockaddr *a, socklen_t n),
     (fd, a, n))
CALL(int, connect, PLAIN, (int fd, const struct sockaddr *a, socklen_t n),
     (fd, a, n))
CALL(int, socket, PLAIN, (int f, int t, int p), (f, t, p))
CALL(int, epoll_create1, PLAIN, (int flags), (flags))
CALL(int, epoll_ctl, PLAIN,
     (int ep, int op, int fd, struct epoll_event *e), (ep, op, fd, e))
CALL(int, epoll_wait, SLEEP,
     (int ep, struct epoll_event *e, int max, int ms), (ep, e, max, ms))
CALL(int, epoll_pwait, SLEEP,
     (int ep, struct epoll_event *e, int max, int ms, const sigset_t *mask),
     (ep, e, max, ms, mask))
CALL(int, eventfd, PLAIN, (unsigned count, int flags), (count, flags))
CALL(int, timerfd_create, PLAIN, (clockid_t clock, int flags),
     (clock, flags))
CALL(int, timerfd_settime, PLAIN,
     (int fd, int flags, const struct itimerspec *new,
      struct itimerspec *old), (fd, flags, new, old))
CALL(int, signalfd, PLAIN, (int fd, const sigset_t *set, int flags),
     (fd, set, flags))
CALL(int, inotify_init1, PLAIN, (int flags), (flags))
CALL(int, inotify_add_watch, PLAIN,
     (int fd, const char *path, uint32_t mask), (fd, path, mask))
CALL(int, inotify_rm_watch, PLAIN, (int fd, int wd), (fd, wd))
CALL(int, getsockname, PLAIN, (int fd, struct sockaddr *a, socklen_t *n),
     (fd, a, n))
CALL(int, getpeername, PLAIN, (int fd, struct sockaddr *a, socklen_t *n),
     (fd, a, n))
CALL(int, getsockopt, PLAIN,
     (int fd, int level, int name, void *value, socklen_t *n),
     (fd, level, name, value, n))
CALL(int, setsockopt, PLAIN,
     (int fd, int level, int name, const void *value, socklen_t n),
     (fd, level, name, value, n))
CALL(int, shutdown, PLAIN, (int fd, int how), (fd, how))
CALL(int, fstat, PLAIN, (int fd, struct stat *status), (fd, status))
CALL(int, ppoll, SLEEP,
     (struct pollfd *fds, nfds_t n, const struct timespec *timeout,
      const sigset_t *mask), (fds, n, timeout, mask))

/* What is denied is to wait by pidfd. */
int
waitid(idtype_t type, id_t id, siginfo_t *info, int how)
{
    REAL(waitid)
    int error = fault(__builtin_return_address(0), PLAIN,
                      type == (idtype_t)3 ? "waitid_pidfd" : "waitid", NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return real(type, id, info, how);
}

CALL(int, dup3, PLAIN, (int old, int new, int flags), (old, new, flags))
CALL(int, madvise, PLAIN, (void *start, size_t size, int advice),
     (start, size, advice))
CALL(int, recvmmsg, READ,
     (int fd, struct mmsghdr *m, unsigned n, int flags,
      struct timespec *timeout), (fd, m, n, flags, timeout))
CALL(int, sendmmsg, PLAIN,
     (int fd, struct mmsghdr *m, unsigned n, int flags), (fd, m, n, flags))

/* Whether a send may be cut.  By chance only on a Unix socket: TCP takes but a
   part only when it is full, and reports an edge later, which is relied on. */
static bool
is_stream(int fd)
{
    int type = 0;
    int family = AF_UNIX;
    socklen_t size = sizeof(type);
    int (*real)(int, int, int, void *, socklen_t *) =
        (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT,
                                                           "getsockopt");
    if (chance_period > 0) {
        (void)real(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    }
    return real(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0
        && type == SOCK_STREAM && family == AF_UNIX;
}

#define TRANSFER_CALL(name, kind, parameters, arguments)                       \
    ssize_t name parameters                                               \
    {                                                                     \
        REAL(name)                                                        \
        FAIL(kind, &size);                                                \
        return real arguments;                                            \
    }

TRANSFER_CALL(read, READ, (int fd, void *buffer, size_t size), (fd, buffer, size))
TRANSFER_CALL(recv, READ, (int fd, void *buffer, size_t size, int flags),
              (fd, buffer, size, flags))
TRANSFER_CALL(sendfile, WRITE, (int out, int in, off_t *offset, size_t size),
              (out, in, offset, size))

/* What is written to an eventfd is eight bytes or refused. */
ssize_t
write(int fd, const void *buffer, size_t size)
{
    size_t whole = size;
    REAL(write)
    FAIL(WRITE, &size);
    return real(fd, buffer, whole == sizeof(uint64_t) || chance_period > 0
                ? whole : size);
}

/* A datagram is whole or not: it is not cut. */
ssize_t
send(int fd, const void *buffer, size_t size, int flags)
{
    size_t whole = size;
    REAL(send)
    FAIL(WRITE, &size);
    return real(fd, buffer, size == whole || is_stream(fd) ? size : whole,
                flags);
}

CALL(ssize_t, recvfrom, READ,
     (int fd, void *buffer, size_t size, int flags, struct sockaddr *a,
      socklen_t *n), (fd, buffer, size, flags, a, n))
CALL(ssize_t, sendto, PLAIN,
     (int fd, const void *buffer, size_t size, int flags,
      const struct sockaddr *a, socklen_t n), (fd, buffer, size, flags, a, n))

/* A vector is cut to a part of its first piece. */
#define VECTOR(kind, count_, pieces_)                                     \
    struct iovec part;                                                    \
    size_t whole = (count_) > 0 ? (pieces_)[0].iov_len : 0;               \
    size_t size = whole;                                                  \
    FAIL(kind, &size)

ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg)
    VECTOR(READ, message->msg_iovlen, message->msg_iov);
    if (size == whole || !is_stream(fd)) {
        return real(fd, message, flags);
    }
    part = (struct iovec){message->msg_iov[0].iov_base, size};
    struct msghdr cut = *message;
    cut.msg_iov = &part;
    cut.msg_iovlen = 1;
    ssize_t n = real(fd, &cut, flags);
    message->msg_flags = cut.msg_flags;
    message->msg_namelen = cut.msg_namelen;
    message->msg_controllen = cut.msg_controllen;
    return n;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg)
    VECTOR(WRITE, message->msg_iovlen, message->msg_iov);
    if (size == whole || !is_stream(fd)) {
        return real(fd, message, flags);
    }
    part = (struct iovec){message->msg_iov[0].iov_base, size};
    struct msghdr cut = *message;
    cut.msg_iov = &part;
    cut.msg_iovlen = 1;
    return real(fd, &cut, flags);
}

ssize_t
readv(int fd, const struct iovec *pieces, int count)
{
    REAL(readv)
    VECTOR(READ, count, pieces);
    if (size == whole) {
        return real(fd, pieces, count);
    }
    part = (struct iovec){pieces[0].iov_base, size};
    return real(fd, &part, 1);
}

ssize_t
writev(int fd, const struct iovec *pieces, int count)
{
    REAL(writev)
    VECTOR(WRITE, count, pieces);
    if (size == whole || chance_period > 0) {
        return real(fd, pieces, count);
    }
    part = (struct iovec){pieces[0].iov_base, size};
    return real(fd, &part, 1);
}

int
pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    REAL(pthread_sigmask)
    int error = fault(__builtin_return_address(0), PLAIN, __func__, NULL);
    return error != 0 ? error : real(how, set, old);
}

static int
control(int (*real)(int, int, ...), const void *caller, int fd, int command,
        void *argument)
{
    int error = fault(caller, PLAIN, "fcntl", NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return real(fd, command, argument);
}

#define CONTROL(name)                                                     \
    int name(int fd, int command, ...)                                    \
    {                                                                     \
        static int (*real)(int, int, ...);                                \
        if (real == NULL) {                                               \
            real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);       \
        }                                                                 \
        va_list list;                                                     \
        va_start(list, command);                                          \
        void *argument = va_arg(list, void *);                            \
        va_end(list);                                                     \
        return control(real, __builtin_return_address(0), fd, command,    \
                       argument);                                         \
    }

CONTROL(fcntl)
CONTROL(fcntl64)

int
ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl)
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    FAIL(PLAIN, NULL);
    return real(fd, request, argument);
}

long
syscall(long number, ...)
{
    REAL(syscall)
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    const char *name = number == SYS_epoll_pwait2 ? "epoll_pwait2"
        : number == SYS_pidfd_open ? "pidfd_open"
        : number == SYS_io_uring_setup ? "io_uring_setup"
        : number == SYS_io_uring_enter ? "io_uring_enter" : "syscall";
    int error = fault(__builtin_return_address(0),
                      number == SYS_epoll_pwait2 ? SLEEP : PLAIN, name, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- memory --------------------------------------------------------- */

void *
mmap(void *start, size_t size, int protection, int flags, int fd, off_t at)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (real == NULL) {
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(
            RTLD_NEXT, "mmap");
    }
    int error = fault(__builtin_return_address(0), PLAIN, "mmap", NULL);
    if (error != 0) {
        errno = error;
        return MAP_FAILED;
    }
    return real(start, size, protection, flags, fd, at);
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

#define NO_MEMORY(name)                                                   \
    if (fault(__builtin_return_address(0), MEMORY, name, NULL) != 0) {    \
        errno = ENOMEM;                                                   \
        return NULL;                                                      \
    }

void *
malloc(size_t size)
{
    NO_MEMORY("malloc")
    return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    NO_MEMORY("calloc")
    return __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    NO_MEMORY("realloc")
    return __libc_realloc(old, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    NO_MEMORY("aligned_alloc")
    return __libc_memalign(alignment, size);
}

int
posix_memalign(void **ret, size_t alignment, size_t size)
{
    if (fault(__builtin_return_address(0), MEMORY, __func__, NULL) != 0) {
        return ENOMEM;
    }
    *ret = __libc_memalign(alignment, size);
    return *ret == NULL ? ENOMEM : 0;
}
