/*
 * test_wait.c - sleeping: deadlines, signals, min_nr, and many threads.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define IN KEVENT_POLL_POLLIN

/* ---- one thread ---- */

TEST(wait_refuses_nonsense)
{
    struct kev_queue *queue = open_shared();
    struct ukevent buf[2];
    CHECK_EQ(kevent_get_events(queue, 3, 2, 0, buf, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 1, 2, 0, NULL, 0, NULL), -EFAULT);
    CHECK_EQ(kevent_get_events(queue, 0, 2, 0, buf, 8, NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 2, 0, buf, KEVENT_FLAGS_SEEN, NULL),
             -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 2, 0, buf, KEVENT_FLAGS_REALTIME,
                               NULL), -EINVAL);
    CHECK_EQ(kevent_get_events(queue, 0, 0, 0, NULL, 0, NULL), 0);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), -EINVAL);
    struct kevent_ring *ring = ring_new(queue, 2);
    const unsigned flags[] = {
        0x2, 0x80000000u, KEVENT_FLAGS_REALTIME, KEVENT_FLAGS_BOOTTIME,
        KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME,
    };
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        CHECK_EQ(kevent_wait(queue, 1, 0, 0, flags[i], NULL), -EINVAL);
    }
    CHECK_EQ(kevent_wait(queue, 3, 0, 0, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_wait(queue, 0, 0, 0, 0, NULL), 0);
    CHECK_EQ(ring->ring_kidx, 0);
    take_one(queue);
    CHECK_EQ(kevent_wait(queue, 2, 0, 0, 0, NULL), 0);
    close_queue(queue);
    free(ring);
}

/* Each clock, relative and absolute, in both calls: never before the time. */
TEST(wait_deadlines)
{
    const struct {
        unsigned flags;
        clockid_t clock;
    } cases[] = {
        {0, CLOCK_MONOTONIC},
        {KEVENT_FLAGS_ABSTIME, CLOCK_MONOTONIC},
        {KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME, CLOCK_REALTIME},
        {KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_BOOTTIME, CLOCK_BOOTTIME},
    };
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 1);
    struct ukevent event;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t end = kev_sys_now(cases[i].clock) + 1300 * 1000;
        uint64_t timeout =
            cases[i].flags & KEVENT_FLAGS_ABSTIME ? end : 1300 * 1000;
        CHECK_EQ(kevent_get_events(queue, 1, 1, timeout, &event,
                                   cases[i].flags, NULL), 0);
        CHECK(kev_sys_now(cases[i].clock) >= end);
        end = kev_sys_now(cases[i].clock) + 1300 * 1000;
        timeout = cases[i].flags & KEVENT_FLAGS_ABSTIME ? end : 1300 * 1000;
        CHECK_EQ(kevent_wait(queue, 1, 0, timeout, cases[i].flags, NULL), 0);
        CHECK(kev_sys_now(cases[i].clock) >= end);
        /* A time that has passed does not sleep. */
        CHECK_EQ(kevent_get_events(queue, 1, 1, 1, &event,
                                   cases[i].flags, NULL), 0);
        CHECK_EQ(kevent_wait(queue, 1, 0, 1, cases[i].flags, NULL), 0);
    }
    close_queue(queue);
    free(ring);
}

/* Time is up: what is there is given, though it is less than min_nr. */
TEST(wait_min_nr_and_timeout)
{
    struct kev_queue *queue = open_shared();
    struct ukevent buf[4];
    uint64_t start = kev_sys_now(CLOCK_MONOTONIC);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(add(queue, uk_user(2, QUEUED)), 0);
    CHECK_EQ(kevent_get_events(queue, 3, 4, 2 * MSEC, buf, 0, NULL), 2);
    CHECK(kev_sys_now(CLOCK_MONOTONIC) - start >= 2 * MSEC);
    CHECK_EQ(buf[1].user_u64, 2);
    close_queue(queue);
}

/* A level that waits for company must not keep the processor busy. */
TEST(wait_min_nr_with_a_level_sleeps)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent buf[4];
    struct timespec used;
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, LEVEL)), 0);
    write_byte(pair.far);
    CHECK_EQ(kevent_get_events(queue, 2, 4, 200 * MSEC, buf, 0, NULL), 1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    CHECK(used.tv_sec == 0 && used.tv_nsec < 100 * (long)MSEC);
    CHECK_EQ(kev_queue_check(queue), 0);
    take_one(queue);
    read_bytes(pair.near);
    take_none(queue);
    write_byte(pair.far);
    take_one(queue);
    close_queue(queue);
    pair_close(pair);
}

TEST(wait_takes_what_the_kernel_knows_along)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent buf[4];
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, 0)), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    write_byte(pair.far);
    CHECK_EQ(kevent_get_events(queue, 1, 4, SEC, buf, 0, NULL), 2);
    close_queue(queue);
    pair_close(pair);
}

/* Who is alone gets events without their waiting in line; those that need a
   second look, and those for which he has no room, come in their order. */
TEST(wait_alone_keeps_the_order)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 4);
    struct pair pairs[6];
    struct ukevent buf[8];
    for (unsigned i = 0; i < 6; i++) {
        pairs[i] = pair_pipe();
        struct ukevent uk =
            uk_poll(pairs[i].near, IN, i == 2 ? KEVENT_REQ_ONESHOT : 0);
        uk.user_u64 = i;
        CHECK_EQ(add(queue, uk), 0);
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 6; i++) {
            if (turn == 0 || i != 2) {
                write_byte(pairs[i].far);
            }
        }
        unsigned left = turn == 0 ? 6 : 5;
        uint64_t timeout = turn == 0 ? 0 : KEVENT_WAIT_FOREVER;
        CHECK_EQ(kevent_get_events(queue, turn, 2, timeout, buf, 0, NULL), 2);
        CHECK_EQ(kev_queue_check(queue), 0);
        CHECK_EQ(kevent_wait(queue, 1, 0, timeout, 0, NULL), 1);
        buf[2] = ring->event[turn];
        CHECK_EQ(kevent_get_events(queue, 1, 8, timeout, buf + 3, 0, NULL),
                 left - 3);
        for (unsigned i = 0; i < left; i++) {
            CHECK_EQ(buf[i].user_u64, turn == 0 || i < 2 ? i : i + 1);
            CHECK_EQ(buf[i].ret_flags, KEVENT_RET_DONE);
            CHECK_EQ(buf[i].ret_data[0], IN);
        }
        take_none(queue);
        CHECK(!readable(queue));
    }
    close_queue(queue);
    free(ring);
    for (unsigned i = 0; i < 6; i++) {
        pair_close(pairs[i]);
    }
}

TEST(wait_fills_the_ring_and_respects_it)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct ukevent buf[2];
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(add(queue, uk_user(i, QUEUED)), 0);
    }
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), 1);
    CHECK_EQ(kevent_wait(queue, 2, 0, 0, 0, NULL), 1);
    CHECK_EQ(kevent_wait(queue, 2, 0, MSEC, 0, NULL), 0);
    CHECK_EQ(ring->event[1].user_u64, 1);
    /* get_events needs no room in the ring. */
    CHECK_EQ(take(queue, buf, 1), 1);
    CHECK_EQ(buf[0].user_u64, 2);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EBUSY);
    CHECK_EQ(kevent_commit(queue, 0, 0), 2);
    CHECK_EQ(kevent_wait(queue, 2, 0, 0, 0, NULL), 2);
    CHECK_EQ(ring->event[0].user_u64, 3);
    CHECK_EQ(kevent_commit(queue, 1, 0), -EOVERFLOW);
    CHECK_EQ(kevent_commit(queue, 0, 1), 2);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), -EINVAL);
    close_queue(queue);
    free(ring);
}

/* With SEEN, a ring that has moved meanwhile is news enough. */
TEST(wait_seen_returns_at_once)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 4);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, 4, 0, SEC, KEVENT_FLAGS_SEEN, NULL), 1);
    CHECK_EQ(kevent_wait(queue, 4, 0, KEVENT_WAIT_FOREVER, KEVENT_FLAGS_SEEN,
                         NULL), 0);
    CHECK_EQ(kevent_wait(queue, 4, 1, MSEC, KEVENT_FLAGS_SEEN, NULL), 0);
    close_queue(queue);
    free(ring);
}

/* READY(0) when nobody sleeps lets the next sleeper go, one for each. */
TEST(wait_wake_that_is_pending)
{
    struct kev_queue *queue = open_shared();
    struct ukevent event;
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 0, NULL), 0);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 0, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(kevent_get_events(queue, 1, 1, KEVENT_WAIT_FOREVER, &event,
                                   0, NULL), 0);
    }
    CHECK_EQ(queue->wakes_pending, 0);
    close_queue(queue);
}

/* ---- signals ---- */

static void
on_signal(int signo)
{
    (void)signo;
}

static void
alarm_every(long microseconds)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval timer = {
        .it_interval.tv_usec = microseconds,
        .it_value.tv_usec = microseconds,
    };
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* The public call gives the count so far, the binding's says -EINTR and
   takes nothing. */
TEST(wait_ended_by_a_signal)
{
    struct kev_queue *queue = open_shared();
    struct ukevent buf[4];
    alarm_every(2000);
    CHECK_EQ(kevent_get_events(queue, 1, 4, KEVENT_WAIT_FOREVER, buf, 0,
                               NULL), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kev_queue_get_events(queue, 2, 4, KEVENT_WAIT_FOREVER, buf, 0,
                                  NULL), -EINTR);
    CHECK_EQ(queue->ready.count, 1);
    CHECK_EQ(kevent_get_events(queue, 2, 4, KEVENT_WAIT_FOREVER, buf, 0,
                               NULL), 1);
    alarm_every(0);
    close_queue(queue);
}

/* kevent_wait as well: the ring is as it was, and what comes is not lost. */
TEST(wait_on_the_ring_ended_by_a_signal)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    alarm_every(2000);
    CHECK_EQ(kevent_wait(queue, 2, 0, KEVENT_WAIT_FOREVER, 0, NULL), 0);
    alarm_every(0);
    CHECK_EQ(ring->ring_kidx, 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, 2, 0, KEVENT_WAIT_FOREVER, 0, NULL), 1);
    /* Also of one that only the sleep lets through. */
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigset_t none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(kevent_wait(queue, 2, 0, MSEC, 0, NULL), 0);
    CHECK_EQ(kevent_wait(queue, 2, 0, KEVENT_WAIT_FOREVER, 0, &none), 0);
    close_queue(queue);
    free(ring);
}

/* A signal that only the sleep lets through ends it, not a moment before. */
TEST(wait_with_a_signal_mask)
{
    struct kev_queue *queue = open_shared();
    struct sigaction action = {.sa_handler = on_signal};
    struct ukevent event;
    sigset_t blocked;
    sigset_t open;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(kev_queue_get_events(queue, 1, 1, MSEC, &event, 0, NULL), 0);
    CHECK_EQ(kev_queue_get_events(queue, 1, 1, KEVENT_WAIT_FOREVER, &event,
                                  0, &open), -EINTR);
    close_queue(queue);
}

/* ---- threads ---- */

struct sleeper {
    struct kev_queue *queue;
    pthread_t thread;
    unsigned min_nr;
    unsigned max_nr;
    uint64_t timeout_ns;
    unsigned flags;
    bool ring;
    int result;
    struct ukevent events[16];
};

static void *
sleeper_main(void *argument)
{
    struct sleeper *self = argument;
    if (self->ring) {
        self->result = kev_queue_wait(self->queue, self->max_nr, 0,
                                      self->timeout_ns, self->flags, NULL);
    }
    else {
        self->result = kev_queue_get_events(
            self->queue, self->min_nr, self->max_nr, self->timeout_ns,
            self->events, self->flags, NULL);
    }
    return NULL;
}

/* Starts it and waits until it is the count-th in the line. */
static void
sleeper_start(struct sleeper *sleeper, struct kev_queue *queue,
              unsigned min_nr, unsigned max_nr, unsigned count)
{
    sleeper->queue = queue;
    sleeper->min_nr = min_nr;
    sleeper->max_nr = max_nr;
    if (sleeper->timeout_ns == 0) {
        sleeper->timeout_ns = KEVENT_WAIT_FOREVER;
    }
    CHECK_EQ(pthread_create(&sleeper->thread, NULL, sleeper_main, sleeper),
             0);
    await_waiters(queue, count);
}

static int
sleeper_join(struct sleeper *sleeper)
{
    CHECK_EQ(pthread_join(sleeper->thread, NULL), 0);
    return sleeper->result;
}

/* Who sleeps until a time of the wall clock, leader or not, looks at it again
   when it is set, and sleeps on if it is not yet the time. */
TEST(wait_threads_hear_that_the_clock_was_set)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleepers[2] = {0};
    struct kev_wall *wall = &queue->walls[KEV_CLOCK_REALTIME - 1];
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    for (unsigned i = 0; i < 2; i++) {
        sleepers[i].timeout_ns = kev_sys_now(CLOCK_REALTIME) + 1000 * SEC;
        sleepers[i].flags = KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME;
        sleeper_start(&sleepers[i], queue, 1, 4, i + 1);
    }
    for (unsigned turn = 0; turn < 10; turn++) {
        kev_queue_lock(queue);
        CHECK_EQ(wall->watchers, 2);
        CHECK(wall->armed_ns > UINT64_C(1) << 61);
        kev_wall_heard(queue, KEV_CLOCK_REALTIME);
        CHECK(wall->armed_ns > UINT64_C(1) << 61);
        kev_queue_unlock(queue);
    }
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
        CHECK_EQ(sleeper_join(&sleepers[i]), 1);
    }
    CHECK_EQ(wall->watchers, 0);
    CHECK_EQ(wall->armed_ns, 0);
    close_queue(queue);
}

/* Each event goes to the first who waits for it, and to nobody else. */
TEST(wait_threads_get_events_in_the_order_of_the_line)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleepers[4] = {0};
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, 0)), 0);
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    for (unsigned i = 0; i < 4; i++) {
        sleeper_start(&sleepers[i], queue, 1, 4, i + 1);
    }
    CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
    CHECK_EQ(sleeper_join(&sleepers[0]), 1);
    CHECK_EQ(sleepers[0].events[0].type, KEVENT_UNOTIFY);
    for (unsigned i = 1; i < 4; i++) {
        write_byte(pair.far);
        CHECK_EQ(sleeper_join(&sleepers[i]), 1);
        CHECK_EQ(sleepers[i].events[0].type, KEVENT_POLL);
        await_waiters(queue, 3 - i);
    }
    close_queue(queue);
    pair_close(pair);
}

/* One who wants three does not get two, and does not hold up another. */
TEST(wait_threads_min_nr_is_exact)
{
    struct kev_queue *queue = open_shared();
    struct sleeper wants_three = {0};
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(add(queue, uk_user(i, 0)), 0);
    }
    sleeper_start(&wants_three, queue, 3, 4, 1);
    CHECK_EQ(ready(queue, uk_user(0, 0)), 1);
    CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
    struct ukevent event;
    CHECK_EQ(kevent_get_events(queue, 1, 1, KEVENT_WAIT_FOREVER, &event, 0,
                               NULL), 1);
    CHECK_EQ(event.user_u64, 0);
    CHECK_EQ(ready(queue, uk_user(2, 0)), 1);
    CHECK_EQ(queue->waiters_count, 1);
    CHECK_EQ(ready(queue, uk_user(3, 0)), 1);
    CHECK_EQ(sleeper_join(&wants_three), 3);
    CHECK_EQ(wants_three.events[0].user_u64, 1);
    CHECK_EQ(wants_three.events[2].user_u64, 3);
    close_queue(queue);
}

/* Followers have deadlines of their own, and so has the leader. */
TEST(wait_threads_have_their_own_deadlines)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleepers[3] = {
        {.timeout_ns = 30 * MSEC},
        {.timeout_ns = KEVENT_WAIT_FOREVER},
        {.timeout_ns = 10 * MSEC},
    };
    for (unsigned i = 0; i < 3; i++) {
        sleepers[i].queue = queue;
        sleepers[i].min_nr = 1;
        sleepers[i].max_nr = 1;
        CHECK_EQ(pthread_create(&sleepers[i].thread, NULL, sleeper_main,
                                &sleepers[i]), 0);
    }
    CHECK_EQ(sleeper_join(&sleepers[2]), 0);
    CHECK_EQ(sleeper_join(&sleepers[0]), 0);
    await_waiters(queue, 1);
    /* The one who is left leads now and hears the kernel. */
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, 0)), 0);
    write_byte(pair.far);
    CHECK_EQ(sleeper_join(&sleepers[1]), 1);
    close_queue(queue);
    pair_close(pair);
}

/* READY(0) lets exactly one go. */
TEST(wait_threads_wake_one)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleepers[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        sleeper_start(&sleepers[i], queue, 1, 1, i + 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 0, NULL), 0);
        CHECK_EQ(sleeper_join(&sleepers[i]), 0);
        CHECK_EQ(queue->waiters_count, 2 - i);
    }
    CHECK_EQ(queue->wakes_pending, 0);
    close_queue(queue);
}

TEST(wait_threads_of_a_queue_that_is_closed)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleepers[3] = {0};
    struct ukevent event;
    for (unsigned i = 0; i < 3; i++) {
        sleeper_start(&sleepers[i], queue, 1, 1, i + 1);
    }
    kev_queue_ref(queue);
    kevent_close(queue);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(sleeper_join(&sleepers[i]), -EBADF);
    }
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, &event, 0, NULL), -EBADF);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 0, NULL), -EBADF);
    CHECK_EQ(kev_queue_knock(queue), 0);
    kev_queue_unref(queue);
}

/* The second who sleeps needs a descriptor of his own: without one he is told
   -EMFILE, what is there stays, and the first sleeps on. */
TEST(wait_threads_without_descriptors)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct sleeper first = {0};
    struct ukevent event;
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    sleeper_start(&first, queue, 1, 1, 1);
    descriptors_limit(0);
    CHECK_EQ(kevent_get_events(queue, 1, 1, KEVENT_WAIT_FOREVER, &event, 0,
                               NULL), -EMFILE);
    CHECK_EQ(kevent_wait(queue, 1, 0, KEVENT_WAIT_FOREVER, 0, NULL),
             -EMFILE);
    /* Without sleeping he needs none. */
    CHECK_EQ(kevent_get_events(queue, 0, 1, 0, &event, 0, NULL), 0);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), 0);
    descriptors_free();
    CHECK_EQ(kev_queue_check(queue), 0);
    CHECK_EQ(queue->waiters_count, 1);
    CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
    CHECK_EQ(sleeper_join(&first), 1);
    close_queue(queue);
    free(ring);
}

/* A timer that is added while the leader sleeps is in time. */
TEST(wait_threads_timer_added_during_a_sleep)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleeper = {0};
    sleeper_start(&sleeper, queue, 1, 1, 1);
    CHECK_EQ(add(queue, uk_timer(MSEC, KEVENT_REQ_ONESHOT)), 0);
    CHECK_EQ(sleeper_join(&sleeper), 1);
    CHECK_EQ(sleeper.events[0].type, KEVENT_TIMER);
    close_queue(queue);
}

/* A glance beside a sleeping leader takes the event, not the leader's bell. */
TEST(wait_threads_glance_beside_a_leader)
{
    struct kev_queue *queue = open_shared();
    struct sleeper sleeper = {0};
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    sleeper_start(&sleeper, queue, 1, 1, 1);
    for (unsigned i = 0; i < 100; i++) {
        take_none(queue);
    }
    CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
    for (unsigned i = 0; i < 100; i++) {
        take_none(queue);
    }
    CHECK_EQ(sleeper_join(&sleeper), 1);
    close_queue(queue);
}

/* Room in the ring is something to wait for; SEEN is told of entries. */
TEST(wait_threads_on_the_ring)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct sleeper filler = {.ring = true};
    struct sleeper watcher = {.ring = true, .flags = KEVENT_FLAGS_SEEN};
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(add(queue, uk_user(i, 0)), 0);
    }
    sleeper_start(&filler, queue, 1, 1, 1);
    sleeper_start(&watcher, queue, 1, 2, 2);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EBUSY);
    CHECK_EQ(ready(queue, uk_user(0, 0)), 1);
    CHECK_EQ(sleeper_join(&filler), 1);
    CHECK_EQ(sleeper_join(&watcher), 0);
    CHECK_EQ(ready(queue, uk_user(1, 0)), 1);
    CHECK_EQ(kevent_wait(queue, 2, 0, 0, 0, NULL), 1);
    CHECK_EQ(ready(queue, uk_user(2, 0)), 1);
    CHECK_EQ(ready(queue, uk_user(3, 0)), 1);
    filler.flags = 0;
    sleeper_start(&filler, queue, 1, 2, 1);
    CHECK_EQ(kevent_commit(queue, 0, 0), 2);
    CHECK_EQ(sleeper_join(&filler), 2);
    CHECK_EQ(ring->event[0].user_u64, 2);
    CHECK_EQ(ring->event[1].user_u64, 3);
    close_queue(queue);
    free(ring);
}

/* ---- a crowd ---- */

#define CROWD        4
#define CROWD_EVENTS 3000

struct crowd {
    struct kev_queue *queue;
    unsigned seen[CROWD_EVENTS];     /* atomic */
    unsigned taken;                  /* atomic */
};

static void *
crowd_main(void *argument)
{
    struct crowd *crowd = argument;
    struct ukevent events[8];
    for (unsigned turn = 0;; turn++) {
        int count = kev_queue_get_events(
            crowd->queue, turn % 3 + 1, 8,
            turn % 2 ? MSEC : KEVENT_WAIT_FOREVER, events, 0, NULL);
        if (count < 0) {
            CHECK_EQ(count, -EBADF);
            return NULL;
        }
        for (int i = 0; i < count; i++) {
            __atomic_fetch_add(&crowd->seen[events[i].user_u64], 1,
                               __ATOMIC_RELAXED);
            __atomic_fetch_add(&crowd->taken, 1, __ATOMIC_ACQ_REL);
        }
    }
}

/* Many threads, many events, some by the kernel: each is seen once. */
TEST(wait_threads_each_event_once)
{
    static struct crowd crowd;
    pthread_t threads[CROWD];
    struct pair pair = pair_pipe();
    crowd.queue = open_shared();
    kev_queue_ref(crowd.queue);
    for (unsigned i = 0; i < CROWD; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, crowd_main, &crowd), 0);
    }
    write_byte(pair.far);
    for (unsigned i = 0; i < CROWD_EVENTS; i++) {
        struct ukevent uk = i % 2 == 0
            ? uk_user(i, QUEUED | KEVENT_REQ_ONESHOT)
            : uk_poll(pair.near, IN, QUEUED | KEVENT_REQ_ONESHOT);
        uk.id.raw[1] = i;
        uk.user_u64 = i;
        CHECK_EQ(add(crowd.queue, uk), 0);
    }
    while (__atomic_load_n(&crowd.taken, __ATOMIC_ACQUIRE) < CROWD_EVENTS) {
        /* Those who wait for more than is left are let go. */
        CHECK_EQ(kevent_ctl(crowd.queue, KEVENT_CTL_READY, 0, NULL), 0);
        sched_yield();
    }
    kevent_close(crowd.queue);
    for (unsigned i = 0; i < CROWD; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned i = 0; i < CROWD_EVENTS; i++) {
        CHECK_EQ(crowd.seen[i], 1);
    }
    kev_queue_unref(crowd.queue);
    pair_close(pair);
}

/* Closing and sleeping at the same time, over and over. */
TEST(wait_threads_close_at_any_moment)
{
    for (unsigned i = 0; i < 200; i++) {
        struct sleeper sleepers[2] = {0};
        struct kev_queue *queue = open_shared();
        kev_queue_ref(queue);
        for (unsigned k = 0; k < 2; k++) {
            sleepers[k].queue = queue;
            sleepers[k].min_nr = sleepers[k].max_nr = 1;
            sleepers[k].timeout_ns = KEVENT_WAIT_FOREVER;
            CHECK_EQ(pthread_create(&sleepers[k].thread, NULL, sleeper_main,
                                    &sleepers[k]), 0);
        }
        kevent_close(queue);
        for (unsigned k = 0; k < 2; k++) {
            CHECK_EQ(sleeper_join(&sleepers[k]), -EBADF);
        }
        kev_queue_unref(queue);
    }
}
