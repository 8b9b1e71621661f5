/*
 * test_owned.c - a queue with one owner: kev_queue_poll and its ring.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN KEVENT_POLL_POLLIN

TEST(owned_poll_needs_an_owner_and_a_ring)
{
    struct kev_queue *queue = open_shared();
    struct kevent_ring *ring = ring_new(queue, 2);
    CHECK_EQ(kev_queue_poll(queue, 0), -EINVAL);
    close_queue(queue);
    queue = open_owned();
    CHECK_EQ(kev_queue_poll(queue, 0), -EINVAL);
    CHECK_EQ(kevent_ring_init(queue, ring, 2), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    close_queue(queue);
    free(ring);
}

TEST(owned_poll_sleeps_as_long_as_it_is_told)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 2);
    uint64_t start = kev_sys_now(CLOCK_MONOTONIC);
    CHECK_EQ(kev_queue_poll(queue, 1500 * 1000), 0);
    CHECK(kev_sys_now(CLOCK_MONOTONIC) - start >= 1500 * 1000);
    close_queue(queue);
    free(ring);
}

/* More is ready than the ring has room for: nothing lost, order kept. */
TEST(owned_ring_smaller_than_what_is_ready)
{
    for (unsigned slots = 1; slots <= 5; slots++) {
        struct kev_queue *queue = open_owned();
        struct kevent_ring *ring = ring_new(queue, slots);
        struct pair pairs[12];
        unsigned uidx = 0;
        for (unsigned i = 0; i < 12; i++) {
            pairs[i] = pair_pipe();
            CHECK_EQ(add(queue, uk_poll(pairs[i].near, IN, 0)), 0);
            write_byte(pairs[i].far);
        }
        for (unsigned i = 0; i < 12;) {
            int count = kev_queue_poll(queue, KEVENT_WAIT_FOREVER);
            CHECK_EQ(count, slots < 12 - i ? slots : 12 - i);
            CHECK_EQ(kev_queue_check(queue), 0);
            CHECK_EQ(readable(queue), (unsigned)count + i < 12);
            for (int k = 0; k < count; k++, i++) {
                CHECK_EQ(ring->event[uidx].id.raw[0], pairs[i].near);
                uidx = (uidx + 1) % slots;
            }
            CHECK_EQ(ring->ring_kidx, uidx);
            kev_queue_consume(queue, (unsigned)count);
        }
        CHECK_EQ(kev_queue_poll(queue, 0), 0);
        close_queue(queue);
        for (unsigned i = 0; i < 12; i++) {
            pair_close(pairs[i]);
        }
        free(ring);
    }
}

/* The same with levels, which must neither spin nor starve. */
TEST(owned_levels_and_a_small_ring)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 2);
    struct pair pairs[5];
    unsigned told[5] = {0};
    unsigned uidx = 0;
    for (unsigned i = 0; i < 5; i++) {
        pairs[i] = pair_pipe();
        struct ukevent uk = uk_poll(pairs[i].near, IN, LEVEL);
        uk.user_u64 = i;
        CHECK_EQ(add(queue, uk), 0);
        write_byte(pairs[i].far);
    }
    for (unsigned step = 0; step < 50; step++) {
        CHECK_EQ(kev_queue_poll(queue, 0), 2);
        CHECK_EQ(kev_queue_check(queue), 0);
        for (unsigned k = 0; k < 2; k++) {
            told[ring->event[uidx].user_u64]++;
            uidx = (uidx + 1) % 2;
        }
        kev_queue_consume(queue, 2);
    }
    for (unsigned i = 0; i < 5; i++) {
        CHECK(told[i] >= 10);
        read_bytes(pairs[i].near);
    }
    int left;
    while ((left = kev_queue_poll(queue, 0)) > 0) {
        kev_queue_consume(queue, (unsigned)left);
    }
    CHECK_EQ(left, 0);
    CHECK(!readable(queue));
    close_queue(queue);
    for (unsigned i = 0; i < 5; i++) {
        pair_close(pairs[i]);
    }
    free(ring);
}

TEST(owned_full_ring_is_said)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 1);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), -ENOSPC);
    CHECK_EQ(kevent_commit(queue, 0, 0), 1);
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    close_queue(queue);
    free(ring);
}

/* Short way and ready list in one pass: one order, one set of answers. */
TEST(owned_mixed_kinds_in_one_pass)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 64);
    struct pair pairs[9];
    unsigned seen[9] = {0};
    const uint32_t modes[3] = {LEVEL, QUEUED | KEVENT_REQ_ONESHOT,
                               QUEUED | KEVENT_REQ_LAST_CHECK};
    for (unsigned i = 0; i < 9; i++) {
        pairs[i] = pair_pipe();
        struct ukevent uk = uk_poll(pairs[i].near, IN, modes[i % 3]);
        uk.user_u64 = i;
        CHECK_EQ(add(queue, uk), 0);
        write_byte(pairs[i].far);
    }
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    CHECK_EQ(kev_queue_knock(queue), 0);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 10);
    CHECK_EQ(kev_queue_check(queue), 0);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(ring->event[i].ret_flags, KEVENT_RET_DONE);
        if (ring->event[i].type == KEVENT_POLL) {
            CHECK_EQ(ring->event[i].ret_data[0], IN);
            CHECK_EQ(ring->event[i].ret_data[1], 0);
            seen[ring->event[i].user_u64]++;
        }
    }
    for (unsigned i = 0; i < 9; i++) {
        CHECK_EQ(seen[i], 1);
    }
    CHECK_EQ(queue->registry.count, 7);
    close_queue(queue);
    for (unsigned i = 0; i < 9; i++) {
        pair_close(pairs[i]);
    }
    free(ring);
}

TEST(owned_knocks_before_a_look_are_one)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    CHECK_EQ(kev_queue_knock(queue), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(kev_queue_knock(queue), 0);
        CHECK_EQ(kev_queue_knock(queue), 0);
        CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
        CHECK_EQ(ring->event[i].id.raw_u64 == KEV_KNOCK_ID, true);
        CHECK_EQ(kev_queue_poll(queue, 0), 0);
    }
    CHECK_EQ(remove_one(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    CHECK_EQ(kev_queue_knock(queue), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    close_queue(queue);
    free(ring);
}

/* A counter that is full is emptied by the one who knocks. */
TEST(owned_knock_on_a_full_counter)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    const uint64_t most = UINT64_MAX - 1;
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    CHECK_EQ(write(queue->bell_fd, &most, sizeof(most)), sizeof(most));
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    CHECK_EQ(kev_queue_knock(queue), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    close_queue(queue);
    free(ring);
}

/* A knock is not lost when the bell is silenced for other reasons. */
TEST(owned_knock_while_the_bell_is_drained)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK(queue->bell_rung);
    CHECK_EQ(kev_queue_knock(queue), 0);
    CHECK_EQ(remove_one(queue, uk_user(1, 0)), 0);
    CHECK(!queue->bell_rung);
    CHECK(readable(queue));
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
    CHECK_EQ(ring->event[0].id.raw_u64 == KEV_KNOCK_ID, true);
    close_queue(queue);
    free(ring);
}

/* A level beside an edge: told once a pass, for as long as it lasts. */
TEST(owned_level_beside_an_edge)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    struct ukevent edge = uk_poll(pair.near, IN, KEVENT_REQ_ET | QUEUED);
    edge.id.raw[1] = 1;
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, LEVEL)), 0);
    CHECK_EQ(add(queue, edge), 0);
    write_byte(pair.far);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 2);
    kev_queue_consume(queue, 2);
    for (unsigned i = 2; i < 6; i++) {
        CHECK(readable(queue));
        CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
        CHECK_EQ(ring->event[i].id.raw[1], 0);
        CHECK_EQ(ring->event[i].ret_data[0], IN);
        kev_queue_consume(queue, 1);
        CHECK_EQ(kev_queue_check(queue), 0);
    }
    read_bytes(pair.near);
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    CHECK(!readable(queue));
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

#define KNOCKERS 3
#define KNOCKS   2000

struct knockers {
    struct kev_queue *queue;
    unsigned posted;     /* atomic */
};

static void *
knocker(void *argument)
{
    struct knockers *shared = argument;
    for (unsigned i = 0; i < KNOCKS; i++) {
        __atomic_fetch_add(&shared->posted, 1, __ATOMIC_ACQ_REL);
        CHECK_EQ(kev_queue_knock(shared->queue), 0);
    }
    return NULL;
}

/* Whatever is posted before a knock is seen after the event of a knock. */
TEST(owned_knocks_from_threads)
{
    struct knockers shared = {.queue = open_owned()};
    struct kevent_ring *ring = ring_new(shared.queue, 8);
    pthread_t threads[KNOCKERS];
    CHECK_EQ(add(shared.queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    for (unsigned i = 0; i < KNOCKERS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, knocker, &shared), 0);
    }
    while (__atomic_load_n(&shared.posted, __ATOMIC_ACQUIRE)
           < KNOCKERS * KNOCKS) {
        int count = kev_queue_poll(shared.queue, KEVENT_WAIT_FOREVER);
        CHECK_EQ(count, 1);
        kev_queue_consume(shared.queue, 1);
    }
    for (unsigned i = 0; i < KNOCKERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    close_queue(shared.queue);
    free(ring);
}

static struct kev_queue *signalled_queue;

static void
on_alarm(int signo)
{
    (void)signo;
    if (signalled_queue != NULL) {
        (void)kev_queue_knock(signalled_queue);
    }
}

static void
alarm_every(long microseconds)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {
        .it_interval.tv_usec = microseconds,
        .it_value.tv_usec = microseconds,
    };
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

TEST(owned_poll_is_ended_by_a_signal)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    alarm_every(2000);
    CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), -EINTR);
    CHECK_EQ(kev_queue_poll(queue, 60 * SEC), -EINTR);
    alarm_every(0);
    close_queue(queue);
    free(ring);
}

TEST(owned_knock_from_a_signal_handler)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    signalled_queue = queue;
    alarm_every(1000);
    for (unsigned i = 0; i < 20;) {
        int count = kev_queue_poll(queue, KEVENT_WAIT_FOREVER);
        CHECK(count == 1 || count == -EINTR);
        /* Under TSan this is where the handler runs. */
        (void)usleep(0);
        if (count == 1) {
            kev_queue_consume(queue, 1);
            i++;
        }
    }
    alarm_every(0);
    signalled_queue = NULL;
    close_queue(queue);
    free(ring);
}

/* A child's copy is dead, and to close it does not hurt the parent's. */
TEST(owned_queue_is_dead_in_a_child)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    struct ukevent event;
    int status = -1;
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, LEVEL)), 0);
    pid_t child = fork();
    if (child == 0) {
        struct ukevent uk = uk_user(1, 0);
        int dead = kev_queue_poll(queue, 0) == -EBADF
            && kevent_ctl(queue, KEVENT_CTL_ADD, 1, &uk) == -EBADF
            && kevent_get_events(queue, 0, 1, 0, &event, 0, NULL) == -EBADF
            && kevent_commit(queue, 0, 0) == -EBADF
            && kevent_ring_init(queue, NULL, 0) == -EBADF
            && kev_queue_knock(queue) == -EBADF;
        kevent_close(queue);
        _exit(dead ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    write_byte(pair.far);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

/* Descriptors far beyond the first page of origins. */
TEST(owned_high_descriptors)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    int high = dup2(pair.near, 900);
    CHECK_EQ(high, 900);
    CHECK_EQ(add(queue, uk_poll(high, IN, LEVEL)), 0);
    write_byte(pair.far);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    CHECK_EQ(ring->event[0].id.raw[0], 900);
    CHECK_EQ(remove_one(queue, uk_poll(high, IN, LEVEL)), 0);
    close_queue(queue);
    close(high);
    pair_close(pair);
    free(ring);
}

/* So many looks in vain that the kernel is asked to tell (lull.h). */
static void
look_in_vain(struct kev_queue *queue)
{
    for (unsigned i = 0; i < KEV_LULL_OPEN + 2 * KEV_LULL_LONGEST; i++) {
        CHECK_EQ(kev_queue_poll(queue, 0), 0);
    }
}

/* What this thread, another one or kevent_ctl makes ready is seen by the very
   next poll, however many found nothing before. */
TEST(owned_poll_after_a_lull)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pairs[3] = {pair_pipe(), pair_pipe(), pair_pipe()};
    kev_queue_steady(queue, true);
    CHECK_EQ(add(queue, uk_poll(pairs[0].near, IN, 0)), 0);
    CHECK_EQ(add(queue, uk_poll(pairs[1].near, IN, KEVENT_REQ_LEVEL)), 0);
    write_byte(pairs[2].far);
    for (int round = 0; round < 3; round++) {
        look_in_vain(queue);
        CHECK(queue->lull.asked || queue->lull.refused);
        write_byte(pairs[round % 2].far);
        CHECK_EQ(kev_queue_poll(queue, 0), 1);
        kev_queue_consume(queue, 1);
        read_bytes(pairs[round % 2].near);
        CHECK_EQ(kev_queue_poll(queue, 0), 0);
    }
    look_in_vain(queue);
    CHECK_EQ(add(queue, uk_poll(pairs[2].near, IN,
                                KEVENT_REQ_ALWAYS_QUEUE)), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    kev_queue_consume(queue, 1);
    look_in_vain(queue);
    kev_queue_steady(queue, false);
    look_in_vain(queue);
    write_byte(pairs[0].far);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    close_queue(queue);
    for (int i = 0; i < 3; i++) {
        pair_close(pairs[i]);
    }
    free(ring);
}

/* A level that lasts is told in each poll, also after a lull. */
TEST(owned_level_after_a_lull)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    kev_queue_steady(queue, true);
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, KEVENT_REQ_LEVEL)), 0);
    look_in_vain(queue);
    write_byte(pair.far);
    for (unsigned i = 0; i < 300; i++) {
        CHECK_EQ(kev_queue_poll(queue, 0), 1);
        kev_queue_consume(queue, 1);
    }
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

static void *
knock_from_elsewhere(void *arg)
{
    CHECK_EQ(kev_queue_knock(arg), 0);
    return NULL;
}

TEST(owned_knock_after_a_lull)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
    kev_queue_steady(queue, true);
    look_in_vain(queue);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, knock_from_elsewhere, queue), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    kev_queue_consume(queue, 1);
    CHECK_EQ(kev_queue_poll(queue, 1), 0);
    close_queue(queue);
    free(ring);
}

static void *
lull_of_a_thread(void *arg)
{
    struct kev_queue *queue = arg;
    kev_queue_steady(queue, true);
    look_in_vain(queue);
    kev_queue_steady(queue, false);
    return NULL;
}

/* Who asked has ended, and another thread goes on with the queue. */
TEST(owned_lull_of_another_thread)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, 0)), 0);
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, lull_of_a_thread, queue), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        kev_queue_steady(queue, true);
        if (round != 0) {
            look_in_vain(queue);
        }
        write_byte(pair.far);
        CHECK_EQ(kev_queue_poll(queue, 0), 1);
        kev_queue_consume(queue, 1);
        read_bytes(pair.near);
        kev_queue_steady(queue, false);
    }
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

TEST(owned_what_was_queued_is_told_once)
{
    /* Made ready by the program, and ready by itself, in one harvest. */
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_pipe();
    struct ukevent uk = uk_user(7, KEVENT_REQ_READY);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, LEVEL)), 0);
    write_byte(pair.far);
    CHECK_EQ(ready(queue, uk_poll(pair.near, IN, LEVEL)), 1);
    CHECK_EQ(kev_queue_poll(queue, 0), 2);
    kev_queue_consume(queue, 2);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    close_queue(queue);
    pair_close(pair);
    free(ring);
}
