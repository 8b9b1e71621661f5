/*
 * test_registry.c - finding kevents by key and by descriptor.
 */
#include "fixture.h"

#include <stdlib.h>

TEST(registry_finds_every_key_it_was_given)
{
    struct kev_queue *queue = open_owned();
    for (uint64_t id = 0; id < 1000; id++) {
        CHECK_EQ(add(queue, uk_user(id * id << 20, 0)), 0);
    }
    CHECK_EQ(queue->registry.count, 1000);
    CHECK_EQ(kev_queue_check(queue), 0);
    for (uint64_t id = 0; id < 1000; id += 2) {
        CHECK_EQ(remove_one(queue, uk_user(id * id << 20, 0)), 0);
    }
    CHECK_EQ(kev_queue_check(queue), 0);
    for (uint64_t id = 0; id < 1000; id++) {
        CHECK(kev_registry_find(&queue->registry, &kev_source_user,
                                KEVENT_UNOTIFY, id * id << 20) != NULL
              || id % 2 == 0);
    }
    CHECK_EQ(queue->registry.count, 500);
    close_queue(queue);
}

/* The type is part of the key: fd 5 and a timer of 5 s are two things. */
TEST(registry_key_is_type_and_id)
{
    struct kev_queue *queue = open_owned();
    struct pair pair = pair_pipe();
    uint32_t fd = (uint32_t)pair.near;
    CHECK_EQ(add(queue, uk_poll(pair.near, KEVENT_POLL_POLLIN, QUEUED)), 0);
    CHECK_EQ(add(queue, uk_timer(fd * SEC, 0)), 0);
    CHECK_EQ(add(queue, uk_user(fd, 0)), 0);
    CHECK_EQ(queue->registry.count, 3);
    close_queue(queue);
    pair_close(pair);
}

TEST(registry_takes_back_what_it_gave)
{
    struct kev_queue *queue = open_owned();
    struct pair pair = pair_pipe();
    for (unsigned i = 0; i < 1000; i++) {
        CHECK_EQ(add(queue, uk_poll(pair.near, KEVENT_POLL_POLLIN, LEVEL)),
                 0);
        CHECK_EQ(remove_one(queue, uk_poll(pair.near, 0, 0)), 0);
    }
    CHECK_EQ(queue->registry.count, 0);
#ifndef KEV_NO_FREELIST
    CHECK(queue->registry.slabs != NULL);
    CHECK(*(void **)queue->registry.slabs == NULL);
#endif
    close_queue(queue);
    pair_close(pair);
}
