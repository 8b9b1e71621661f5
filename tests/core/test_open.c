/*
 * test_open.c - kevent_open: what it makes, and what it cannot.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
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
    struct kev_queue *queue = NULL;
    for (unsigned flags = 0; flags <= KEVENT_OPEN_OWNED; flags++) {
        for (unsigned more = 0; more < 2; more++) {
            descriptors_limit(more);
            CHECK_EQ(kevent_open(&queue, flags), -EMFILE);
            descriptors_free();
            CHECK(queue == NULL);
        }
        CHECK_EQ(kevent_open(&queue, flags), 0);
        close_queue(queue);
        queue = NULL;
    }
}

/* Two queues know nothing of one another. */
TEST(open_makes_queues_of_their_own)
{
    struct kev_queue *one = open_shared();
    struct kev_queue *other = open_shared();
    CHECK(kevent_fileno(one) != kevent_fileno(other));
    CHECK_EQ(add(one, uk_user(1, QUEUED)), 0);
    CHECK_EQ(add(other, uk_user(1, 0)), 0);
    take_none(other);
    take_one(one);
    close_queue(one);
    CHECK_EQ(ready(other, uk_user(1, 0)), 1);
    take_one(other);
    close_queue(other);
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
