/*
 * test_features.c - kevent_features: what a program may rely on.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A bit is set for the types that ADD knows, and for no other. */
TEST(features_are_the_types_that_can_be_added)
{
    struct kev_queue *queue = open_shared();
    for (uint32_t type = 0; type <= KEVENT_MAX; type++) {
        struct ukevent uk = uk_fd(type, -1, 0x80000000u, 0);
        bool known = kevent_features() >> type & 1;
        CHECK_EQ(add(queue, uk) == -ENOSYS, !known);
    }
    close_queue(queue);
}

/* The extensions have bits of their own, above those of all types; the bits
   that are left are for those to come. */
TEST(features_name_the_extensions)
{
    const uint64_t extensions[] = {
        KEVENT_FEATURE_PROC, KEVENT_FEATURE_LEVEL, KEVENT_FEATURE_COUNT,
        KEVENT_FEATURE_REPLACE, KEVENT_FEATURE_SEEN, KEVENT_FEATURE_CLOCKS,
        KEVENT_FEATURE_RECORDS,
    };
    uint64_t rest = kevent_features();
    for (unsigned i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
        CHECK((rest & extensions[i]) != 0);
        CHECK((extensions[i] >> KEVENT_MAX) != 0);
        rest &= ~extensions[i];
    }
    CHECK_EQ(rest >> KEVENT_MAX, 0);
}

/* What a bit promises is accepted: a program may probe once and rely on it. */
TEST(features_are_kept)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct kevent_record record;
    struct ukevent uk = uk_poll(pair.near, KEVENT_POLL_POLLIN,
                                KEVENT_REQ_LEVEL | KEVENT_REQ_COUNT
                                | KEVENT_REQ_REPLACE);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(kevent_wait(queue, 1, 1, KEVENT_WAIT_FOREVER,
                         KEVENT_FLAGS_SEEN, NULL), 0);
    uk = uk_timer(SEC, 0);
    CHECK_EQ(kevent_timer(queue, KEVENT_CTL_ADD, &uk, SEC, 0,
                          KEVENT_FLAGS_BOOTTIME), 0);
    CHECK_EQ(kevent_record(queue, 1, &record), -ENOENT);
    uk = uk_fd(KEVENT_PROC, getpid(), KEVENT_PROC_EXIT, 0);
    CHECK_EQ(add(queue, uk), 0);
    close_queue(queue);
    pair_close(pair);
    free(ring);
}
