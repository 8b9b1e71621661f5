/*
 * test_pipe.c - KEVENT_PIPE.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECV KEVENT_SOCKET_RECV
#define SEND KEVENT_SOCKET_SEND
#define HUP  KEVENT_POLL_POLLHUP

static struct ukevent
uk_pipe(int fd, uint32_t event, uint32_t flags)
{
    return uk_fd(KEVENT_PIPE, fd, event, flags);
}

TEST(pipe_refuses_what_is_no_pipe)
{
    struct kev_queue *queue = open_shared();
    struct pair sockets = pair_sockets();
    CHECK_EQ(add(queue, uk_pipe(sockets.near, RECV, 0)), -EINVAL);
    CHECK_EQ(add(queue, uk_pipe(1 << 20, RECV, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_pipe(-1, RECV, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_pipe(sockets.near, KEVENT_SOCKET_ACCEPT, 0)),
             -EINVAL);
    pair_close(sockets);
    close_queue(queue);
}

TEST(pipe_recv_and_send)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent answer;
    CHECK_EQ(add(queue, uk_pipe(pair.near, RECV, 0)), 0);
    take_none(queue);
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).ret_data[0], RECV);
    CHECK_EQ(ctl(queue, KEVENT_CTL_ADD, uk_pipe(pair.far, SEND, 0), &answer),
             1);
    CHECK_EQ(answer.ret_data[0], SEND);
    CHECK_EQ(answer.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(add(queue, uk_pipe(pair.far, SEND, QUEUED)), 0);
    CHECK_EQ(take_one(queue).ret_data[0], SEND);
    close_queue(queue);
    pair_close(pair);
}

/* The end of file was never told in 2006. */
TEST(pipe_end_of_file_is_told)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_pipe(pair.near, RECV, 0)), 0);
    CHECK_EQ(close(pair.far), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ(event.ret_data[0], HUP);
    CHECK_EQ(event.ret_data[1], 0);
    take_none(queue);
    CHECK_EQ(modify(queue, uk_pipe(pair.near, RECV, 0)), 0);
    CHECK_EQ(take_one(queue).ret_data[0], HUP);
    close_queue(queue);
    CHECK_EQ(close(pair.near), 0);
}

TEST(pipe_end_of_file_behind_data)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    struct ukevent answer = uk_pipe(pair.near, RECV, 0);
    write_byte(pair.far);
    CHECK_EQ(close(pair.far), 0);
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 1, &answer), 1);
    CHECK_EQ(answer.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ(answer.ret_data[0], RECV | HUP);
    close_queue(queue);
    CHECK_EQ(close(pair.near), 0);
}

TEST(pipe_without_readers_is_broken)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_pipe(pair.far, 0, 0)), 0);
    CHECK_EQ(close(pair.near), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ(event.ret_data[0], KEVENT_POLL_POLLERR);
    CHECK_EQ(event.ret_data[1], (uint32_t)-EPIPE);
    close_queue(queue);
    CHECK_EQ(close(pair.far), 0);
}

/* A FIFO has writers again after its end. */
TEST(pipe_fifo_goes_on_after_modify)
{
    struct kev_queue *queue = open_shared();
    char dir[] = "/tmp/kev-fifo-XXXXXX";
    char path[64];
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/fifo", dir);
    CHECK_EQ(mkfifo(path, 0600), 0);
    int near = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct ukevent uk = uk_pipe(near, RECV, 0);
    CHECK_EQ(add(queue, uk), 0);
    take_none(queue);
    int far = open(path, O_WRONLY | O_CLOEXEC);
    CHECK_EQ(close(far), 0);
    CHECK_EQ(take_one(queue).ret_data[0], HUP);
    far = open(path, O_WRONLY | O_CLOEXEC);
    CHECK_EQ(modify(queue, uk), 0);
    take_none(queue);
    write_byte(far);
    CHECK_EQ(take_one(queue).ret_data[0], RECV);
    CHECK_EQ(close(far), 0);
    CHECK_EQ(close(near), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(dir), 0);
    close_queue(queue);
}
