/*
 * test_open.c - kevent_open and kevent_fileno.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

TEST(open_refuses_unknown_flags)
{
    struct kev_queue *queue = (struct kev_queue *)&queue;
    CHECK_EQ(kevent_open(&queue, 2), -EINVAL);
    CHECK_EQ(kevent_open(&queue, 0x80000000u), -EINVAL);
    CHECK(queue == (struct kev_queue *)&queue);
}

/* No descriptor left: -EMFILE, and what was opened until then is closed. */
TEST(open_without_descriptors)
{
    struct rlimit limit;
    struct kev_queue *queue = NULL;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int lowest = dup(0);
    CHECK_EQ(close(lowest), 0);
    for (rlim_t more = 0; more < 2; more++) {
        const struct rlimit low = {(rlim_t)lowest + more, limit.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        CHECK_EQ(kevent_open(&queue, 0), -EMFILE);
        CHECK(queue == NULL);
    }
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    queue = open_shared();
    close_queue(queue);
}

/* Closed on exec, and what is watched stays open when the queue ends. */
TEST(open_and_close_touch_nothing_else)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK(fcntl(kevent_fileno(queue), F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(add(queue, uk_poll(pair.near, KEVENT_POLL_POLLIN, 0)), 0);
    close_queue(queue);
    kevent_close(NULL);
    write_byte(pair.far);
    read_bytes(pair.near);
    pair_close(pair);
}
