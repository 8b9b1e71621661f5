/*
 * test_close.c - kevent_close: what ends with a queue, and what does not.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* With everything in it, ready and not, and a ring attached. */
TEST(close_of_a_full_queue)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct pair pair = pair_pipe();
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(add(queue, uk_user(i, KEVENT_REQ_READY)), 0);
        CHECK_EQ(add(queue, uk_timer(1 + i, 0)), 0);
        CHECK_EQ(add(queue, uk_user(100 + i, 0)), 0);
    }
    CHECK_EQ(add(queue, uk_poll(pair.near, KEVENT_POLL_POLLIN, LEVEL)), 0);
    write_byte(pair.far);
    CHECK_EQ(kevent_wait(queue, 2, 0, SEC, 0, NULL), 2);
    close_queue(queue);
    free(ring);
    pair_close(pair);
}

/* Does every call answer -EBADF? */
static bool
is_dead(struct kev_queue *queue, struct kevent_ring *ring)
{
    struct ukevent uk = uk_user(1, 0);
    struct ukevent timer = {.type = KEVENT_TIMER};
    struct kevent_record record;
    for (unsigned cmd = 0; cmd < 4; cmd++) {
        if (kevent_ctl(queue, cmd, 0, NULL) != -EBADF
            || kevent_ctl(queue, cmd, 1, &uk) != -EBADF) {
            return false;
        }
    }
    return kevent_get_events(queue, 0, 1, 0, &uk, 0, NULL) == -EBADF
        && kevent_get_events(queue, 1, 1, KEVENT_WAIT_FOREVER, &uk, 0, NULL)
            == -EBADF
        && kevent_wait(queue, 1, 0, 0, 0, NULL) == -EBADF
        && kevent_wait(queue, 1, 0, KEVENT_WAIT_FOREVER, 0, NULL) == -EBADF
        && kevent_ring_init(queue, NULL, 0) == -EBADF
        && kevent_ring_init(queue, ring, 2) == -EBADF
        && kevent_commit(queue, 0, 0) == -EBADF
        && kevent_timer(queue, KEVENT_CTL_ADD, &timer, 1, 0, 0) == -EBADF
        && kevent_timer(queue, KEVENT_CTL_MODIFY, &timer, 1, 0, 0) == -EBADF
        && kevent_record(queue, 1, &record) == -EBADF
        && uk.ret_flags == 0;
}

/* Every call says that the queue is gone to one who still holds it. */
TEST(close_is_the_end)
{
    for (unsigned with_ring = 0; with_ring < 2; with_ring++) {
        struct kev_queue *queue = open_shared();
        struct kevent_ring *ring = ring_new(queue, 2);
        if (!with_ring) {
            CHECK_EQ(kevent_ring_init(queue, NULL, 0), 0);
        }
        CHECK_EQ(add(queue, uk_user(1, KEVENT_REQ_READY)), 0);
        kev_queue_ref(queue);
        kevent_close(queue);
        CHECK(is_dead(queue, ring));
        kev_queue_unref(queue);
        free(ring);
    }
    kevent_close(NULL);
}

/* A child's copy answers -EBADF everywhere; closing it leaves the parent's
   registrations alone. */
TEST(close_in_a_child)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, KEVENT_POLL_POLLIN, 0)), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bool dead = is_dead(queue, ring);
        kevent_close(queue);
        _exit(dead ? 0 : 1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    write_byte(pair.far);
    CHECK_EQ(kevent_wait(queue, 2, 0, SEC, 0, NULL), 1);
    CHECK_EQ(ring->event[0].id.raw[0], pair.near);
    close_queue(queue);
    free(ring);
    pair_close(pair);
}

/* Each process has queues of its own: a child's work while its parent's are
   dead in it, and are as dead in its child. */
TEST(close_generations)
{
    struct kev_queue *ours = open_shared();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct kev_queue *childs = open_shared();
        bool right = add(childs, uk_user(1, KEVENT_REQ_READY)) == 0
            && add(ours, uk_user(1, 0)) == -EBADF;
        pid_t grandchild = fork();
        if (grandchild == 0) {
            struct kev_queue *third = open_shared();
            _exit(add(third, uk_user(1, KEVENT_REQ_READY)) == 0
                  && add(childs, uk_user(2, 0)) == -EBADF
                  && add(ours, uk_user(2, 0)) == -EBADF ? 0 : 1);
        }
        int status = 1;
        right = right && waitpid(grandchild, &status, 0) == grandchild
            && status == 0 && add(childs, uk_user(2, 0)) == 0;
        _exit(right ? 0 : 1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(add(ours, uk_user(2, 0)), 0);
    close_queue(ours);
}
