/*
 * test_threads.c - eight threads on one queue, many events: none is lost,
 * none is told twice.
 *
 * KEV_TEST_EVENTS says how many events (100,000; `make core-threads`: ten
 * million).
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define KEVENTS 2048u
#define BATCH   64u

struct work {
    struct kev_queue *queue;
    uint32_t made[KEVENTS];      /* written by who makes them ready */
    uint32_t taken[KEVENTS];     /* atomic */
    uint64_t by_thread[THREADS];
};

struct worker {
    struct work *work;
    unsigned number;
    pthread_t thread;
};

static uint64_t
events_wanted(void)
{
    const char *text = getenv("KEV_TEST_EVENTS");
    return text == NULL ? 100000 : strtoull(text, NULL, 10);
}

static void *
worker_main(void *argument)
{
    const struct worker *worker = argument;
    struct work *work = worker->work;
    struct ukevent events[BATCH];
    for (;;) {
        int count = kev_queue_get_events(work->queue, 1, BATCH,
                                         KEVENT_WAIT_FOREVER, events, 0,
                                         NULL);
        if (count == -EBADF) {
            return NULL;
        }
        CHECK(count > 0);
        work->by_thread[worker->number] += (unsigned)count;
        for (int i = 0; i < count; i++) {
            __atomic_fetch_add(&work->taken[events[i].user_u64], 1,
                               __ATOMIC_ACQ_REL);
        }
    }
}

/* Makes up to BATCH kevents ready whose last event was taken; how many. */
static unsigned
feed(struct work *work, unsigned *next, uint64_t left)
{
    struct ukevent batch[BATCH];
    unsigned count = 0;
    for (unsigned tries = 0;
         tries < KEVENTS && count < BATCH && count < left; tries++) {
        unsigned i = *next;
        *next = (i + 1) % KEVENTS;
        uint32_t taken =
            __atomic_load_n(&work->taken[i], __ATOMIC_ACQUIRE);
        CHECK(taken <= work->made[i]);
        if (taken == work->made[i]) {
            work->made[i]++;
            batch[count++] = uk_user(i, 0);
        }
    }
    if (count != 0) {
        CHECK_EQ(kevent_ctl(work->queue, KEVENT_CTL_READY, count, batch),
                 (int)count);
    }
    return count;
}

TEST(threads_eight_lose_nothing_and_tell_nothing_twice)
{
    static struct work work;
    struct worker workers[THREADS];
    uint64_t left = events_wanted();
    uint64_t total = 0;
    unsigned next = 0;
    work.queue = open_shared();
    kev_queue_ref(work.queue);
    for (unsigned i = 0; i < KEVENTS; i++) {
        struct ukevent uk = uk_user(i, 0);
        uk.user_u64 = i;
        CHECK_EQ(add(work.queue, uk), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.work = &work, .number = i};
        CHECK_EQ(pthread_create(&workers[i].thread, NULL, worker_main,
                                &workers[i]), 0);
    }
    while (left > 0) {
        unsigned count = feed(&work, &next, left);
        left -= count;
        total += count;
        if (count < BATCH) {
            sched_yield();
        }
    }
    for (unsigned i = 0; i < KEVENTS; i++) {
        while (__atomic_load_n(&work.taken[i], __ATOMIC_ACQUIRE)
               != work.made[i]) {
            sched_yield();
        }
    }
    take_none(work.queue);
    kevent_close(work.queue);
    uint64_t seen = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
        seen += work.by_thread[i];
    }
    CHECK_EQ(seen, total);
    for (unsigned i = 0; i < KEVENTS; i++) {
        CHECK_EQ(work.taken[i], work.made[i]);
    }
    kev_queue_unref(work.queue);
}
