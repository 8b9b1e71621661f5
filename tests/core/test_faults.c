/*
 * test_faults.c - every system call and every allocation fails, one at a time.
 *
 * A scenario is run with the first call failing, then with the second, until
 * a run goes through without reaching the fault.  After each step the queue
 * must agree with itself; a step that failed is done again and must succeed;
 * and what the scenario makes happen must be reported in the end.  The runner
 * sees descriptors that leak, the sanitizers see memory that does.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN KEVENT_POLL_POLLIN

static int fault_error;

/* Did the step fail as it was told to?  Then it is to be done again. */
static bool
failed_as_told(struct kev_queue *queue, int r)
{
    CHECK(kev_queue_check(queue) == 0);
    return r == -fault_error || r == -ENOMEM;
}

/* The step's value, at the second try if the first one failed. */
#define STEP(queue, call)                      \
    ({                                         \
        int step_ = (call);                    \
        if (failed_as_told((queue), step_)) {  \
            step_ = (call);                    \
            CHECK(kev_queue_check(queue) == 0); \
        }                                      \
        step_;                                 \
    })

static struct kev_queue *
open_somehow(unsigned flags)
{
    struct kev_queue *queue = NULL;
    int r = kevent_open(&queue, flags);
    if (r < 0) {
        CHECK(queue == NULL);
        CHECK(r == -fault_error || r == -ENOMEM);
        r = kevent_open(&queue, flags);
    }
    CHECK_EQ(r, 0);
    CHECK_EQ(kev_queue_check(queue), 0);
    return queue;
}

/* Collect without sleeping until wanted events have come; a call that fails
   must not lose any. */
static unsigned
collect(struct kev_queue *queue, struct ukevent *events, unsigned wanted)
{
    unsigned count = 0;
    for (unsigned turn = 0; turn < 6 && count < wanted; turn++) {
        int r = kev_queue_get_events(queue, 0, wanted - count, 0,
                                     events + count, 0, NULL);
        CHECK(r >= 0 || failed_as_told(queue, r));
        count += r > 0 ? (unsigned)r : 0;
        CHECK_EQ(kev_queue_check(queue), 0);
    }
    return count;
}

/* ---- scenarios ---- */

static void
scenario_open(void)
{
    kevent_close(open_somehow(0));
}

static void
scenario_descriptors(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct pair pair = pair_sockets();
    struct ukevent events[8];
    struct ukevent in = uk_poll(pair.near, IN, 0);
    struct ukevent once = uk_poll(pair.far, IN, KEVENT_REQ_ONESHOT | QUEUED);
    struct ukevent sock =
        uk_fd(KEVENT_SOCKET, pair.near, KEVENT_SOCKET_RECV, QUEUED);
    CHECK_EQ(STEP(queue, add(queue, in)), 0);
    CHECK_EQ(STEP(queue, add(queue, once)), 0);
    CHECK_EQ(STEP(queue, add(queue, sock)), 0);
    CHECK_EQ(queue->registry.count, 3);
    write_byte(pair.far);
    write_byte(pair.near);
    CHECK_EQ(collect(queue, events, 3), 3);
    CHECK_EQ(queue->registry.count, 2);
    CHECK_EQ(STEP(queue, modify(queue, in)), 0);
    CHECK(collect(queue, events, 1) == 1);
    /* What REMOVE says, the kevent is gone: at most the kernel is not told. */
    int r = remove_one(queue, sock);
    CHECK(r == 0 || failed_as_told(queue, r));
    r = remove_one(queue, in);
    CHECK(r == 0 || failed_as_told(queue, r));
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(STEP(queue, add(queue, uk_poll(pair.near, IN, QUEUED))), 0);
    CHECK(collect(queue, events, 1) == 1);
    close_queue(queue);
    pair_close(pair);
}

/* Levels: alone, muted, and beside an edge. */
static void
scenario_levels(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct pair pair = pair_pipe();
    struct ukevent events[8];
    struct ukevent edge = uk_poll(pair.near, IN, QUEUED);
    edge.id.raw[1] = 1;
    CHECK_EQ(STEP(queue, add(queue, uk_poll(pair.near, IN, LEVEL))), 0);
    write_byte(pair.far);
    for (unsigned i = 0; i < 3; i++) {
        int r = kev_queue_get_events(queue, 2, 4, MSEC, events, 0, NULL);
        if (failed_as_told(queue, r)) {
            r = kev_queue_get_events(queue, 2, 4, MSEC, events, 0, NULL);
        }
        CHECK_EQ(r, 1);
    }
    CHECK_EQ(STEP(queue, add(queue, edge)), 0);
    CHECK_EQ(collect(queue, events, 2), 2);
    CHECK_EQ(collect(queue, events, 1), 1);
    close_queue(queue);
    pair_close(pair);
}

/* A number that is closed and reused, beside a broken socket. */
static void
scenario_reuse(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct pair pair = pair_sockets();
    struct ukevent events[8];
    CHECK_EQ(STEP(queue, add(queue, uk_poll(pair.near, IN, QUEUED))), 0);
    CHECK_EQ(STEP(queue, add(queue, uk_fd(KEVENT_SOCKET, pair.near, 0,
                                          QUEUED))), 0);
    CHECK_EQ(close(pair.far), 0);
    CHECK_EQ(collect(queue, events, 2), 2);
    CHECK_EQ(close(pair.near), 0);
    pair = pair_sockets();
    int r = STEP(queue, add(queue, uk_poll(pair.near, IN, QUEUED)));
    CHECK_EQ(r, 0);
    write_byte(pair.far);
    CHECK(collect(queue, events, 1) == 1);
    close_queue(queue);
    pair_close(pair);
}

static void
scenario_timers(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct ukevent event;
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(STEP(queue, add(queue, uk_timer(1000 * SEC + i, 0))), 0);
    }
    CHECK_EQ(STEP(queue, modify(queue, uk_timer(1000 * SEC, 0))), 0);
    CHECK_EQ(STEP(queue, add(queue, uk_timer(MSEC, KEVENT_REQ_ONESHOT))), 0);
    int r = STEP(queue, kev_queue_get_events(queue, 1, 1, 10 * SEC, &event, 0,
                                             NULL));
    CHECK_EQ(r, 1);
    CHECK_EQ(event.id.raw[1], MSEC);
    CHECK_EQ(queue->registry.count, 20);
    close_queue(queue);
}

static void
scenario_user(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct ukevent events[40];
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(STEP(queue, add(queue, uk_user(i, 0))), 0);
        CHECK_EQ(STEP(queue, ready(queue, uk_user(i, 0))), 1);
    }
    CHECK_EQ(collect(queue, events, 40), 40);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(events[i].user_u64, i);
    }
    close_queue(queue);
}

static void
scenario_owner(void)
{
    struct kev_queue *queue = open_somehow(KEVENT_OPEN_OWNED);
    struct kevent_ring *ring = ring_new(queue, 2);
    struct pair pairs[3];
    unsigned told = 0;
    CHECK_EQ(STEP(queue, add(queue, uk_user(KEV_KNOCK_ID, 0))), 0);
    for (unsigned i = 0; i < 3; i++) {
        pairs[i] = pair_pipe();
        CHECK_EQ(STEP(queue, add(queue, uk_poll(pairs[i].near, IN,
                                                i == 2 ? 0 : QUEUED))), 0);
        write_byte(pairs[i].far);
    }
    CHECK_EQ(STEP(queue, kev_queue_knock(queue)), 0);
    for (unsigned turn = 0; turn < 8; turn++) {
        int count = kev_queue_poll(queue, 0);
        CHECK(count >= 0 || failed_as_told(queue, count));
        if (count > 0) {
            told += (unsigned)count;
            kev_queue_consume(queue, (unsigned)count);
        }
        CHECK_EQ(kev_queue_check(queue), 0);
    }
    CHECK_EQ(told, 4);
    close_queue(queue);
    for (unsigned i = 0; i < 3; i++) {
        pair_close(pairs[i]);
    }
    free(ring);
}

/* So long quiet that the kernel is asked to tell, twice. */
static void
scenario_lull(void)
{
    struct kev_queue *queue = open_somehow(KEVENT_OPEN_OWNED);
    struct kevent_ring *ring = ring_new(queue, 2);
    struct pair pair = pair_pipe();
    CHECK_EQ(STEP(queue, add(queue, uk_poll(pair.near, IN, 0))), 0);
    kev_queue_steady(queue, true);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2 * KEV_LULL_OPEN; i++) {
            CHECK_EQ(STEP(queue, kev_queue_poll(queue, 0)), 0);
        }
        if (round == 1) {
            kev_queue_steady(queue, true);
        }
        write_byte(pair.far);
        CHECK_EQ(STEP(queue, kev_queue_poll(queue, 0)), 1);
        kev_queue_consume(queue, 1);
        read_bytes(pair.near);
    }
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

/* ---- running them ---- */

static void
scenario_pipes(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct pair pair = pair_pipe();
    struct ukevent event;
    CHECK_EQ(STEP(queue, add(queue, uk_fd(KEVENT_PIPE, pair.near,
                                          KEVENT_SOCKET_RECV, 0))), 0);
    CHECK_EQ(close(pair.far), 0);
    CHECK(collect(queue, &event, 1) == 1);
    CHECK_EQ(event.ret_data[0], KEVENT_POLL_POLLHUP);
    close_queue(queue);
    CHECK_EQ(close(pair.near), 0);
}

/* Where there is no memory for a record signals are merged, not lost. */
static void
scenario_signals(void)
{
    struct kev_queue *queue = open_somehow(0);
    const int number = SIGRTMIN + 3;
    struct ukevent events[4];
    struct kevent_record record;
    struct ukevent uk = {
        .id.raw = {(uint32_t)number, KEVENT_SIGNAL_NOMASK},
        .type = KEVENT_SIGNAL,
        .event = KEVENT_SIGNAL_DELIVERY,
    };
    CHECK_EQ(STEP(queue, add(queue, uk)), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(raise(number), 0);
    }
    unsigned told = collect(queue, events, 3);
    unsigned count = 0;
    for (unsigned i = 0; i < told; i++) {
        CHECK_EQ(events[i].ret_data[0], KEVENT_SIGNAL_DELIVERY);
        bool kept = kevent_record(queue, events[i].ret_data[1], &record) == 0;
        count += kept ? record.count : 1;
    }
    CHECK(told >= 2 && count == 3);
    (void)remove_one(queue, uk);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
}

static void
scenario_inodes(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct ukevent events[4];
    char path[] = "/tmp/kev-faults-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    struct ukevent uk = uk_fd(KEVENT_INODE, fd, KEVENT_INODE_MODIFY, 0);
    struct ukevent other = uk;
    other.id.raw[1] = 1;
    CHECK_EQ(STEP(queue, add(queue, uk)), 0);
    CHECK_EQ(STEP(queue, add(queue, other)), 0);
    CHECK_EQ(queue->inodes_count, 1);
    write_byte(fd);
    CHECK_EQ(collect(queue, events, 2), 2);
    CHECK_EQ(STEP(queue, modify(queue, other)), 0);
    CHECK_EQ(remove_one(queue, uk), 0);
    write_byte(fd);
    CHECK_EQ(collect(queue, events, 1), 1);
    CHECK_EQ(events[0].id.raw[1], 1);
    CHECK_EQ(remove_one(queue, other), 0);
    CHECK_EQ(queue->inodes_count, 0);
    close_queue(queue);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(unlink(path), 0);
}

static void
scenario_processes(void)
{
    struct kev_queue *queue = open_somehow(0);
    struct ukevent event;
    struct pair pair = pair_pipe();
    pid_t child = fork();
    if (child == 0) {
        struct pollfd fd = {.fd = pair.near, .events = POLLIN};
        (void)close(pair.far);
        (void)poll(&fd, 1, 30000);
        _exit(0);
    }
    struct ukevent uk = {
        .id.raw = {(uint32_t)child, 0},
        .type = KEVENT_PROC,
        .event = KEVENT_PROC_EXIT,
    };
    CHECK_EQ(STEP(queue, add(queue, uk)), 0);
    pair_close(pair);
    int r = STEP(queue, kev_queue_get_events(queue, 1, 1, 20 * SEC, &event, 0,
                                             NULL));
    CHECK_EQ(r, 1);
    CHECK(event.ret_data[0] & KEVENT_PROC_EXIT);
    (void)remove_one(queue, uk);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_queue(queue);
}

static void
scenario_clocks(void)
{
    struct kev_queue *queue = open_somehow(0);
    const unsigned clocks[] = {KEVENT_FLAGS_BOOTTIME, 0};
    struct ukevent event;
    for (uint64_t i = 0; i < 2; i++) {
        struct ukevent uk = {
            .id.raw_u64 = i,
            .type = KEVENT_POSIX_TIMER,
            .event = KEVENT_TIMER_FIRED,
        };
        CHECK_EQ(STEP(queue, kevent_timer(queue, KEVENT_CTL_ADD, &uk,
                                          1000 * SEC, 0, clocks[i])), 0);
        CHECK_EQ(STEP(queue, kevent_timer(queue, KEVENT_CTL_MODIFY, &uk, MSEC,
                                          0, clocks[i])), 0);
        int r = STEP(queue, kev_queue_get_events(queue, 1, 1, 10 * SEC,
                                                 &event, 0, NULL));
        CHECK_EQ(r, 1);
        CHECK_EQ(event.id.raw_u64, i);
    }
    close_queue(queue);
}

static void
run_all(void (*scenario)(void))
{
    const int errors[] = {ENOMEM, EBADF, ENOSPC, EMFILE, ENFILE, EIO};
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        fault_error = errors[i];
        /* EBADF says of a descriptor that it is closed, and is believed. */
        if (fault_error == EBADF && scenario != scenario_open) {
            continue;
        }
        long after = 0;
        do {
            printf("call %ld fails with %d\n", after, fault_error);
            kev_fault_set(after++, fault_error);
            scenario();
        } while (kev_fault_set(-1, 0));
        CHECK(after > 5);
    }
}

TEST(faults_of_open)
{
    run_all(scenario_open);
}

TEST(faults_of_descriptors)
{
    run_all(scenario_descriptors);
}

TEST(faults_of_levels)
{
    run_all(scenario_levels);
}

TEST(faults_of_reused_numbers)
{
    run_all(scenario_reuse);
}

TEST(faults_of_timers)
{
    run_all(scenario_timers);
}

TEST(faults_of_user_events)
{
    run_all(scenario_user);
}

TEST(faults_of_pipes)
{
    run_all(scenario_pipes);
}

TEST(faults_of_signals)
{
    run_all(scenario_signals);
}

TEST(faults_of_inodes)
{
    run_all(scenario_inodes);
}

TEST(faults_of_processes)
{
    run_all(scenario_processes);
}

TEST(faults_of_clocks)
{
    run_all(scenario_clocks);
}

TEST(faults_of_the_owner)
{
    run_all(scenario_owner);
}

TEST(faults_of_a_lull)
{
    run_all(scenario_lull);
}

/* Without epoll_pwait2 milliseconds do, rounded up. */
TEST(faults_of_a_kernel_without_pwait2)
{
    const int errors[] = {ENOSYS, EPERM};
    for (unsigned i = 0; i < 2; i++) {
        struct kev_queue *queue = open_owned();
        struct kevent_ring *ring = ring_new(queue, 2);
        uint64_t start = kev_sys_now(CLOCK_MONOTONIC);
        kev_fault_set(0, errors[i]);
        CHECK_EQ(kev_queue_poll(queue, 1), 0);
        CHECK(queue->coarse);
        CHECK_EQ(kev_queue_poll(queue, MSEC + 1), 0);
        CHECK(kev_sys_now(CLOCK_MONOTONIC) - start >= 3 * MSEC);
        CHECK_EQ(add(queue, uk_user(KEV_KNOCK_ID, 0)), 0);
        CHECK_EQ(kev_queue_knock(queue), 0);
        CHECK_EQ(kev_queue_poll(queue, KEVENT_WAIT_FOREVER), 1);
        kev_fault_set(-1, 0);
        close_queue(queue);
        free(ring);
    }
}
