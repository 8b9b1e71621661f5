/*
 * test_get_events.c - kevent_get_events as its page has it: results and
 * errors.  Sleeping itself is test_wait.c's.
 */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

TEST(get_events_refuses_nonsense)
{
    struct kev_queue *queue = open_shared();
    struct ukevent buf[2];
    const unsigned both = KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME;
    CHECK_EQ(kevent_get_events(queue, 2, 1, 0, buf, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 0x80000000u, 0, buf, 0, NULL),
             -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, buf, 2, NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, buf, KEVENT_FLAGS_SEEN, NULL),
             -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, buf, KEVENT_FLAGS_BOOTTIME,
                               NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, buf,
                               KEVENT_FLAGS_ABSTIME | both, NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, NULL, 0, NULL), -EFAULT);
    close_queue(queue);
}

/* What was refused took nothing. */
TEST(get_events_that_fails_keeps_the_events)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_user(1, KEVENT_REQ_READY)), 0);
    CHECK_EQ(kevent_get_events(queue, 1, 1, 0, NULL, 0, NULL), -EFAULT);
    CHECK_EQ(kevent_get_events(queue, 1, 1, 0, NULL, 8, NULL), -EINVAL);
    CHECK_EQ(take_one(queue).id.raw_u64, 1);
    close_queue(queue);
}

/* First in, first out; max_nr at a time; min_nr 0 does not sleep. */
TEST(get_events_in_order)
{
    struct kev_queue *queue = open_shared();
    struct ukevent buf[5];
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_EQ(add(queue, uk_user(i, KEVENT_REQ_READY)), 0);
    }
    CHECK_EQ(kevent_get_events(queue, 1, 2, KEVENT_WAIT_FOREVER, buf, 0,
                               NULL), 2);
    CHECK_EQ(kevent_get_events(queue, 3, 3, KEVENT_WAIT_FOREVER, buf + 2, 0,
                               NULL), 3);
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_EQ(buf[i].id.raw_u64, i);
    }
    CHECK_EQ(kevent_get_events(queue, 0, 5, KEVENT_WAIT_FOREVER, buf, 0,
                               NULL), 0);
    close_queue(queue);
}

/* The whole record comes back: what was asked, what happened, the cookie. */
TEST(get_events_gives_the_record_back)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent uk = uk_poll(pair.near, KEVENT_POLL_POLLIN
                                | KEVENT_POLL_POLLPRI, QUEUED);
    uk.id.raw[1] = 77;
    struct ukevent stale = uk;
    stale.ret_flags = stale.ret_data[0] = stale.ret_data[1] = 0xffffffffu;
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 1, &stale), 0);
    write_byte(pair.far);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.id.raw_u64, uk.id.raw_u64);
    CHECK_EQ(event.type, uk.type);
    CHECK_EQ(event.event, uk.event);
    CHECK_EQ(event.req_flags, uk.req_flags);
    CHECK_EQ(event.user_u64, uk.user_u64);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], KEVENT_POLL_POLLIN);
    CHECK_EQ(event.ret_data[1], 0);
    close_queue(queue);
    pair_close(pair);
}
