/*
 * test_socket.c - KEVENT_SOCKET.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECV   KEVENT_SOCKET_RECV
#define ACCEPT KEVENT_SOCKET_ACCEPT
#define SEND   KEVENT_SOCKET_SEND

static struct ukevent
uk_socket(int fd, uint32_t event, uint32_t flags)
{
    return uk_fd(KEVENT_SOCKET, fd, event, flags);
}

/* A listening TCP socket of 127.0.0.1; its address in *address. */
static int
listener_new(struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)address, size), 0);
    CHECK_EQ(listen(fd, 64), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static int
connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)address, sizeof(*address)),
             0);
    return fd;
}

TEST(socket_refuses_what_is_none)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK_EQ(add(queue, uk_socket(pair.near, RECV, 0)), -ENOTSOCK);
    CHECK_EQ(add(queue, uk_socket(-1, RECV, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_socket(99999, RECV, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_socket(pair.near, 0x8, 0)), -EINVAL);
    close_queue(queue);
    pair_close(pair);
}

TEST(socket_recv_and_send)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    CHECK_EQ(add(queue, uk_socket(pair.near, RECV, QUEUED)), 0);
    CHECK_EQ(add(queue, uk_socket(pair.far, RECV | SEND, QUEUED)), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.id.raw[0], pair.far);
    CHECK_EQ(event.ret_data[0], SEND);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    write_byte(pair.far);
    event = take_one(queue);
    CHECK_EQ(event.id.raw[0], pair.near);
    CHECK_EQ(event.ret_data[0], RECV);
    close_queue(queue);
    pair_close(pair);
}

/* Ready at ADD, with the bits; and by way of a ring, with the same. */
TEST(socket_bits_are_the_same_on_every_way)
{
    struct kev_queue *queue = open_owned();
    struct kevent_ring *ring = ring_new(queue, 8);
    struct pair pair = pair_sockets();
    struct ukevent answer;
    write_byte(pair.far);
    CHECK_EQ(ctl(queue, KEVENT_CTL_ADD, uk_socket(pair.near, RECV | SEND, 0),
                 &answer), 1);
    CHECK_EQ(answer.ret_data[0], RECV | SEND);
    CHECK_EQ(add(queue, uk_socket(pair.near, RECV | ACCEPT | SEND, QUEUED)),
             0);
    CHECK_EQ(kev_queue_poll(queue, 0), 1);
    CHECK_EQ(ring->event[0].ret_data[0], RECV | ACCEPT | SEND);
    close_queue(queue);
    pair_close(pair);
    free(ring);
}

/* A storm of connections: with a level each accept is told of the rest. */
TEST(socket_accept)
{
    struct kev_queue *queue = open_shared();
    struct sockaddr_in address;
    int listener = listener_new(&address);
    int clients[4];
    int servers[4];
    CHECK_EQ(add(queue, uk_socket(listener, ACCEPT, LEVEL)), 0);
    take_none(queue);
    for (unsigned i = 0; i < 4; i++) {
        clients[i] = connect_to(&address);
    }
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(take_one(queue).ret_data[0], ACCEPT);
        servers[i] = accept(listener, NULL, NULL);
        CHECK(servers[i] >= 0);
    }
    take_none(queue);
    close_queue(queue);
    for (unsigned i = 0; i < 4; i++) {
        close(clients[i]);
        close(servers[i]);
    }
    close(listener);
}

/* The end of the stream is something to receive. */
/* Many who knock at once: one event in the default mode and with ET, after
   which one accepts until EAGAIN; who knocks later is news. */
TEST(socket_accept_storm)
{
    const uint32_t modes[] = {QUEUED, QUEUED | KEVENT_REQ_ET};
    for (unsigned mode = 0; mode < 2; mode++) {
        struct kev_queue *queue = open_shared();
        struct sockaddr_in address;
        int listener = listener_new(&address);
        int clients[32];
        int accepted = 0;
        CHECK_EQ(add(queue, uk_socket(listener, ACCEPT, modes[mode])), 0);
        for (unsigned storm = 0; storm < 2; storm++) {
            for (unsigned i = 0; i < 16; i++) {
                clients[storm * 16 + i] = connect_to(&address);
            }
            CHECK_EQ(take_one(queue).ret_data[0], ACCEPT);
            take_none(queue);
            int fd;
            while ((fd = accept(listener, NULL, NULL)) >= 0) {
                accepted++;
                close(fd);
            }
            CHECK_EQ(errno, EAGAIN);
            take_none(queue);
        }
        CHECK_EQ(accepted, 32);
        close_queue(queue);
        for (unsigned i = 0; i < 32; i++) {
            close(clients[i]);
        }
        close(listener);
    }
}

TEST(socket_end_of_stream_is_recv)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    CHECK_EQ(add(queue, uk_socket(pair.near, RECV, 0)), 0);
    CHECK_EQ(shutdown(pair.far, SHUT_WR), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_data[0], RECV);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    close_queue(queue);
    pair_close(pair);
}

/* A hang-up with no wanted direction ready is BROKEN. */
TEST(socket_hangup_of_what_is_not_watched)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    CHECK_EQ(add(queue, uk_socket(pair.near, 0, 0)), 0);
    CHECK_EQ(close(pair.far), 0);
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ((int)event.ret_data[1], -EPIPE);
    CHECK_EQ(queue->registry.count, 1);
    close_queue(queue);
    CHECK_EQ(close(pair.near), 0);
}

/* A reset gives its real reason, once, even with a level. */
TEST(socket_reset_is_broken_with_its_reason)
{
    const uint32_t flags[] = {0, LEVEL, KEVENT_REQ_ONESHOT};
    for (unsigned i = 0; i < 3; i++) {
        struct kev_queue *queue = open_shared();
        struct sockaddr_in address;
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        int listener = listener_new(&address);
        int client = connect_to(&address);
        int server = accept(listener, NULL, NULL);
        CHECK(server >= 0);
        CHECK_EQ(add(queue, uk_socket(server, RECV, flags[i])), 0);
        take_none(queue);
        CHECK_EQ(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset,
                            sizeof(reset)), 0);
        CHECK_EQ(close(client), 0);
        struct ukevent event;
        CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL),
                 1);
        CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
        CHECK_EQ(event.ret_data[0], RECV);
        CHECK_EQ((int)event.ret_data[1], -ECONNRESET);
        take_none(queue);
        CHECK(!readable(queue));
        CHECK_EQ(queue->registry.count,
                 flags[i] == KEVENT_REQ_ONESHOT ? 0 : 1);
        close_queue(queue);
        close(server);
        close(listener);
    }
}

/* A refused connection, which is an error at the moment of ADD. */
TEST(socket_refused_connection)
{
    struct kev_queue *queue = open_shared();
    struct sockaddr_in address;
    struct ukevent event;
    int listener = listener_new(&address);
    CHECK_EQ(close(listener), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
    CHECK(r < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    if (errno == ECONNREFUSED) {
        kev_test_skip("connect() refuses at once");
    }
    CHECK_EQ(add(queue, uk_socket(fd, SEND, QUEUED)), 0);
    CHECK_EQ(kevent_get_events(queue, 1, 1, 10 * SEC, &event, 0, NULL), 1);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ((int)event.ret_data[1], -ECONNREFUSED);
    /* Broken it stays until it is modified or removed. */
    CHECK_EQ(modify(queue, uk_socket(fd, SEND, 0)), 0);
    CHECK_EQ(kev_queue_check(queue), 0);
    CHECK_EQ(remove_one(queue, uk_socket(fd, SEND, 0)), 0);
    close_queue(queue);
    close(fd);
}

/* A broken socket that was closed is replaced by the number's next owner. */
TEST(socket_broken_then_reused)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_sockets();
    struct ukevent uk = uk_socket(pair.near, 0, 0);
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(close(pair.far), 0);
    take_one(queue);
    CHECK_EQ(close(pair.near), 0);
    pair = pair_sockets();
    uk.event = RECV;
    uk.id.raw[0] = (uint32_t)pair.near;
    CHECK_EQ(add(queue, uk), 0);
    CHECK_EQ(queue->registry.count, 1);
    write_byte(pair.far);
    CHECK_EQ(take_one(queue).ret_data[0], RECV);
    close_queue(queue);
    pair_close(pair);
}
