/*
 * test_ctl.c - kevent_ctl: what it accepts, and what it answers.
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

TEST(ctl_refuses_what_it_does_not_know)
{
    struct kev_queue *queue = open_shared();
    struct ukevent uk = uk_user(1, 0);
    CHECK_EQ(kevent_ctl(queue, 4, 1, &uk), -EINVAL);
    CHECK_EQ(kevent_ctl(queue, 4, 0, NULL), -EINVAL);
    CHECK_EQ(kevent_ctl(queue, UINT32_MAX, 1, &uk), -EINVAL);
    for (unsigned cmd = 0; cmd < 4; cmd++) {
        CHECK_EQ(kevent_ctl(queue, cmd, 1, NULL), -EFAULT);
        CHECK_EQ(kevent_ctl(queue, cmd, 0x80000000u, &uk), -EINVAL);
        CHECK_EQ(kevent_ctl(queue, cmd, 0, NULL), 0);
        /* More than are registered; ADD alone makes them. */
        if (cmd != KEVENT_CTL_ADD) {
            CHECK_EQ(kevent_ctl(queue, cmd, 1, &uk), -EINVAL);
        }
    }
    CHECK_EQ(kevent_get_events(queue, 1, 1, 0, &uk, 0, NULL), 0);
    uk = uk_user(1, 0);
    uk.req_flags = 0x40;
    CHECK_EQ(add(queue, uk), -EINVAL);
    uk.req_flags = KEVENT_REQ_ET | KEVENT_REQ_LEVEL;
    CHECK_EQ(add(queue, uk), -EINVAL);
    uk = uk_poll(0, 0x4000, QUEUED);
    CHECK_EQ(add(queue, uk), -EINVAL);
    close_queue(queue);
}

TEST(ctl_answers_enosys_for_an_unknown_type)
{
    struct kev_queue *queue = open_shared();
    const uint32_t types[] = {
        KEVENT_MAX, 12345, KEVENT_PROC + 1, UINT32_MAX,
    };
    for (unsigned i = 0; i < 4; i++) {
        struct ukevent uk = uk_user(1, 0);
        struct ukevent answer;
        uk.type = types[i];
        CHECK_EQ(ctl(queue, KEVENT_CTL_ADD, uk, &answer), -ENOSYS);
        CHECK_EQ(answer.ret_flags, KEVENT_RET_BROKEN | KEVENT_RET_DONE);
    }
    close_queue(queue);
}

TEST(ctl_add_of_a_key_that_is_taken)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent uk = uk_poll(pair.near, KEVENT_POLL_POLLIN, 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(add(queue, uk), -EEXIST);
    CHECK_EQ(add(queue, uk_user(5, 0)), 0);
    CHECK_EQ(add(queue, uk_user(5, 0)), -EEXIST);
    /* The first one is still there and works. */
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).ret_data[0], KEVENT_POLL_POLLIN);
    close_queue(queue);
    pair_close(pair);
}

/* Failures come back compacted, in order; the rest is registered. */
TEST(ctl_add_compacts_its_answers)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent batch[5] = {
        uk_user(1, 0),
        uk_poll(-1, KEVENT_POLL_POLLIN, QUEUED),
        uk_poll(pair.far, KEVENT_POLL_POLLOUT, 0),
        uk_user(2, 0),
        uk_user(1, 0),
    };
    batch[4].user_u64 = 44;
    batch[3].ret_flags = 0xff;
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 5, batch), 3);
    CHECK_EQ(batch[0].id.raw[0], UINT32_MAX);
    CHECK_EQ((int)batch[0].ret_data[1], -EBADF);
    CHECK_EQ(batch[1].id.raw[0], pair.far);
    CHECK_EQ(batch[1].ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(batch[1].ret_data[0], KEVENT_POLL_POLLOUT);
    CHECK_EQ(batch[2].user_u64, 44);
    CHECK_EQ((int)batch[2].ret_data[1], -EEXIST);
    CHECK_EQ(queue->registry.count, 2);
    close_queue(queue);
    pair_close(pair);
}

/* What an element of any type is refused for: a key that is taken, one that is
   not there, bits that the type does not know, two modes at once; what is
   registered stays as it was. */
TEST(ctl_errors_of_every_type)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    struct pair pipe = pair_pipe();
    const struct {
        struct ukevent uk;
        uint32_t unknown;
    } kinds[] = {
        {uk_fd(KEVENT_SOCKET, pair.near, KEVENT_SOCKET_RECV, 0), 0x8},
        {uk_fd(KEVENT_INODE, pair.near, KEVENT_INODE_MODIFY, 0),
         KEVENT_INODE_GONE},
        {uk_timer(1000 * SEC, 0), 0x2},
        {uk_poll(pair.near, KEVENT_POLL_POLLIN, 0), 0x4000},
        {uk_fd(KEVENT_PIPE, pipe.near, KEVENT_SOCKET_RECV, 0),
         KEVENT_SOCKET_ACCEPT},
        {uk_fd(KEVENT_SIGNAL, SIGUSR1, KEVENT_SIGNAL_DELIVERY, 0), 0x2},
        {uk_user(5, 0), 0},
        {uk_fd(KEVENT_PROC, getpid(), KEVENT_PROC_EXIT, 0),
         KEVENT_PROC_STATUS},
    };
    const unsigned count = sizeof(kinds) / sizeof(kinds[0]);
    CHECK_EQ(add(queue, uk_user(77, 0)), 0);
    for (unsigned i = 0; i < count; i++) {
        struct ukevent uk = kinds[i].uk;
        CHECK_EQ(modify(queue, uk), -ENOENT);
        CHECK_EQ(remove_one(queue, uk), -ENOENT);
        CHECK_EQ(ready(queue, uk), 0);
        for (unsigned turn = 0; turn < 2; turn++) {
            struct ukevent wrong = uk;
            wrong.event |= kinds[i].unknown;
            wrong.req_flags = kinds[i].unknown == 0 ? 0x8000 : 0;
            CHECK_EQ(turn == 0 ? add(queue, wrong) : modify(queue, wrong),
                     -EINVAL);
            wrong = uk;
            wrong.req_flags = 0x80000000u;
            CHECK_EQ(turn == 0 ? add(queue, wrong) : modify(queue, wrong),
                     -EINVAL);
            wrong.req_flags = KEVENT_REQ_ET | KEVENT_REQ_LEVEL;
            CHECK_EQ(turn == 0 ? add(queue, wrong) : modify(queue, wrong),
                     -EINVAL);
            CHECK_EQ(add(queue, uk), turn == 0 ? 0 : -EEXIST);
            CHECK_EQ(kev_queue_check(queue), 0);
        }
        take_none(queue);
        CHECK_EQ(ready(queue, uk), 1);
        CHECK_EQ(take_one(queue).type, uk.type);
    }
    CHECK_EQ(queue->registry.count, count + 1);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(remove_one(queue, kinds[i].uk), 0);
        CHECK_EQ(remove_one(queue, kinds[i].uk), -ENOENT);
    }
    close_queue(queue);
    pair_close(pair);
    pair_close(pipe);
}

/* A type that needs a descriptor of its own, when there is none: -EMFILE of
   the element, which is not registered; later it is. */
TEST(ctl_add_without_descriptors)
{
    struct kev_queue *queue = open_shared();
    struct ukevent batch[5] = {
        uk_timer(1000 * SEC, 0),
        uk_fd(KEVENT_SIGNAL, SIGUSR1, KEVENT_SIGNAL_DELIVERY, 0),
        uk_fd(KEVENT_INODE, 0, KEVENT_INODE_MODIFY, 0),
        uk_fd(KEVENT_PROC, getpid(), KEVENT_PROC_EXIT, 0),
        uk_user(1, 0),
    };
    descriptors_limit(0);
    int failed = kevent_ctl(queue, KEVENT_CTL_ADD, 5, batch);
    descriptors_free();
    CHECK_EQ(failed, 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(batch[i].ret_flags, KEVENT_RET_BROKEN | KEVENT_RET_DONE);
        CHECK_EQ((int)batch[i].ret_data[1], -EMFILE);
    }
    CHECK_EQ(kev_queue_check(queue), 0);
    CHECK_EQ(queue->registry.count, 1);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 4, batch), 0);
    close_queue(queue);
}

/* More than one poll(2) looks at a large batch. */
TEST(ctl_add_of_a_large_batch)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent batch[200];
    write_byte(pair.far);
    for (uint32_t i = 0; i < 200; i++) {
        batch[i] = uk_poll(i % 3 == 0 ? pair.near : pair.far,
                           KEVENT_POLL_POLLIN, 0);
        batch[i].id.raw[1] = i;
    }
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 200, batch), 67);
    for (uint32_t i = 0; i < 67; i++) {
        CHECK_EQ(batch[i].id.raw[1], i * 3);
        CHECK_EQ(batch[i].ret_flags, KEVENT_RET_DONE);
    }
    CHECK_EQ(queue->registry.count, 133);
    close_queue(queue);
    pair_close(pair);
}

TEST(ctl_modify_and_remove_answer_in_place)
{
    struct kev_queue *queue = open_shared();
    struct ukevent batch[3] = {uk_user(1, 0), uk_user(9, 0), uk_user(2, 0)};
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_REMOVE, 2, batch), -EINVAL);
    CHECK_EQ(add(queue, uk_user(2, 0)), 0);
    CHECK_EQ(add(queue, uk_user(3, 0)), 0);
    batch[0].ret_flags = 0xff;
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_MODIFY, 3, batch), 0);
    CHECK_EQ(batch[0].ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(batch[1].ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ((int)batch[1].ret_data[1], -ENOENT);
    CHECK_EQ(batch[2].ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_REMOVE, 3, batch), 0);
    CHECK_EQ(batch[0].ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(batch[1].ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ(queue->registry.count, 1);
    close_queue(queue);
}

/* A removed kevent is not reported, though it was ready. */
TEST(ctl_remove_withdraws_what_is_ready)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(add(queue, uk_user(2, QUEUED)), 0);
    CHECK(readable(queue));
    CHECK_EQ(remove_one(queue, uk_user(1, 0)), 0);
    CHECK_EQ(take_one(queue).user_u64, 2);
    CHECK_EQ(remove_one(queue, uk_user(2, 0)), 0);
    CHECK(!readable(queue));
    close_queue(queue);
}

/* MODIFY keeps the cookie and answers anew for the new mask. */
TEST(ctl_modify_asks_again)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    struct ukevent uk = uk_poll(pair.near, KEVENT_POLL_POLLIN, 0);
    CHECK_EQ(add(queue, uk), 0);
    write_byte(pair.far);
    CHECK(readable(queue));
    struct ukevent changed = uk;
    changed.event = KEVENT_POLL_POLLOUT;
    changed.user_u64 = 1;
    CHECK_EQ(modify(queue, changed), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_data[0], KEVENT_POLL_POLLOUT);
    CHECK_EQ(event.user_u64, uk.user_u64);
    changed.event = 0;
    CHECK_EQ(modify(queue, changed), 0);
    take_none(queue);
    CHECK_EQ(modify(queue, uk), 0);
    CHECK_EQ(take_one(queue).ret_data[0], KEVENT_POLL_POLLIN);
    changed.event = 0x4000;
    CHECK_EQ(modify(queue, changed), -EINVAL);
    CHECK_EQ(queue->registry.count, 1);
    close_queue(queue);
    pair_close(pair);
}

TEST(ctl_ready_reports_any_type)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent batch[3] = {
        uk_poll(pair.near, KEVENT_POLL_POLLIN, 0),
        uk_user(77, 0),
        uk_timer(1000 * SEC, 0),
    };
    struct ukevent again[3] = {batch[0], batch[1], batch[2]};
    again[1].id.raw_u64 = 78;
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 3, batch), 0);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 3, again), 2);
    CHECK_EQ(again[0].id.raw_u64, 78);
    struct ukevent events[4];
    CHECK_EQ(take(queue, events, 4), 2);
    CHECK_EQ(events[0].type, KEVENT_POLL);
    CHECK_EQ(events[0].ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(events[1].type, KEVENT_TIMER);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_READY, 4, again), -EINVAL);
    close_queue(queue);
    pair_close(pair);
}

TEST(ctl_add_with_req_ready_reports_at_once)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_timer(1000 * SEC, KEVENT_REQ_READY)), 0);
    CHECK_EQ(take_one(queue).type, KEVENT_TIMER);
    take_none(queue);
    close_queue(queue);
}

/* REPLACE: the place, the cookie and what is asked for are the new one's. */
TEST(ctl_add_replaces_if_asked)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    struct ukevent uk = uk_poll(pair.near, KEVENT_POLL_POLLOUT, QUEUED);
    uk.user_u64 = 1;
    CHECK_EQ(add(queue, uk), 0);
    take_one(queue);
    uk.event = KEVENT_POLL_POLLIN;
    uk.user_u64 = 2;
    CHECK_EQ(add(queue, uk), -EEXIST);
    uk.req_flags |= KEVENT_REQ_REPLACE;
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(kev_queue_check(queue), 0);
    take_none(queue);
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).user_u64, 2);
    uk.req_flags |= KEVENT_REQ_ET | KEVENT_REQ_LEVEL;
    uk.user_u64 = 3;
    CHECK_EQ(add(queue, uk), -EINVAL);
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).user_u64, 2);
    struct ukevent user = uk_user(7, KEVENT_REQ_REPLACE);
    CHECK_EQ(add(queue, user), 0);
    user.user_u64 = 70;
    CHECK_EQ(add(queue, user), 0);
    CHECK_EQ(ready(queue, user), 1);
    CHECK_EQ(take_one(queue).user_u64, 70);
    close_queue(queue);
    pair_close(pair);
}

/* COUNT: so many bytes are there when the event is handed out. */
TEST(ctl_count_tells_how_many_bytes)
{
    struct kev_queue *queue = open_shared();
    struct pair sockets = pair_sockets();
    struct pair pipe = pair_pipe();
    struct ukevent answer;
    const uint32_t flags = QUEUED | KEVENT_REQ_COUNT;
    CHECK_EQ(add(queue, uk_fd(KEVENT_SOCKET, sockets.near,
                              KEVENT_SOCKET_RECV, flags)), 0);
    write_byte(sockets.far);
    write_byte(sockets.far);
    CHECK_EQ(take_one(queue).ret_data[1], 2);
    write_byte(pipe.far);
    CHECK_EQ(ctl(queue, KEVENT_CTL_ADD,
                 uk_fd(KEVENT_PIPE, pipe.near, KEVENT_SOCKET_RECV,
                       KEVENT_REQ_COUNT), &answer), 1);
    CHECK_EQ(answer.ret_data[1], 1);
    read_bytes(pipe.near);
    CHECK_EQ(add(queue, uk_poll(pipe.near, KEVENT_POLL_POLLIN, flags)), 0);
    write_byte(pipe.far);
    write_byte(pipe.far);
    write_byte(pipe.far);
    CHECK_EQ(take_one(queue).ret_data[1], 3);
    close_queue(queue);
    pair_close(sockets);
    pair_close(pipe);
}
