/*
 * test_posix_timer.c - KEVENT_POSIX_TIMER.  Its times are kevent_timer's: see
 * test_kevent_timer.c.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

/* kevent_ctl does not know when: -EINVAL, also for what is no such bit. */
TEST(posix_timer_is_made_by_kevent_timer_only)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    CHECK_EQ(add(queue, uk), -EINVAL);
    uk = uk_named(KEVENT_POSIX_TIMER, UINT64_C(5) << 32, KEVENT_REQ_READY);
    CHECK_EQ(add(queue, uk), -EINVAL);
    CHECK_EQ(modify(queue, uk), -EINVAL);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(queue->clock_fd, -1);
    close_queue(queue);
}

/* Beside a TIMER of the same id; timer_delete is REMOVE, and READY says what
   it is told to say. */
TEST(posix_timer_is_a_key_of_its_own)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 5, 0);
    CHECK_EQ(add(queue, uk_timer(5 * SEC, 0)), 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 0, 0, 0), 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 0, 0, 0), -EEXIST);
    CHECK_EQ(ready(queue, uk), 1);
    CHECK_EQ(take_one(queue).type, KEVENT_POSIX_TIMER);
    CHECK_EQ(remove_one(queue, uk), 0);
    CHECK_EQ(remove_one(queue, uk), -ENOENT);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, SEC, 0, 0), -ENOENT);
    CHECK_EQ(queue->timers.count, 1);
    close_queue(queue);
}

/* Due and not fetched, it is withdrawn by REMOVE. */
TEST(posix_timer_removed_when_due)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1000 * SEC, SEC, 0), 0);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    CHECK_EQ(queue->ready.count, 1);
    CHECK_EQ(remove_one(queue, uk), 0);
    CHECK_EQ(queue->timers.count, 0);
    take_none(queue);
    close_queue(queue);
}

/* Asked for nothing, it runs and says nothing. */
TEST(posix_timer_that_nobody_wants_to_hear_of)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    uk.event = 0;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1000 * SEC, SEC, 0), 0);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    take_none(queue);
    CHECK_EQ(queue->timers.count, 1);
    close_queue(queue);
}

/* A clock that was set is looked at again: heard with nothing due. */
TEST(posix_timer_clock_that_was_set)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    uint64_t wall = kev_sys_now(CLOCK_REALTIME) + 1000 * SEC;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, wall, 0,
                   KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME), 0);
    kev_wall_heard(queue, KEV_CLOCK_REALTIME);
    CHECK_EQ(queue->walls[0].armed_ns, wall);
    take_none(queue);
    close_queue(queue);
}

/* An owner asleep is woken by a clock that does not bound his sleep. */
TEST(posix_timer_wakes_the_owner)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 4);
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 2 * MSEC, MSEC,
                   KEVENT_FLAGS_BOOTTIME), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(kev_queue_poll(queue, 20 * SEC), 1);
        CHECK_EQ(ring->event[i].type, KEVENT_POSIX_TIMER);
        kev_queue_consume(queue, 1);
    }
    CHECK_EQ(kev_queue_check(queue), 0);
    close_queue(queue);
    free(ring);
}
