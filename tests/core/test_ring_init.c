/*
 * test_ring_init.c - kevent_ring_init: attaching a ring to a queue, and
 * detaching it.  The ring by itself is test_ring.c's.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct kevent_ring *
memory_new(unsigned num)
{
    struct kevent_ring *ring = malloc(KEVENT_RING_SIZE(num));
    CHECK(ring != NULL);
    memset(ring, 0xa5, KEVENT_RING_SIZE(num));
    return ring;
}

/* The header is all that is written to it. */
TEST(ring_init_writes_the_header)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = memory_new(2);
    struct ukevent untouched;
    memset(&untouched, 0xa5, sizeof(untouched));
    CHECK_EQ(kevent_ring_init(queue, ring, 2), 0);
    CHECK_EQ(ring->ring_kidx, 0);
    CHECK_EQ(ring->ring_over, 0);
    CHECK(memcmp(&ring->event[0], &untouched, sizeof(untouched)) == 0);
    CHECK(memcmp(&ring->event[1], &untouched, sizeof(untouched)) == 0);
    close_queue(queue);
    free(ring);
}

/* What is refused leaves the queue without a ring, or with the one it has. */
TEST(ring_init_refuses_nonsense)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = memory_new(3);
    struct kevent_ring *other = memory_new(1);
    struct kevent_ring *askew = (void *)((char *)ring + 4);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, NULL, 3), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, 0), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, 0x80000000u), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, UINT32_MAX), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, askew, 1), -EINVAL);
    CHECK_EQ(kevent_wait(queue, 0, 0, 0, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, 3), 0);
    CHECK_EQ(kevent_ring_init(queue, ring, 3), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, other, 1), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, NULL, 3), -EINVAL);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, 3, 0, 0, 0, NULL), 1);
    CHECK_EQ(ring->event[0].id.raw_u64, 1);
    close_queue(queue);
    free(other);
    free(ring);
}

/* The largest number is taken on trust: no slot is touched yet. */
TEST(ring_init_of_the_largest_number)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = memory_new(1);
    CHECK_EQ(kevent_ring_init(queue, ring, INT32_MAX), 0);
    CHECK_EQ(kevent_wait(queue, INT32_MAX, 0, 0, 0, NULL), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, INT32_MAX, 0, 0, 0, NULL), 1);
    CHECK_EQ(kevent_commit(queue, 1, 0), 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
    close_queue(queue);
    free(ring);
}

/* Entries that nobody has committed cannot be taken back. */
TEST(ring_init_detaches_what_is_committed)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, 2, 0, 0, 0, NULL), 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EBUSY);
    CHECK_EQ(kevent_commit(queue, 1, 0), 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EINVAL);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_commit(queue, 0, 0), 0);
    close_queue(queue);
    free(ring);
}

/* What was not handed out goes to the next ring, which begins at 0. */
TEST(ring_init_of_another_size)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *small = ring_new(queue, 1);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(add(queue, uk_user(i, QUEUED)), 0);
    }
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), 1);
    CHECK_EQ(kevent_commit(queue, 0, 0), 1);
    CHECK_EQ(small->ring_over, 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
    free(small);
    struct kevent_ring *large = ring_new(queue, 8);
    CHECK_EQ(large->ring_over, 0);
    CHECK_EQ(kevent_wait(queue, 8, 0, 0, 0, NULL), 3);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(large->event[i].id.raw_u64, i + 1);
    }
    CHECK_EQ(large->ring_kidx, 3);
    close_queue(queue);
    free(large);
}

static void *
waiter_main(void *argument)
{
    return kevent_wait(argument, 1, 0, KEVENT_WAIT_FOREVER, 0, NULL) == 1
        ? argument : NULL;
}

/* The memory is not taken from under one who waits for it to be filled. */
TEST(ring_init_while_somebody_waits)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    pthread_t thread;
    void *result;
    CHECK_EQ(pthread_create(&thread, NULL, waiter_main, queue), 0);
    await_waiters(queue, 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), -EBUSY);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == queue);
    CHECK_EQ(kevent_commit(queue, 1, 0), 1);
    CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
    close_queue(queue);
    free(ring);
}
