/*
 * test_commit.c - kevent_commit through its call; the arithmetic is
 * test_ring.c's.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* So many UNOTIFY events, each registered and ready. */
static void
make_ready(struct kev_queue *queue, uint64_t first, unsigned count)
{
    for (uint64_t i = first; i < first + count; i++) {
        CHECK_EQ(add(queue, uk_user(i, KEVENT_REQ_READY
                                    | KEVENT_REQ_ONESHOT)), 0);
    }
}

TEST(commit_refuses_nonsense)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(kevent_commit(queue, 9, 9), 0);
    struct kevent_ring *ring = ring_new(queue, 4);
    make_ready(queue, 0, 2);
    CHECK_EQ(kevent_wait(queue, 4, 0, SEC, 0, NULL), 2);
    CHECK_EQ(kevent_commit(queue, 4, 0), -EINVAL);
    CHECK_EQ(kevent_commit(queue, 3, 0), -EINVAL);
    CHECK_EQ(kevent_commit(queue, 1, 1), -EOVERFLOW);
    CHECK_EQ(kevent_commit(queue, 1, UINT32_MAX), -EOVERFLOW);
    CHECK_EQ(kevent_commit(queue, 1, 0), 1);
    CHECK_EQ(kevent_commit(queue, 0, 0), -EINVAL);
    CHECK_EQ(kevent_commit(queue, 2, 0), 1);
    CHECK_EQ(kevent_commit(queue, 2, 0), 0);
    close_queue(queue);
    free(ring);
}

struct stale {
    struct kev_queue *queue;
    unsigned uidx;
    unsigned over;
    int result;
};

static void *
stale_main(void *argument)
{
    struct stale *stale = argument;
    stale->result = kevent_commit(stale->queue, stale->uidx, stale->over);
    return NULL;
}

/* A thread that read its entries before another committed past a wrap. */
TEST(commit_from_a_second_thread_that_is_late)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 4);
    make_ready(queue, 0, 4);
    CHECK_EQ(kevent_wait(queue, 4, 0, SEC, 0, NULL), 4);
    struct stale stale = {queue, 2, ring->ring_over, 0};
    CHECK_EQ(kevent_commit(queue, 0, ring->ring_over), 4);
    make_ready(queue, 10, 3);
    CHECK_EQ(kevent_wait(queue, 4, 0, SEC, 0, NULL), 3);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, stale_main, &stale), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(stale.result, -EOVERFLOW);
    CHECK_EQ(ring->event[0].id.raw_u64, 10);
    CHECK_EQ(kevent_commit(queue, 3, ring->ring_over), 3);
    close_queue(queue);
    free(ring);
}

/* As if the consumer had wrapped so often: entries stay in order, and none
   is lost. */
static void
wrap_from(unsigned slots, uint64_t laps)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, slots);
    queue->ring.produced = queue->ring.consumed = laps * slots;
    queue->ring.over = ring->ring_over = (uint32_t)laps;
    uint64_t made = 0;
    uint64_t seen = 0;
    unsigned uidx = 0;
    for (unsigned turn = 0; turn < 40 || seen < made; turn++) {
        if (turn < 40) {
            unsigned more = 1 + turn % 3;
            make_ready(queue, made, more);
            made += more;
        }
        int count = kevent_wait(queue, slots, 0, SEC, 0, NULL);
        CHECK(count > 0);
        for (int i = 0; i < count; i++) {
            CHECK_EQ(ring->event[uidx].id.raw_u64, seen++);
            uidx = (uidx + 1) % slots;
        }
        CHECK_EQ(ring->ring_kidx, uidx);
        CHECK_EQ(kevent_commit(queue, uidx, ring->ring_over), count);
    }
    take_none(queue);
    CHECK_EQ(queue->ring.consumed, laps * slots + made);
    CHECK_EQ(ring->ring_over, (uint32_t)(laps + made / slots));
    close_queue(queue);
    free(ring);
}

/* Counters and generations that pass 2^32, forced, in rings of all small
   sizes. */
TEST(commit_goes_on_beyond_32_bits)
{
    for (unsigned slots = 1; slots <= 5; slots++) {
        wrap_from(slots, UINT32_MAX / slots - 2);
        wrap_from(slots, UINT32_MAX - 2u);
    }
}
