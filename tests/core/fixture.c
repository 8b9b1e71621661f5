/*
 * fixture.c - see fixture.h.
 */
#define _GNU_SOURCE 1   /* pipe2 */

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct kev_queue *
open_shared(void)
{
    struct kev_queue *queue = NULL;
    CHECK_EQ(kevent_open(&queue, 0), 0);
    return queue;
}

struct kev_queue *
open_owned(void)
{
    struct kev_queue *queue = NULL;
    CHECK_EQ(kevent_open(&queue, KEVENT_OPEN_OWNED), 0);
    return queue;
}

void
close_queue(struct kev_queue *queue)
{
    CHECK_EQ(kev_queue_check(queue), 0);
    kevent_close(queue);
}

struct kevent_ring *
ring_new(struct kev_queue *queue, unsigned num)
{
    struct kevent_ring *ring = malloc(KEVENT_RING_SIZE(num));
    CHECK(ring != NULL);
    memset(ring, 0xa5, KEVENT_RING_SIZE(num));
    CHECK_EQ(kevent_ring_init(queue, ring, num), 0);
    return ring;
}

struct ukevent
uk_fd(uint32_t type, int fd, uint32_t event, uint32_t flags)
{
    return (struct ukevent){
        .id.raw = {(uint32_t)fd, 0},
        .type = type,
        .event = event,
        .req_flags = flags,
        .user_u64 = 1000 + (uint64_t)fd,
    };
}

struct ukevent
uk_poll(int fd, uint32_t event, uint32_t flags)
{
    return uk_fd(KEVENT_POLL, fd, event, flags);
}

struct ukevent
uk_user(uint64_t id, uint32_t flags)
{
    return (struct ukevent){
        .id.raw_u64 = id,
        .type = KEVENT_UNOTIFY,
        .event = 1,
        .req_flags = flags,
        .user_u64 = id,
    };
}

struct ukevent
uk_timer(uint64_t interval_ns, uint32_t flags)
{
    return (struct ukevent){
        .id.raw = {(uint32_t)(interval_ns / SEC),
                   (uint32_t)(interval_ns % SEC)},
        .type = KEVENT_TIMER,
        .event = KEVENT_TIMER_FIRED,
        .req_flags = flags,
        .user_u64 = interval_ns,
    };
}

struct ukevent
uk_named(uint32_t type, uint64_t id, uint32_t flags)
{
    return (struct ukevent){
        .id.raw_u64 = id,
        .type = type,
        .event = type == KEVENT_TIMER ? KEVENT_TIMER_FIRED : KEVENT_MASK_ALL,
        .req_flags = flags,
        .user_u64 = id,
    };
}

int
ctl(struct kev_queue *queue, unsigned cmd, struct ukevent uk,
    struct ukevent *answer)
{
    int r = kevent_ctl(queue, cmd, 1, &uk);
    if (r >= 0 && (uk.ret_flags & KEVENT_RET_BROKEN)) {
        r = (int)uk.ret_data[1];
    }
    if (answer != NULL) {
        *answer = uk;
    }
    return r;
}

int
add(struct kev_queue *queue, struct ukevent uk)
{
    return ctl(queue, KEVENT_CTL_ADD, uk, NULL);
}

int
modify(struct kev_queue *queue, struct ukevent uk)
{
    return ctl(queue, KEVENT_CTL_MODIFY, uk, NULL);
}

int
remove_one(struct kev_queue *queue, struct ukevent uk)
{
    return ctl(queue, KEVENT_CTL_REMOVE, uk, NULL);
}

int
ready(struct kev_queue *queue, struct ukevent uk)
{
    return ctl(queue, KEVENT_CTL_READY, uk, NULL);
}

int
set_timer(struct kev_queue *queue, unsigned cmd, struct ukevent uk,
          uint64_t initial_ns, uint64_t interval_ns, unsigned flags)
{
    return kevent_timer(queue, cmd, &uk, initial_ns, interval_ns, flags);
}

int
take(struct kev_queue *queue, struct ukevent *buf, unsigned max)
{
    return kev_queue_get_events(queue, 0, max, 0, buf, 0, NULL);
}

bool
readable(const struct kev_queue *queue)
{
    struct pollfd fd = {.fd = kevent_fileno(queue), .events = POLLIN};
    int r = poll(&fd, 1, 0);
    CHECK(r >= 0);
    return r == 1;
}

struct ukevent
take_one(struct kev_queue *queue)
{
    struct ukevent buf[4];
    CHECK_EQ(take(queue, buf, 4), 1);
    CHECK_EQ(kev_queue_check(queue), 0);
    return buf[0];
}

void
take_none(struct kev_queue *queue)
{
    struct ukevent buf[4];
    CHECK_EQ(take(queue, buf, 4), 0);
    CHECK_EQ(kev_queue_check(queue), 0);
}

struct pair
pair_pipe(void)
{
    int fds[2];
    CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    return (struct pair){.near = fds[0], .far = fds[1]};
}

struct pair
pair_sockets(void)
{
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        0, fds), 0);
    return (struct pair){.near = fds[0], .far = fds[1]};
}

void
pair_close(struct pair pair)
{
    CHECK_EQ(close(pair.near), 0);
    CHECK_EQ(close(pair.far), 0);
}

void
write_byte(int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
}

void
read_bytes(int fd)
{
    char text[4096];
    while (read(fd, text, sizeof(text)) > 0) {
    }
}

static rlim_t
descriptors_set(rlim_t soft)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = soft;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static rlim_t descriptors_before;

void
descriptors_limit(unsigned more)
{
    int lowest = dup(0);
    CHECK(lowest >= 0);
    CHECK_EQ(close(lowest), 0);
    descriptors_before = descriptors_set((rlim_t)lowest + more);
}

void
descriptors_free(void)
{
    (void)descriptors_set(descriptors_before);
}

void
await_waiters(struct kev_queue *queue, unsigned count)
{
    for (;;) {
        kev_queue_lock(queue);
        bool there = queue->waiters_count == count;
        kev_queue_unlock(queue);
        if (there) {
            return;
        }
        sched_yield();
    }
}
