/*
 * test_init.c - kevent_init, the call of take 25: here it is kevent_open and
 * kevent_ring_init, and each part fails by itself.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

static int
init(struct kev_queue **ret_queue, struct kevent_ring *ring, unsigned num,
     unsigned flags)
{
    struct kev_queue *queue;
    int r = kevent_open(&queue, flags);
    if (r < 0) {
        return r;
    }
    if (ring != NULL || num != 0) {
        r = kevent_ring_init(queue, ring, num);
    }
    if (r < 0) {
        kevent_close(queue);
        return r;
    }
    *ret_queue = queue;
    return 0;
}

/* With a ring it can be waited for at once; without, it can get one. */
TEST(init_with_and_without_a_ring)
{
    struct kev_queue *queue = NULL;
    struct kevent_ring *ring = malloc(KEVENT_RING_SIZE(4));
    CHECK(ring != NULL);
    CHECK_EQ(init(&queue, ring, 4, 0), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kevent_wait(queue, 4, 0, 0, 0, NULL), 1);
    close_queue(queue);
    CHECK_EQ(init(&queue, NULL, 0, 0), 0);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, 4), 0);
    CHECK_EQ(kevent_wait(queue, 1, 0, 0, 0, NULL), 0);
    close_queue(queue);
    free(ring);
}

/* One of ring and num without the other, a flag, no descriptor: no queue,
   and the ring is free for the next. */
TEST(init_that_fails_leaves_nothing)
{
    struct kev_queue *queue = NULL;
    struct kevent_ring *ring = malloc(KEVENT_RING_SIZE(1));
    CHECK(ring != NULL);
    CHECK_EQ(init(&queue, NULL, 4, 0), -EINVAL);
    CHECK_EQ(init(&queue, ring, 0, 0), -EINVAL);
    CHECK_EQ(init(&queue, ring, 1, 0x80), -EINVAL);
    descriptors_limit(1);
    CHECK_EQ(init(&queue, ring, 1, 0), -EMFILE);
    descriptors_free();
    CHECK(queue == NULL);
    CHECK_EQ(init(&queue, ring, 1, 0), 0);
    close_queue(queue);
    free(ring);
}
