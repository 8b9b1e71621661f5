/*
 * test_poll.c - KEVENT_POLL: modes, shared descriptors, closed ones.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN  KEVENT_POLL_POLLIN
#define OUT KEVENT_POLL_POLLOUT

/* Ready at ADD: reported there, and not registered. */
TEST(poll_ready_at_add_is_answered_at_once)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent answer;
    write_byte(pair.far);
    CHECK_EQ(ctl(queue, KEVENT_CTL_ADD, uk_poll(pair.near, IN, 0), &answer),
             1);
    CHECK_EQ(answer.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(answer.ret_data[0], IN);
    CHECK_EQ(queue->registry.count, 0);
    take_none(queue);
    close_queue(queue);
    pair_close(pair);
}

TEST(poll_ready_at_add_is_queued_if_asked)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    write_byte(pair.far);
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, QUEUED)), 0);
    CHECK(readable(queue));
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.user_u64, 1000 + pair.near);
    CHECK_EQ(event.event, IN);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], IN);
    close_queue(queue);
    pair_close(pair);
}

/* The default mode and ET tell of new activity, and only of that. */
TEST(poll_default_and_et_report_news_only)
{
    const uint32_t modes[] = {0, KEVENT_REQ_ET};
    for (unsigned i = 0; i < 2; i++) {
        struct kev_queue *queue = open_shared();
        struct pair pair = pair_pipe();
        CHECK_EQ(add(queue, uk_poll(pair.near, IN, modes[i])), 0);
        take_none(queue);
        write_byte(pair.far);
        take_one(queue);
        take_none(queue);
        CHECK(!readable(queue));
        write_byte(pair.far);
        take_one(queue);
        take_none(queue);
        close_queue(queue);
        pair_close(pair);
    }
}

TEST(poll_level_reports_while_it_lasts)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, LEVEL)), 0);
    write_byte(pair.far);
    for (unsigned i = 0; i < 4; i++) {
        CHECK(readable(queue));
        take_one(queue);
    }
    read_bytes(pair.near);
    take_none(queue);
    CHECK(!readable(queue));
    close_queue(queue);
    pair_close(pair);
}

TEST(poll_oneshot_is_gone_after_one)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent uk =
        uk_poll(pair.near, IN, KEVENT_REQ_ONESHOT | KEVENT_REQ_ALWAYS_QUEUE);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(add(queue, uk), -EEXIST);
    write_byte(pair.far);
    take_one(queue);
    CHECK_EQ(queue->registry.count, 0);
    take_none(queue);
    CHECK_EQ(add(queue, uk), 0);
    take_one(queue);
    close_queue(queue);
    pair_close(pair);
}

/* What is over before it is fetched is not reported with LAST_CHECK. */
TEST(poll_last_check_looks_again)
{
    const uint32_t flags[] = {
        KEVENT_REQ_LAST_CHECK,
        KEVENT_REQ_LAST_CHECK | KEVENT_REQ_LEVEL,
        KEVENT_REQ_LAST_CHECK | KEVENT_REQ_ONESHOT,
    };
    for (unsigned i = 0; i < 3; i++) {
        struct kev_queue *queue = open_owned();
        struct kevent_ring *ring = ring_new(queue, 1);
        struct pair pair = pair_pipe();
        struct ukevent filler = uk_user(1, QUEUED);
        CHECK_EQ(add(queue, filler), 0);
        CHECK_EQ(add(queue, uk_poll(pair.near, IN, flags[i])), 0);
        write_byte(pair.far);
        /* The ring takes the first, the other stays on the list. */
        CHECK_EQ(kev_queue_poll(queue, 0), 1);
        CHECK_EQ(queue->ready.count, 1);
        read_bytes(pair.near);
        kev_queue_consume(queue, 1);
        CHECK_EQ(kev_queue_poll(queue, 0), 0);
        CHECK_EQ(queue->registry.count, 2);
        CHECK_EQ(kev_queue_check(queue), 0);
        write_byte(pair.far);
        CHECK_EQ(kev_queue_poll(queue, 0), 1);
        CHECK_EQ(ring->event[0].ret_data[0], IN);
        close_queue(queue);
        pair_close(pair);
        free(ring);
    }
}

TEST(poll_reports_errors_and_hangups_unasked)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_poll(pair.near, 0, 0)), 0);
    take_none(queue);
    CHECK_EQ(close(pair.far), 0);
    CHECK_EQ(take_one(queue).ret_data[0], KEVENT_POLL_POLLHUP);
    close_queue(queue);
    CHECK_EQ(close(pair.near), 0);
}

TEST(poll_errors_of_add)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_poll(-1, IN, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_poll(999999, IN, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_poll(999999, IN, QUEUED)), -EBADF);
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK_EQ(add(queue, uk_poll(fileno(file), IN, QUEUED)), -EPERM);
    CHECK_EQ(add(queue, uk_poll(kevent_fileno(queue), IN, QUEUED)), -EINVAL);
    CHECK_EQ(add(queue, uk_poll(queue->bell_fd, IN, QUEUED)), -EINVAL);
    CHECK_EQ(queue->registry.count, 0);
    fclose(file);
    close_queue(queue);
}

/* Several kevents of one descriptor: each gets its own bits. */
TEST(poll_splits_what_a_shared_entry_tells)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    struct ukevent in = uk_poll(pair.near, IN, QUEUED);
    struct ukevent out = uk_poll(pair.near, OUT, QUEUED);
    struct ukevent sock =
        uk_fd(KEVENT_SOCKET, pair.near, KEVENT_SOCKET_RECV, QUEUED);
    struct ukevent events[4];
    out.id.raw[1] = 1;
    out.user_u64 = 2;
    sock.user_u64 = 3;
    CHECK_EQ(add(queue, in), 0);
    CHECK_EQ(add(queue, out), 0);
    CHECK_EQ(add(queue, sock), 0);
    CHECK_EQ(kev_queue_check(queue), 0);
    CHECK_EQ(take_one(queue).user_u64, 2);
    write_byte(pair.far);
    int count = take(queue, events, 4);
    CHECK(count >= 2);
    CHECK_EQ(events[0].ret_data[0], IN);
    CHECK_EQ(events[count - 1].type, KEVENT_SOCKET);
    CHECK_EQ(events[count - 1].ret_data[0], KEVENT_SOCKET_RECV);
    CHECK_EQ(remove_one(queue, in), 0);
    CHECK_EQ(remove_one(queue, out), 0);
    take(queue, events, 4);
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).user_u64, 3);
    CHECK_EQ(remove_one(queue, sock), 0);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
    pair_close(pair);
}

/* A level and an edge on one descriptor each keep their own mode. */
TEST(poll_shares_a_descriptor_between_modes)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent level = uk_poll(pair.near, IN, LEVEL);
    struct ukevent edge = uk_poll(pair.near, IN, KEVENT_REQ_ET | QUEUED);
    struct ukevent once = uk_poll(pair.near, IN, KEVENT_REQ_ONESHOT | QUEUED);
    struct ukevent events[4];
    edge.id.raw[1] = 1;
    once.id.raw[1] = 2;
    CHECK_EQ(add(queue, level), 0);
    CHECK_EQ(add(queue, edge), 0);
    CHECK_EQ(add(queue, once), 0);
    write_byte(pair.far);
    CHECK_EQ(take(queue, events, 4), 3);
    CHECK_EQ(queue->registry.count, 2);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(readable(queue));
        int count = take(queue, events, 4);
        /* The end of ONESHOT may have made epoll tell the edge again. */
        CHECK(count == 1 || (i == 0 && count == 2));
        CHECK_EQ(events[0].id.raw[1] == 0 || count == 2, true);
    }
    read_bytes(pair.near);
    take_none(queue);
    CHECK(!readable(queue));
    close_queue(queue);
    pair_close(pair);
}

/* A number that was closed and given to another file is a new descriptor. */
TEST(poll_replaces_a_number_that_was_reused)
{
    struct kev_queue *queue = open_shared();
    struct pair old = pair_pipe();
    struct ukevent uk = uk_poll(old.near, IN, 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(close(old.near), 0);
    struct pair new = pair_pipe();
    CHECK_EQ(new.near, old.near);
    uk.user_u64 = 4711;
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(queue->registry.count, 1);
    take_none(queue);
    write_byte(new.far);
    CHECK_EQ(take_one(queue).user_u64, 4711);
    close_queue(queue);
    pair_close(new);
    CHECK_EQ(close(old.far), 0);
}

/* The same while a duplicate keeps the old file, and its entry, alive. */
TEST(poll_drops_events_of_an_old_generation)
{
    struct kev_queue *queue = open_shared();
    struct pair old = pair_pipe();
    struct ukevent uk = uk_poll(old.near, IN, 0);
    CHECK_EQ(add(queue, uk), 0);
    int copy = fcntl(old.near, F_DUPFD_CLOEXEC, 200);
    CHECK_EQ(close(old.near), 0);
    struct pair new = pair_pipe();
    CHECK_EQ(new.near, old.near);
    CHECK_EQ(add(queue, uk), 0);
    write_byte(old.far);
    take_none(queue);
    write_byte(new.far);
    take_one(queue);
    close_queue(queue);
    pair_close(new);
    CHECK_EQ(close(old.far), 0);
    CHECK_EQ(close(copy), 0);
}

/* Kevents of a file that is gone report BROKEN, once. */
TEST(poll_tells_the_others_of_a_number_that_was_reused)
{
    struct kev_queue *queue = open_shared();
    struct pair old = pair_sockets();
    struct ukevent uk = uk_poll(old.near, IN, 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(close(old.near), 0);
    struct pair new = pair_sockets();
    CHECK_EQ(new.near, old.near);
    CHECK_EQ(add(queue, uk_fd(KEVENT_SOCKET, new.near, KEVENT_SOCKET_RECV,
                              0)), 0);
    CHECK_EQ(kev_queue_check(queue), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.type, KEVENT_POLL);
    CHECK_EQ(event.ret_flags, KEVENT_RET_BROKEN | KEVENT_RET_DONE);
    CHECK_EQ((int)event.ret_data[1], -EBADF);
    CHECK_EQ(queue->registry.count, 1);
    write_byte(new.far);
    CHECK_EQ(take_one(queue).type, KEVENT_SOCKET);
    close_queue(queue);
    pair_close(new);
    CHECK_EQ(close(old.far), 0);
}

TEST(poll_modify_and_remove_of_a_closed_descriptor)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent in = uk_poll(pair.near, IN, 0);
    struct ukevent out = uk_poll(pair.far, OUT, QUEUED);
    CHECK_EQ(add(queue, in), 0);
    CHECK_EQ(add(queue, out), 0);
    pair_close(pair);
    CHECK_EQ(modify(queue, in), -EBADF);
    CHECK_EQ(remove_one(queue, out), -EBADF);
    CHECK_EQ(queue->registry.count, 0);
    take_none(queue);
    pair = pair_pipe();
    CHECK_EQ(add(queue, in), 0);
    CHECK_EQ(close(pair.near), 0);
    CHECK_EQ(dup2(pair.far, pair.near), pair.near);
    CHECK_EQ(modify(queue, in), -ENOENT);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
    pair_close(pair);
}

/* The queue's own descriptor can be watched, by epoll and by a queue. */
TEST(poll_nests_queues)
{
    struct kev_queue *outer = open_shared();
    struct kev_queue *inner = open_shared();
    CHECK_EQ(add(outer, uk_poll(kevent_fileno(inner), IN, LEVEL)), 0);
    take_none(outer);
    CHECK_EQ(add(inner, uk_user(1, QUEUED)), 0);
    CHECK(readable(outer));
    CHECK_EQ(take_one(outer).id.raw[0], kevent_fileno(inner));
    CHECK_EQ(take_one(outer).id.raw[0], kevent_fileno(inner));
    take_one(inner);
    take_none(outer);
    CHECK(!readable(outer));
    close_queue(inner);
    close_queue(outer);
}

/* A POSIX message queue is a descriptor here, and can be waited for. */
TEST(poll_message_queue)
{
    struct kev_queue *queue = open_shared();
    char name[40];
    char text[16];
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = sizeof(text)};
    snprintf(name, sizeof(name), "/kevent-test-%d", (int)getpid());
    mqd_t messages = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600,
                             &attr);
    if (messages < 0) {
        kev_test_skip("no POSIX message queues here");
    }
    mq_unlink(name);
    CHECK_EQ(add(queue, uk_poll((int)messages, IN, QUEUED)), 0);
    take_none(queue);
    CHECK_EQ(mq_send(messages, "hello", 5, 0), 0);
    CHECK_EQ(take_one(queue).ret_data[0] & IN, IN);
    CHECK_EQ(mq_receive(messages, text, sizeof(text), NULL), 5);
    take_none(queue);
    close_queue(queue);
    mq_close(messages);
}
