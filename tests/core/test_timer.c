/*
 * test_timer.c - KEVENT_TIMER.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t
now_ns(void)
{
    return kev_sys_now(CLOCK_MONOTONIC);
}

TEST(timer_refuses_no_interval)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_timer(0, 0);
    CHECK_EQ(add(queue, uk), -EINVAL);
    uk.id.raw[1] = 1000000000;
    CHECK_EQ(add(queue, uk), -EINVAL);
    uk = uk_timer(SEC, 0);
    uk.event = 2;
    CHECK_EQ(add(queue, uk), -EINVAL);
    CHECK_EQ(queue->clock_fd, -1);
    close_queue(queue);
}

/* Never early, once, and gone. */
TEST(timer_oneshot)
{
    struct kev_queue *queue = open_shared();
    struct ukevent event;
    uint64_t start = now_ns();
    CHECK_EQ(add(queue, uk_timer(3 * MSEC, KEVENT_REQ_ONESHOT)), 0);
    CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL), 1);
    CHECK(now_ns() - start >= 3 * MSEC);
    CHECK_EQ(event.type, KEVENT_TIMER);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], KEVENT_TIMER_FIRED);
    CHECK_EQ(event.ret_data[1], 0);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(queue->timers.count, 0);
    CHECK(!readable(queue));
    close_queue(queue);
}

/* Periods do not drift: n of them take n intervals, told or counted. */
TEST(timer_periodic_counts_what_was_missed)
{
    struct kev_queue *queue = open_shared();
    struct ukevent event;
    uint64_t start = now_ns();
    uint64_t fired = 0;
    CHECK_EQ(add(queue, uk_timer(MSEC, 0)), 0);
    while (fired < 20) {
        CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL),
                 1);
        fired += 1 + event.ret_data[1];
        CHECK(now_ns() - start >= fired * MSEC);
    }
    CHECK_EQ(kev_queue_check(queue), 0);
    close_queue(queue);
}

/* What nobody fetches is counted: seen with an invented time. */
TEST(timer_overruns)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_timer(1000 * SEC, 0)), 0);
    uint64_t due = kev_heap_deadline(&queue->timers);
    kev_timers_fire(queue, due - 1);
    CHECK_EQ(queue->ready.count, 0);
    kev_timers_fire(queue, due);
    CHECK_EQ(queue->ready.count, 1);
    kev_timers_fire(queue, due + 3500 * SEC);
    CHECK_EQ(queue->ready.count, 1);
    CHECK_EQ(kev_heap_deadline(&queue->timers) - due, 4000 * SEC);
    CHECK_EQ(take_one(queue).ret_data[1], 3);
    kev_timers_fire(queue, due + 6500 * SEC);
    CHECK_EQ(take_one(queue).ret_data[1], 2);
    close_queue(queue);
}

/* Timers of nearly the same interval are distinct and come in order. */
TEST(timer_many_of_nearly_one_interval)
{
    struct kev_queue *queue = open_shared();
    struct ukevent events[50];
    for (unsigned i = 0; i < 50; i++) {
        CHECK_EQ(add(queue, uk_timer(MSEC + i, KEVENT_REQ_ONESHOT)), 0);
    }
    CHECK_EQ(add(queue, uk_timer(MSEC + 7, 0)), -EEXIST);
    CHECK_EQ(kevent_get_events(queue, 50, 50, 10 * SEC, events, 0, NULL), 50);
    for (unsigned i = 0; i < 50; i++) {
        CHECK_EQ(events[i].id.raw[1], MSEC + i);
    }
    close_queue(queue);
}

/* MODIFY starts the interval anew, reports nothing, takes back what was due;
   REMOVE ends it. */
TEST(timer_modify_and_remove)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_timer(1000 * SEC, 0);
    CHECK_EQ(add(queue, uk), 0);
    uint64_t due = kev_heap_deadline(&queue->timers);
    kev_timers_fire(queue, due);
    CHECK_EQ(modify(queue, uk), 0);
    take_none(queue);
    CHECK(kev_heap_deadline(&queue->timers) >= due);
    CHECK(kev_heap_deadline(&queue->timers) < due + 1000 * SEC);
    uk.req_flags = KEVENT_REQ_ONESHOT;
    CHECK_EQ(modify(queue, uk), 0);
    kev_timers_fire(queue, due + 1000 * SEC);
    CHECK_EQ(queue->timers.count, 0);
    CHECK_EQ(take_one(queue).ret_data[1], 0);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(remove_one(queue, uk), 0);
    CHECK_EQ(queue->timers.count, 0);
    close_queue(queue);
}

TEST(timer_that_nobody_wants_to_hear_of)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_timer(1000 * SEC, 0);
    uk.event = 0;
    CHECK_EQ(add(queue, uk), 0);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    take_none(queue);
    CHECK_EQ(queue->timers.count, 1);
    close_queue(queue);
}

/* A poller of the queue's descriptor sees that a timer is due. */
TEST(timer_makes_the_queue_readable)
{
    struct kev_queue *queue = open_shared();
    struct pollfd fd = {.fd = kevent_fileno(queue), .events = POLLIN};
    CHECK_EQ(add(queue, uk_timer(2 * MSEC, KEVENT_REQ_ONESHOT)), 0);
    CHECK_EQ(poll(&fd, 1, 10000), 1);
    CHECK_EQ(take_one(queue).type, KEVENT_TIMER);
    CHECK(!readable(queue));
    /* A nearer one moves it forward, its removal back. */
    CHECK_EQ(add(queue, uk_timer(1000 * SEC, 0)), 0);
    CHECK_EQ(add(queue, uk_timer(2 * MSEC, 0)), 0);
    CHECK_EQ(poll(&fd, 1, 10000), 1);
    CHECK_EQ(remove_one(queue, uk_timer(2 * MSEC, 0)), 0);
    CHECK_EQ(queue->clock_armed_ns, kev_heap_deadline(&queue->timers));
    CHECK(!readable(queue));
    close_queue(queue);
}

/* The owner sleeps until the timer, though asked to sleep longer. */
TEST(timer_bounds_the_owners_sleep)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 4);
    CHECK_EQ(queue->clock_fd, -1);
    CHECK_EQ(add(queue, uk_timer(2 * MSEC, 0)), 0);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
    CHECK_EQ(ring->event[0].type, KEVENT_TIMER);
    CHECK_EQ(kev_queue_poll(queue, 100 * SEC), 1);
    CHECK_EQ(kev_queue_check(queue), 0);
    close_queue(queue);
    free(ring);
}
