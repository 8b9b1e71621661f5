/*
 * test_threads.c - eight threads on one queue, or three on its ring, many
 * events: none is lost, none is told twice.
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

#define SLOTS       8u
#define RING_EVENTS 20000u

struct ringed {
    struct kev_queue *queue;
    struct kevent_ring *ring;
    uint64_t fetched;            /* atomic: in the ring so far */
    uint64_t consumed;           /* atomic: read and committed */
};

static void *
fetcher_main(void *argument)
{
    struct ringed *ringed = argument;
    for (;;) {
        int count = kevent_wait(ringed->queue, SLOTS / 2, 0,
                                KEVENT_WAIT_FOREVER, 0, NULL);
        if (count == -EBADF) {
            return NULL;
        }
        if (count == -ENOSPC) {
            sched_yield();
            continue;
        }
        CHECK(count > 0);
        __atomic_fetch_add(&ringed->fetched, (unsigned)count,
                           __ATOMIC_ACQ_REL);
    }
}

static void *
consumer_main(void *argument)
{
    struct ringed *ringed = argument;
    unsigned uidx = 0;
    uint64_t seen = 0;
    while (seen < RING_EVENTS) {
        uint64_t fetched = __atomic_load_n(&ringed->fetched,
                                           __ATOMIC_ACQUIRE);
        if (fetched == seen) {
            sched_yield();
            continue;
        }
        for (; seen < fetched; seen++) {
            CHECK_EQ(ringed->ring->event[uidx].id.raw_u64, seen);
            uidx = (uidx + 1) % SLOTS;
        }
        unsigned over = __atomic_load_n(&ringed->ring->ring_over,
                                        __ATOMIC_ACQUIRE);
        CHECK(kevent_commit(ringed->queue, uidx, over) > 0);
        __atomic_store_n(&ringed->consumed, seen, __ATOMIC_RELEASE);
    }
    return NULL;
}

TEST(threads_commit_while_another_waits_and_a_third_makes_ready)
{
    struct ringed ringed = {.queue = open_shared()};
    pthread_t fetcher;
    pthread_t consumer;
    ringed.ring = ring_new(ringed.queue, SLOTS);
    kev_queue_ref(ringed.queue);
    CHECK_EQ(pthread_create(&fetcher, NULL, fetcher_main, &ringed), 0);
    CHECK_EQ(pthread_create(&consumer, NULL, consumer_main, &ringed), 0);
    for (uint64_t i = 0; i < RING_EVENTS; i++) {
        CHECK(add(ringed.queue, uk_user(i, KEVENT_REQ_READY
                                        | KEVENT_REQ_ONESHOT)) >= 0);
        while (i > __atomic_load_n(&ringed.consumed, __ATOMIC_ACQUIRE)
               + 4 * SLOTS) {
            sched_yield();
        }
    }
    CHECK_EQ(pthread_join(consumer, NULL), 0);
    take_none(ringed.queue);
    kevent_close(ringed.queue);
    CHECK_EQ(pthread_join(fetcher, NULL), 0);
    CHECK_EQ(ringed.fetched, RING_EVENTS);
    free(ringed.ring);
    kev_queue_unref(ringed.queue);
}
