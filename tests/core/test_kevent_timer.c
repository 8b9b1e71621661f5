/*
 * test_kevent_timer.c - kevent_timer: times and clocks of the caller's choice.
 * (test_timer.c is of the type KEVENT_TIMER, whose id is its interval.)
 */
#include "fixture.h"

#include <errno.h>

static const unsigned clock_flags[] = {
    0, KEVENT_FLAGS_REALTIME, KEVENT_FLAGS_BOOTTIME,
};
static const clockid_t clock_ids[] = {
    CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME,
};

TEST(kevent_timer_refuses)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    const unsigned both = KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME;
    CHECK_EQ(kevent_timer(queue, KEVENT_CTL_ADD, NULL, 1, 0, 0), -EFAULT);
    for (unsigned cmd = 0; cmd < 6; cmd++) {
        if (cmd != KEVENT_CTL_ADD && cmd != KEVENT_CTL_MODIFY) {
            CHECK_EQ(set_timer(queue, cmd, uk, 1, 0, 0), -EINVAL);
        }
    }
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1, 0, both), -EINVAL);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1, 0, 0x2), -EINVAL);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1, 0, KEVENT_FLAGS_SEEN),
             -EINVAL);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk_user(1, 0), 1, 0, 0),
             -EINVAL);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk_poll(0, 1, 0), 1, 0, 0),
             -EINVAL);
    struct ukevent wrong = uk;
    wrong.req_flags = 0x40;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, wrong, 1, 0, 0), -EINVAL);
    wrong = uk_named(KEVENT_TIMER, 1, 0);
    wrong.event = 2;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, wrong, 1, 0, 0), -EINVAL);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(queue->clock_fd, -1);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, 1, 0, 0), -ENOENT);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, SEC, 0, 0), 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, SEC, 0, 0), -EEXIST);
    close_queue(queue);
}

/* No descriptor for its clock: nothing is registered, and later it is. */
TEST(kevent_timer_without_descriptors)
{
    for (unsigned i = 0; i < 3; i++) {
        struct kev_queue *queue = open_shared();
        struct ukevent uk = uk_named(KEVENT_TIMER, 1, 0);
        unsigned flags = clock_flags[i] | KEVENT_FLAGS_ABSTIME;
        uint64_t due = kev_sys_now(clock_ids[i]) + 1000 * SEC;
        descriptors_limit(0);
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, due, 0, flags), -EMFILE);
        descriptors_free();
        CHECK_EQ(queue->registry.count, 0);
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, due, 0, flags), 0);
        close_queue(queue);
    }
}

/* Once, never early, by every clock, relative and absolute; then it rests. */
TEST(kevent_timer_once_by_every_clock)
{
    struct kev_queue *queue = open_shared();
    for (unsigned i = 0; i < 6; i++) {
        struct ukevent uk = uk_named(i % 2 == 0 ? KEVENT_POSIX_TIMER
                                                 : KEVENT_TIMER, i, 0);
        struct ukevent event;
        unsigned flags = clock_flags[i % 3];
        uint64_t start = kev_sys_now(clock_ids[i % 3]);
        uint64_t initial = 3 * MSEC;
        if (i >= 3) {
            flags |= KEVENT_FLAGS_ABSTIME;
            initial += start;
        }
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, initial, 0, flags), 0);
        CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL),
                 1);
        CHECK(kev_sys_now(clock_ids[i % 3]) - start >= 3 * MSEC);
        CHECK_EQ(event.id.raw_u64, i);
        CHECK_EQ(event.ret_data[0], KEVENT_TIMER_FIRED);
        CHECK_EQ(event.ret_data[1], 0);
        take_none(queue);
        CHECK_EQ(queue->registry.count, i + 1);
    }
    CHECK_EQ(queue->walls[0].timers.count, 0);
    CHECK_EQ(queue->walls[0].armed_ns, 0);
    close_queue(queue);
}

/* The second time comes an interval after the first. */
TEST(kevent_timer_initial_and_interval)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_TIMER, 5, 0);
    uint64_t start = kev_sys_now(CLOCK_MONOTONIC);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 100 * SEC, 7 * SEC, 0), 0);
    CHECK_EQ(add(queue, uk_timer(5 * SEC, 0)), -EEXIST);
    uint64_t due = kev_heap_deadline(&queue->timers);
    CHECK(due >= start + 100 * SEC && due < start + 101 * SEC);
    kev_timers_fire(queue, due);
    CHECK_EQ(kev_heap_deadline(&queue->timers), due + 7 * SEC);
    CHECK_EQ(take_one(queue).ret_data[1], 0);
    kev_timers_fire(queue, due + 30 * SEC);
    CHECK_EQ(take_one(queue).ret_data[1], 3);
    close_queue(queue);
}

/* ONESHOT: the interval is not looked at, and it is gone when told. */
TEST(kevent_timer_oneshot_with_an_interval)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_TIMER, 5, KEVENT_REQ_ONESHOT);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 100 * SEC, 7 * SEC, 0), 0);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    CHECK_EQ(queue->timers.count, 0);
    CHECK_EQ(take_one(queue).ret_data[1], 0);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
}

/* With no first time the interval is the first. */
TEST(kevent_timer_of_an_interval_alone)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_TIMER, 5, 0);
    uint64_t start = kev_sys_now(CLOCK_MONOTONIC);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 0, 70 * SEC, 0), 0);
    uint64_t due = kev_heap_deadline(&queue->timers);
    CHECK(due >= start + 70 * SEC && due < start + 71 * SEC);
    close_queue(queue);
}

/* The longest times are far away, and no sum of them is near. */
TEST(kevent_timer_of_the_longest_times)
{
    struct kev_queue *queue = open_shared();
    for (unsigned i = 0; i < 3; i++) {
        struct ukevent uk = uk_named(KEVENT_TIMER, i, 0);
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, UINT64_MAX, UINT64_MAX,
                           clock_flags[i]), 0);
        uk.id.raw_u64 = 10 + i;
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, UINT64_MAX - 1, 1,
                           clock_flags[i] | KEVENT_FLAGS_ABSTIME), 0);
    }
    take_none(queue);
    CHECK_EQ(queue->registry.count, 6);
    struct ukevent uk = uk_named(KEVENT_TIMER, 1000, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1, UINT64_MAX, 0), 0);
    struct ukevent event;
    CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL), 1);
    CHECK_EQ(event.id.raw_u64, 1000);
    take_none(queue);
    close_queue(queue);
}

/* Overruns of a time that lies behind are counted at once. */
TEST(kevent_timer_absolute_time_that_has_passed)
{
    for (unsigned i = 0; i < 3; i++) {
        struct kev_queue *queue = open_shared();
        struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
        struct ukevent event;
        uint64_t now = kev_sys_now(clock_ids[i]);
        unsigned flags = clock_flags[i] | KEVENT_FLAGS_ABSTIME;
        uint64_t back = now > 2000 * SEC ? 1000 * SEC : now / 2;
        CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, now - back, 300 * SEC,
                           flags), 0);
        CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL),
                 1);
        CHECK_EQ(event.ret_data[1], back / (300 * SEC));
        take_none(queue);
        close_queue(queue);
    }
}

/* MODIFY by kevent_ctl changes what is asked, by kevent_timer when. */
TEST(kevent_timer_modify)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 1, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 0, 0, 0), 0);
    CHECK_EQ(queue->timers.count, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, 50 * SEC, 0, 0), 0);
    uint64_t due = kev_heap_deadline(&queue->timers);
    kev_timers_fire(queue, due);
    uk.req_flags = KEVENT_REQ_ONESHOT;
    CHECK_EQ(modify(queue, uk), 0);
    take_one(queue);
    CHECK_EQ(queue->registry.count, 0);
    uk.req_flags = 0;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 50 * SEC, 0, 0), 0);
    /* To another clock and back, and a report is withdrawn. */
    uint64_t wall = kev_sys_now(CLOCK_REALTIME) + 1000 * SEC;
    const unsigned absolute = KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, wall, 0, absolute), 0);
    CHECK_EQ(queue->timers.count, 0);
    CHECK_EQ(queue->walls[0].armed_ns, wall);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, 50 * SEC, 0, 0), 0);
    CHECK_EQ(queue->walls[0].armed_ns, 0);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, 0, 0, 0), 0);
    take_none(queue);
    CHECK_EQ(remove_one(queue, uk), 0);
    close_queue(queue);
}

/* A MODIFY that is refused leaves the time alone. */
TEST(kevent_timer_modify_that_fails)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_TIMER, 1, 0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 100 * SEC, 7 * SEC, 0), 0);
    uint64_t due = kev_heap_deadline(&queue->timers);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, SEC, 0, 0x2), -EINVAL);
    uk.req_flags = KEVENT_REQ_ET | KEVENT_REQ_LEVEL;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, SEC, 0, 0), -EINVAL);
    uk.req_flags = 0;
    descriptors_limit(0);
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, uk, SEC, 0,
                       KEVENT_FLAGS_BOOTTIME), -EMFILE);
    descriptors_free();
    CHECK_EQ(kev_heap_deadline(&queue->timers), due);
    kev_timers_fire(queue, due);
    CHECK_EQ(kev_heap_deadline(&queue->timers), due + 7 * SEC);
    take_one(queue);
    close_queue(queue);
}

/* Cookie and flags are the element's; user is not changed by MODIFY. */
TEST(kevent_timer_keeps_the_record)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_named(KEVENT_POSIX_TIMER, 7, QUEUED);
    uk.user_u64 = UINT64_C(0x123456789abcdef0);
    uk.ret_flags = uk.ret_data[0] = uk.ret_data[1] = 0xffffffffu;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_ADD, uk, 1000 * SEC, 0, 0), 0);
    struct ukevent changed = uk;
    changed.user_u64 = 1;
    CHECK_EQ(set_timer(queue, KEVENT_CTL_MODIFY, changed, 2000 * SEC, 0, 0),
             0);
    take_none(queue);
    kev_timers_fire(queue, kev_heap_deadline(&queue->timers));
    struct ukevent event = take_one(queue);
    CHECK(event.user_u64 == uk.user_u64);
    CHECK_EQ(event.req_flags, QUEUED);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[1], 0);
    close_queue(queue);
}
