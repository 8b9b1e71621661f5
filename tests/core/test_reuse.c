/*
 * test_reuse.c - descriptors that are closed behind the queue's back, and
 * numbers that come back while events are in flight.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define IN KEVENT_POLL_POLLIN

/* An event waits in the queue; meanwhile its descriptor is closed and the
   number added again.  What is told then belongs to the new file. */
TEST(reuse_while_an_event_waits)
{
    struct kev_queue *queue = open_shared();
    struct pair old = pair_pipe();
    struct ukevent uk = uk_poll(old.near, IN, QUEUED);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(add(queue, uk_user(1, KEVENT_REQ_READY)), 0);
    write_byte(old.far);
    struct ukevent first;
    CHECK_EQ(kevent_get_events(queue, 1, 1, 0, &first, 0, NULL), 1);
    CHECK_EQ(first.type, KEVENT_UNOTIFY);
    CHECK_EQ(close(old.near), 0);
    struct pair new = pair_pipe();
    CHECK_EQ(new.near, old.near);
    uk.user_u64 = 4711;
    CHECK_EQ(add(queue, uk), 0);
    take_none(queue);
    write_byte(new.far);
    CHECK_EQ(take_one(queue).user_u64, 4711);
    close_queue(queue);
    pair_close(new);
    CHECK_EQ(close(old.far), 0);
}

/* A duplicate keeps the old file's entry in the epoll set alive, and nobody
   can take it out by the number: what it tells is of no generation. */
TEST(reuse_while_a_duplicate_lives)
{
    struct kev_queue *queue = open_shared();
    struct pair old = pair_pipe();
    struct ukevent uk = uk_poll(old.near, IN, LEVEL);
    CHECK_EQ(add(queue, uk), 0);
    int duplicate = dup(old.near);
    CHECK_EQ(close(old.near), 0);
    struct pair new = pair_pipe();
    CHECK_EQ(new.near, old.near);
    uk.req_flags = QUEUED;
    uk.user_u64 = 4711;
    CHECK_EQ(add(queue, uk), 0);
    write_byte(old.far);
    take_none(queue);
    write_byte(new.far);
    CHECK_EQ(take_one(queue).user_u64, 4711);
    take_none(queue);
    close_queue(queue);
    pair_close(new);
    CHECK_EQ(close(duplicate), 0);
    CHECK_EQ(close(old.far), 0);
}

/* Over and over, for each type that watches a descriptor. */
TEST(reuse_of_one_number_many_times)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    unsigned uidx = 0;
    for (unsigned turn = 0; turn < 300; turn++) {
        bool socket = turn % 3 == 0;
        struct pair pair = socket ? pair_sockets() : pair_pipe();
        struct ukevent uk = socket
            ? uk_fd(KEVENT_SOCKET, pair.near, KEVENT_SOCKET_RECV, QUEUED)
            : turn % 3 == 1
            ? uk_fd(KEVENT_PIPE, pair.near, KEVENT_SOCKET_RECV, QUEUED)
            : uk_poll(pair.near, IN, QUEUED | KEVENT_REQ_ET);
        uk.user_u64 = turn;
        CHECK_EQ(add(queue, uk), 0);
        write_byte(pair.far);
        int count = kevent_wait(queue, 2, 0, SEC, 0, NULL);
        CHECK(count >= 1);
        bool told = false;
        for (int i = 0; i < count; i++) {
            const struct ukevent *event = &ring->event[uidx];
            told |= event->user_u64 == turn
                && (event->ret_flags & KEVENT_RET_BROKEN) == 0;
            CHECK(event->user_u64 == turn
                  || (event->ret_flags & KEVENT_RET_BROKEN));
            uidx = (uidx + 1) % 2;
        }
        CHECK_EQ(kevent_commit(queue, uidx, ring->ring_over), count);
        if (!told) {
            CHECK_EQ(take_one(queue).user_u64, turn);
        }
        pair_close(pair);
    }
    CHECK(queue->registry.count <= 3);
    close_queue(queue);
    free(ring);
}

/* The generation of registrations passes 2^32, forced: 0 is left out. */
TEST(reuse_when_generations_wrap)
{
    struct kev_queue *queue = open_shared();
    queue->generation = UINT32_MAX - 2;
    for (unsigned turn = 0; turn < 6; turn++) {
        struct pair pair = pair_pipe();
        struct ukevent uk = uk_poll(pair.near, IN, QUEUED);
        CHECK_EQ(add(queue, uk), 0);
        write_byte(pair.far);
        CHECK_EQ(take_one(queue).id.raw[0], pair.near);
        CHECK(queue->generation != 0);
        CHECK_EQ(kev_queue_check(queue), 0);
        if (turn % 2) {
            CHECK_EQ(remove_one(queue, uk), 0);
        }
        pair_close(pair);
    }
    CHECK(queue->generation < 10);
    close_queue(queue);
}
