/*
 * test_unotify.c - KEVENT_UNOTIFY and READY.
 */
#include "fixture.h"

#include <errno.h>

TEST(unotify_is_reported_when_made_ready)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_user(UINT64_C(0x123456789abcdef0), 0);
    CHECK_EQ(add(queue, uk), 0);
    take_none(queue);
    uk.ret_data[0] = 5;
    uk.ret_data[1] = 7;
    CHECK_EQ(ready(queue, uk), 1);
    CHECK(readable(queue));
    struct ukevent event = take_one(queue);
    CHECK(event.id.raw_u64 == uk.id.raw_u64);
    CHECK(event.user_u64 == uk.user_u64);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], 5);
    CHECK_EQ(event.ret_data[1], 7);
    CHECK(!readable(queue));
    take_none(queue);
    close_queue(queue);
}

TEST(unotify_is_queued_once)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_user(1, 0);
    CHECK_EQ(add(queue, uk), 0);
    uk.ret_data[0] = 1;
    CHECK_EQ(ready(queue, uk), 1);
    uk.ret_data[0] = 4;
    CHECK_EQ(ready(queue, uk), 1);
    CHECK_EQ(take_one(queue).ret_data[0], 5);
    take_none(queue);
    close_queue(queue);
}

TEST(unotify_come_in_order)
{
    struct kev_queue *queue = open_shared();
    struct ukevent events[10];
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(add(queue, uk_user(i, 0)), 0);
    }
    for (unsigned i = 10; i-- > 0;) {
        CHECK_EQ(ready(queue, uk_user(i, 0)), 1);
    }
    CHECK_EQ(take(queue, events, 3), 3);
    CHECK_EQ(take(queue, events + 3, 10), 7);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(events[i].user_u64, 9 - i);
    }
    close_queue(queue);
}

TEST(unotify_of_oneshot)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_user(1, KEVENT_REQ_ONESHOT);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(ready(queue, uk), 1);
    take_one(queue);
    CHECK_EQ(ready(queue, uk), -EINVAL);
    CHECK_EQ(add(queue, uk), 0);
    close_queue(queue);
}

TEST(unotify_is_queued_at_add_if_asked)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    take_one(queue);
    CHECK_EQ(add(queue, uk_user(2, KEVENT_REQ_READY)), 0);
    take_one(queue);
    CHECK_EQ(modify(queue, uk_user(1, 0)), 0);
    take_none(queue);
    CHECK_EQ(modify(queue, uk_user(1, KEVENT_REQ_READY)), 0);
    take_one(queue);
    close_queue(queue);
}
