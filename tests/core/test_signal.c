/*
 * test_signal.c - KEVENT_SIGNAL.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t handled;
static volatile sig_atomic_t handled_code;

static void
count_signal(int number)
{
    handled = handled + number;
}

static void
count_siginfo(int number, siginfo_t *info, void *context)
{
    (void)context;
    handled = handled + number;
    handled_code = info->si_value.sival_int;
}

static struct ukevent
uk_signal(int number, uint32_t mask, uint32_t flags)
{
    return (struct ukevent){
        .id.raw = {(uint32_t)number, mask},
        .type = KEVENT_SIGNAL,
        .event = KEVENT_SIGNAL_DELIVERY,
        .req_flags = flags,
        .user_u64 = (uint64_t)number,
    };
}

static struct ukevent
uk_silent(int number, uint32_t flags)
{
    return uk_signal(number, KEVENT_SIGNAL_NOMASK, flags);
}

static void
send_value(int number, int value)
{
    CHECK_EQ(sigqueue(getpid(), number, (union sigval){.sival_int = value}),
             0);
}

static struct kevent_record
record_of(struct kev_queue *queue, const struct ukevent *event)
{
    struct kevent_record record;
    CHECK_EQ(kevent_record(queue, event->ret_data[1], &record), 0);
    CHECK_EQ(record.type, KEVENT_SIGNAL);
    return record;
}

TEST(signal_refuses_what_is_none)
{
    struct kev_queue *queue = open_shared();
    const int none[] = {0, -1, 65, SIGKILL, SIGSTOP};
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK_EQ(add(queue, uk_signal(none[i], 0, 0)), -EINVAL);
    }
    CHECK_EQ(add(queue, uk_signal(SIGUSR1, 1, 0)), -EINVAL);
    CHECK_EQ(queue->signal_fd, -1);
    close_queue(queue);
}

TEST(signal_is_told_with_its_siginfo)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_silent(SIGUSR1, 0)), 0);
    CHECK_EQ(add(queue, uk_silent(SIGUSR1, 0)), -EEXIST);
    take_none(queue);
    send_value(SIGUSR1, 77);
    CHECK(readable(queue));
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.type, KEVENT_SIGNAL);
    CHECK_EQ(event.user_u64, SIGUSR1);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], KEVENT_SIGNAL_DELIVERY);
    struct kevent_record record = record_of(queue, &event);
    CHECK_EQ(record.count, 1);
    CHECK_EQ(record.signal.ssi_signo, SIGUSR1);
    CHECK_EQ(record.signal.ssi_code, SI_QUEUE);
    CHECK_EQ(record.signal.ssi_int, 77);
    CHECK_EQ(record.signal.ssi_pid, getpid());
    close_queue(queue);
}

/* Without NOMASK the handler runs too, with it the queue alone hears. */
TEST(signal_handler_runs_unless_nomask)
{
    struct kev_queue *queue = open_shared();
    CHECK(signal(SIGUSR1, count_signal) != SIG_ERR);
    CHECK_EQ(add(queue, uk_signal(SIGUSR1, 0, 0)), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(handled, 0);
    take_one(queue);
    CHECK_EQ(handled, SIGUSR1);
    struct sigaction action = {
        .sa_sigaction = count_siginfo, .sa_flags = SA_SIGINFO,
    };
    CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
    CHECK_EQ(add(queue, uk_silent(SIGUSR2, 0)), 0);
    send_value(SIGUSR2, 5);
    take_one(queue);
    CHECK_EQ(handled, SIGUSR1);
    /* Both forms beside one another: each is told, the handler once. */
    CHECK_EQ(add(queue, uk_signal(SIGUSR2, 0, 0)), 0);
    send_value(SIGUSR2, 6);
    struct ukevent events[3];
    CHECK_EQ(take(queue, events, 3), 2);
    CHECK_EQ(handled, SIGUSR1 + SIGUSR2);
    CHECK_EQ(handled_code, 6);
    close_queue(queue);
}

TEST(signal_realtime_ones_are_not_merged)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN, 0)), 0);
    for (int i = 0; i < 20; i++) {
        send_value(SIGRTMIN, i);
    }
    for (int i = 0; i < 20; i++) {
        struct ukevent event;
        CHECK_EQ(take(queue, &event, 1), 1);
        CHECK_EQ(kev_queue_check(queue), 0);
        CHECK_EQ(record_of(queue, &event).signal.ssi_int, i);
    }
    take_none(queue);
    close_queue(queue);
}

/* Each of a backlog counts for min_nr. */
TEST(signal_backlog_counts_for_min_nr)
{
    struct kev_queue *queue = open_shared();
    struct ukevent events[8];
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN, 0)), 0);
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN + 1, 0)), 0);
    for (int i = 0; i < 3; i++) {
        send_value(SIGRTMIN, i);
        send_value(SIGRTMIN + 1, i);
    }
    CHECK_EQ(kevent_get_events(queue, 6, 8, 20 * SEC, events, 0, NULL), 6);
    CHECK_EQ(kev_queue_check(queue), 0);
    send_value(SIGRTMIN, 3);
    CHECK_EQ(kevent_get_events(queue, 2, 8, MSEC, events, 0, NULL), 1);
    close_queue(queue);
}

/* More than may wait is not waited for in vain. */
TEST(signal_backlog_that_is_full_is_taken)
{
    struct kev_queue *queue = open_shared();
    const unsigned many = KEV_RECORDS_WAITING_MAX + 50;
    struct ukevent *events = calloc(many, sizeof(*events));
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN, 0)), 0);
    for (unsigned i = 0; i < many; i++) {
        send_value(SIGRTMIN, (int)i);
    }
    CHECK_EQ(kevent_get_events(queue, many, many, 20 * SEC, events, 0, NULL),
             many);
    close_queue(queue);
    free(events);
}

/* More than the queue takes in at once stay with the kernel, in order. */
TEST(signal_storm_is_neither_lost_nor_unbounded)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    const int many = KEV_RECORDS_WAITING_MAX * 2 + 100;
    int seen = 0;
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN + 1, 0)), 0);
    for (int i = 0; i < many; i++) {
        send_value(SIGRTMIN + 1, i);
    }
    while (seen < many) {
        int count = kev_queue_poll(queue, 0);
        CHECK(count > 0 && count <= 8);
        CHECK(queue->records.waiting <= KEV_RECORDS_WAITING_MAX);
        for (int i = 0; i < count; i++) {
            const struct ukevent *event =
                &ring->event[(unsigned)seen % 8];
            CHECK_EQ(record_of(queue, event).signal.ssi_int, seen++);
        }
        kev_queue_consume(queue, (unsigned)count);
        CHECK_EQ(kev_queue_check(queue), 0);
    }
    CHECK_EQ(kev_queue_poll(queue, 0), 0);
    close_queue(queue);
    free(ring);
}

TEST(signal_standard_ones_are_merged_and_counted)
{
    struct kev_queue *queue = open_shared();
    struct ukevent event;
    CHECK_EQ(add(queue, uk_silent(SIGUSR1, 0)), 0);
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(raise(SIGUSR1), 0);
        /* Read, but not taken: it waits for more than there is. */
        CHECK_EQ(kevent_get_events(queue, 0, 0, 0, &event, 0, NULL), 0);
        kev_signals_read(queue);
    }
    event = take_one(queue);
    CHECK_EQ(record_of(queue, &event).count, 3);
    take_none(queue);
    close_queue(queue);
}

/* One that was pending before ADD is told, and nothing after REMOVE. */
TEST(signal_pending_at_add_and_after_remove)
{
    struct kev_queue *queue = open_shared();
    sigset_t set;
    CHECK_EQ(sigemptyset(&set), 0);
    CHECK_EQ(sigaddset(&set, SIGRTMIN), 0);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    send_value(SIGRTMIN, 1);
    send_value(SIGRTMIN, 2);
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN, 0)), 0);
    struct ukevent event;
    CHECK_EQ(take(queue, &event, 1), 1);
    CHECK_EQ(queue->records.waiting, 1);
    CHECK_EQ(remove_one(queue, uk_silent(SIGRTMIN, 0)), 0);
    CHECK_EQ(queue->records.waiting, 0);
    send_value(SIGRTMIN, 3);
    take_none(queue);
    /* Still pending, for whoever adds it next. */
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN, KEVENT_REQ_ONESHOT)), 0);
    event = take_one(queue);
    CHECK_EQ(record_of(queue, &event).signal.ssi_int, 3);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
}

TEST(signal_modify_keeps_what_came)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_silent(SIGRTMIN, 0);
    CHECK_EQ(add(queue, uk), 0);
    send_value(SIGRTMIN, 1);
    kev_signals_read(queue);
    CHECK_EQ(modify(queue, uk), 0);
    take_one(queue);
    uk.event = 0;
    CHECK_EQ(modify(queue, uk), 0);
    send_value(SIGRTMIN, 2);
    take_none(queue);
    close_queue(queue);
}

TEST(signal_wakes_a_sleeper)
{
    struct kev_queue *queue = open_shared();
    struct ukevent event;
    CHECK_EQ(add(queue, uk_silent(SIGCHLD, 0)), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(3);
    }
    CHECK_EQ(kevent_get_events(queue, 1, 1, 20 * SEC, &event, 0, NULL), 1);
    struct kevent_record record = record_of(queue, &event);
    CHECK_EQ(record.signal.ssi_pid, child);
    CHECK_EQ(record.signal.ssi_status, 3);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_queue(queue);
}
