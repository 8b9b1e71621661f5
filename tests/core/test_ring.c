/*
 * test_ring.c - the ring's counters, with no queue around it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kev/ring.h"
#include "runner.h"

static struct kevent_ring *
memory_new(unsigned num)
{
    struct kevent_ring *memory = malloc(KEVENT_RING_SIZE(num));
    CHECK(memory != NULL);
    memset(memory, 0xa5, KEVENT_RING_SIZE(num));
    return memory;
}

/* Fills slots with numbers from *next on, as many as there is room for. */
static unsigned
produce(struct kev_ring *ring, unsigned count, uint64_t *next)
{
    unsigned made = 0;
    while (made < count && kev_ring_room(ring) != 0) {
        kev_ring_slot(ring)->user_u64 = (*next)++;
        kev_ring_advance(ring);
        made++;
    }
    kev_ring_publish(ring);
    return made;
}

TEST(ring_header_is_written_at_attach)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(3);
    CHECK_EQ(kev_ring_attach(&ring, memory, 3), 0);
    CHECK_EQ(memory->ring_kidx, 0);
    CHECK_EQ(memory->ring_over, 0);
    CHECK_EQ(kev_ring_room(&ring), 3);
    free(memory);
}

TEST(ring_attach_refuses_nonsense)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(3);
    struct kevent_ring *askew = (void *)((char *)memory + 4);
    CHECK_EQ(kev_ring_attach(&ring, NULL, 0), -EINVAL);
    CHECK_EQ(kev_ring_attach(&ring, NULL, 3), -EINVAL);
    CHECK_EQ(kev_ring_attach(&ring, memory, 0), -EINVAL);
    CHECK_EQ(kev_ring_attach(&ring, memory, UINT32_MAX), -EINVAL);
    CHECK_EQ(kev_ring_attach(&ring, askew, 1), -EINVAL);
    CHECK_EQ(kev_ring_attach(&ring, memory, 3), 0);
    CHECK_EQ(kev_ring_attach(&ring, memory, 3), -EINVAL);
    free(memory);
}

TEST(ring_detach_waits_for_the_last_commit)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(2);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 2), 0);
    CHECK_EQ(produce(&ring, 1, &next), 1);
    CHECK_EQ(kev_ring_attach(&ring, NULL, 0), -EBUSY);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), 1);
    CHECK_EQ(kev_ring_attach(&ring, NULL, 0), 0);
    CHECK_EQ(kev_ring_attach(&ring, memory, 2), 0);
    CHECK_EQ(memory->ring_kidx, 0);
    free(memory);
}

TEST(ring_commit_without_a_ring_is_nothing)
{
    struct kev_ring ring = {.memory = NULL};
    CHECK_EQ(kev_ring_commit(&ring, 5, 9), 0);
}

/* All slots are usable, and a full ring is released by one commit. */
TEST(ring_of_one_slot)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(1);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 1), 0);
    for (unsigned lap = 0; lap < 5; lap++) {
        CHECK_EQ(produce(&ring, 9, &next), 1);
        CHECK_EQ(memory->ring_kidx, 0);
        CHECK_EQ(memory->event[0].user_u64, lap);
        CHECK_EQ(kev_ring_commit(&ring, 0, lap), 1);
        CHECK_EQ(memory->ring_over, lap + 1);
        CHECK_EQ(kev_ring_commit(&ring, 0, lap), 0);
    }
    CHECK_EQ(kev_ring_commit(&ring, 1, 5), -EINVAL);
    free(memory);
}

TEST(ring_of_two_slots)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(2);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 2), 0);
    CHECK_EQ(produce(&ring, 1, &next), 1);
    CHECK_EQ(memory->ring_kidx, 1);
    CHECK_EQ(produce(&ring, 9, &next), 1);
    CHECK_EQ(memory->ring_kidx, 0);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), 1);
    CHECK_EQ(produce(&ring, 9, &next), 1);
    CHECK_EQ(memory->event[0].user_u64, 2);
    CHECK_EQ(kev_ring_commit(&ring, 0, 0), 1);
    CHECK_EQ(memory->ring_over, 1);
    CHECK_EQ(kev_ring_commit(&ring, 1, 1), 1);
    CHECK_EQ(kev_ring_room(&ring), 2);
    free(memory);
}

TEST(ring_commit_beyond_what_is_filled)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(8);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 8), 0);
    CHECK_EQ(produce(&ring, 3, &next), 3);
    CHECK_EQ(kev_ring_commit(&ring, 4, 0), -EINVAL);
    CHECK_EQ(kev_ring_commit(&ring, 8, 0), -EINVAL);
    CHECK_EQ(kev_ring_commit(&ring, 2, 0), 2);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), -EINVAL);
    CHECK_EQ(kev_ring_commit(&ring, 2, 0), 0);
    CHECK_EQ(kev_ring_commit(&ring, 3, 0), 1);
    free(memory);
}

/* A commit computed before somebody else wrapped is refused. */
TEST(ring_commit_of_an_old_generation)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(4);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 4), 0);
    CHECK_EQ(produce(&ring, 4, &next), 4);
    CHECK_EQ(kev_ring_commit(&ring, 3, 0), 3);
    CHECK_EQ(produce(&ring, 2, &next), 2);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), 2);
    CHECK_EQ(memory->ring_over, 1);
    CHECK_EQ(kev_ring_commit(&ring, 2, 0), -EOVERFLOW);
    CHECK_EQ(kev_ring_commit(&ring, 3, 0), -EOVERFLOW);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), 0);
    CHECK_EQ(kev_ring_commit(&ring, 1, 2), -EOVERFLOW);
    CHECK_EQ(kev_ring_commit(&ring, 1, UINT32_MAX), -EOVERFLOW);
    CHECK_EQ(kev_ring_commit(&ring, 2, 1), 1);
    free(memory);
}

/* 32-bit counters and generations may wrap. */
TEST(ring_generation_wraps)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(4);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 4), 0);
    ring.over = UINT32_MAX;
    ring.produced = ring.consumed = UINT64_C(4) * UINT32_MAX;
    CHECK_EQ(produce(&ring, 4, &next), 4);
    CHECK_EQ(kev_ring_commit(&ring, 0, UINT32_MAX), 4);
    CHECK_EQ(memory->ring_over, 0);
    CHECK_EQ(produce(&ring, 1, &next), 1);
    CHECK_EQ(kev_ring_commit(&ring, 1, UINT32_MAX), -EOVERFLOW);
    CHECK_EQ(kev_ring_commit(&ring, 1, 0), 1);
    free(memory);
}

/* What is scribbled over the header misleads nobody. */
TEST(ring_header_is_not_read_back)
{
    struct kev_ring ring = {.memory = NULL};
    struct kevent_ring *memory = memory_new(4);
    uint64_t next = 0;
    CHECK_EQ(kev_ring_attach(&ring, memory, 4), 0);
    memory->ring_kidx = 77777;
    memory->ring_over = 99;
    CHECK_EQ(produce(&ring, 2, &next), 2);
    CHECK_EQ(memory->ring_kidx, 2);
    CHECK_EQ(memory->event[1].user_u64, 1);
    CHECK_EQ(kev_ring_commit(&ring, 2, 0), 2);
    free(memory);
}

/* Against a model: nothing is lost, repeated or out of order. */
TEST(ring_keeps_order_whatever_the_steps)
{
    for (unsigned slots = 1; slots <= 9; slots++) {
        struct kev_ring ring = {.memory = NULL};
        struct kevent_ring *memory = memory_new(slots);
        uint64_t next = 0;
        uint64_t expected = 0;
        unsigned uidx = 0;
        srand(slots);
        CHECK_EQ(kev_ring_attach(&ring, memory, slots), 0);
        for (unsigned step = 0; step < 2000; step++) {
            produce(&ring, (unsigned)rand() % (slots + 2), &next);
            unsigned used = (unsigned)(next - expected);
            CHECK_EQ(kev_ring_used(&ring), used);
            /* On a full ring the unchanged index would mean all. */
            unsigned count = used == 0 ? 0 : (unsigned)rand() % used + 1;
            for (unsigned i = 0; i < count; i++) {
                CHECK_EQ(memory->event[uidx].user_u64, expected++);
                uidx = (uidx + 1) % slots;
            }
            if (step % 2 == 0) {
                CHECK_EQ(kev_ring_commit(&ring, uidx, memory->ring_over),
                         count);
            }
            else {
                kev_ring_release(&ring, count);
            }
            CHECK_EQ(memory->ring_over, expected / slots);
        }
        free(memory);
    }
}
