/*
 * webserver.c - a trivial web server on the kevent calls alone: ACCEPT on the
 * listener, RECV and SEND on each connection, and a SIGNAL that ends it, all
 * in one queue and read out of its ring.
 *
 *     webserver [port]     (0: any)
 *
 * Prints its pid and port as a line of JSON when it listens.  It answers
 * every GET with the same page, keeps connections open, takes pipelined
 * requests, and ends on SIGTERM or SIGINT.  The kevents are in the default
 * mode, which reports news only: each is drained until EAGAIN.
 */
#define _GNU_SOURCE 1   /* accept4, strcasestr */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kev/kevent.h"

#define RING_SLOTS 1024u
#define HEAD_MAX   4096u

#define PAGE "<html><body>kevent, 2006</body></html>\n"

static const char answer[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/html\r\n"
    "Content-Length: 39\r\n"
    "\r\n" PAGE;

_Static_assert(sizeof(PAGE) - 1 == 39, "Content-Length");

struct connection {
    int fd;
    bool ends;                /* no more requests: close when all is sent */
    bool wants_send;          /* the kevent asks for SEND, too */
    unsigned owed;            /* answers to be sent */
    size_t sent;              /* of the first of them */
    size_t used;              /* of head */
    char head[HEAD_MAX + 1];
};

struct server {
    struct kev_queue *queue;
    struct kevent_ring *ring;
    int listener;
    bool starved;             /* accept() had no descriptor left */
    bool ends;
};

static void
fail(const char *what, int error)
{
    fprintf(stderr, "webserver: %s: %s\n", what, strerror(error));
    exit(1);
}

/* One element, one call.  0 or an error. */
static int
control(struct server *server, unsigned cmd, uint32_t type, uint32_t id,
        uint32_t event, void *cookie)
{
    struct ukevent uk = {
        .id.raw = {id, 0},
        .type = type,
        .event = event,
        .req_flags = KEVENT_REQ_ALWAYS_QUEUE,
        .ptr = cookie,
    };
    int r = kevent_ctl(server->queue, cmd, 1, &uk);
    if (r < 0) {
        return -r;
    }
    return uk.ret_flags & KEVENT_RET_BROKEN ? -(int)uk.ret_data[1] : 0;
}

/* ---- a connection ---- */

static void
connection_close(struct server *server, struct connection *connection)
{
    (void)control(server, KEVENT_CTL_REMOVE, KEVENT_SOCKET,
                  (uint32_t)connection->fd, 0, NULL);
    close(connection->fd);
    free(connection);
    if (server->starved) {
        /* MODIFY asks again what is still so: who knocked is told of. */
        server->starved = false;
        (void)control(server, KEVENT_CTL_MODIFY, KEVENT_SOCKET,
                      (uint32_t)server->listener, KEVENT_SOCKET_ACCEPT,
                      NULL);
    }
}

/* Counts the whole heads and keeps the beginning of the next.  False: that
   is no client of ours. */
static bool
connection_parse(struct connection *connection)
{
    char *begin = connection->head;
    char *end;
    begin[connection->used] = '\0';
    while ((end = strstr(begin, "\r\n\r\n")) != NULL) {
        if (strncmp(begin, "GET ", 4) != 0) {
            return false;
        }
        *end = '\0';
        connection->owed++;
        if (strcasestr(begin, "\r\nconnection: close") != NULL) {
            connection->ends = true;
        }
        begin = end + 4;
    }
    connection->used -= (size_t)(begin - connection->head);
    memmove(connection->head, begin, connection->used);
    return connection->used < HEAD_MAX;
}

/* All that the socket has.  False: close. */
static bool
connection_receive(struct connection *connection)
{
    while (!connection->ends) {
        ssize_t count = recv(connection->fd,
                             connection->head + connection->used,
                             HEAD_MAX - connection->used, 0);
        if (count < 0) {
            return errno == EAGAIN;
        }
        connection->used += (size_t)count;
        connection->ends = count == 0;
        if (!connection_parse(connection)) {
            return false;
        }
    }
    return true;
}

/* As much of what is owed as the socket takes.  False: close. */
static bool
connection_send(struct server *server, struct connection *connection)
{
    const size_t size = sizeof(answer) - 1;
    bool full = false;
    while (connection->owed > 0 && !full) {
        ssize_t count = send(connection->fd, answer + connection->sent,
                             size - connection->sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) {
            return false;
        }
        full = count < 0;
        connection->sent += full ? 0 : (size_t)count;
        if (connection->sent == size) {
            connection->sent = 0;
            connection->owed--;
        }
    }
    if (full != connection->wants_send) {
        connection->wants_send = full;
        return control(server, KEVENT_CTL_MODIFY, KEVENT_SOCKET,
                       (uint32_t)connection->fd,
                       KEVENT_SOCKET_RECV | (full ? KEVENT_SOCKET_SEND : 0),
                       NULL) == 0;
    }
    return connection->owed > 0 || !connection->ends;
}

static void
connection_event(struct server *server, struct connection *connection,
                 const struct ukevent *event)
{
    bool goes_on = (event->ret_flags & KEVENT_RET_BROKEN) == 0;
    if (goes_on && (event->ret_data[0] & KEVENT_SOCKET_RECV)) {
        goes_on = connection_receive(connection);
    }
    if (!goes_on || !connection_send(server, connection)) {
        connection_close(server, connection);
    }
}

/* ---- the server ---- */

/* All who knock. */
static void
server_accept(struct server *server)
{
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            server->starved = errno == EMFILE || errno == ENFILE;
            if (errno == ECONNABORTED || errno == EINTR) {
                continue;
            }
            return;
        }
        int yes = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        struct connection *connection = calloc(1, sizeof(*connection));
        if (connection == NULL) {
            close(fd);
            continue;
        }
        connection->fd = fd;
        if (control(server, KEVENT_CTL_ADD, KEVENT_SOCKET, (uint32_t)fd,
                    KEVENT_SOCKET_RECV, connection) != 0) {
            connection_close(server, connection);
        }
    }
}

static void
server_run(struct server *server)
{
    unsigned uidx = 0;
    while (!server->ends) {
        int count = kevent_wait(server->queue, RING_SLOTS, 0,
                                KEVENT_WAIT_FOREVER, 0, NULL);
        if (count < 0) {
            fail("kevent_wait", -count);
        }
        for (int i = 0; i < count; i++) {
            const struct ukevent *event = &server->ring->event[uidx];
            uidx = uidx + 1 == RING_SLOTS ? 0 : uidx + 1;
            if (event->type == KEVENT_SIGNAL) {
                server->ends = true;
            }
            else if (event->ptr == NULL) {
                server_accept(server);
            }
            else {
                connection_event(server, event->ptr, event);
            }
        }
        (void)kevent_commit(server->queue, uidx, server->ring->ring_over);
    }
}

static int
listener_open(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
    };
    socklen_t length = sizeof(address);
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0
        || bind(fd, (struct sockaddr *)&address, length) < 0
        || listen(fd, 4096) < 0
        || getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        fail("listen", errno);
    }
    printf("{\"pid\": %d, \"port\": %u}\n", (int)getpid(),
           ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int
main(int argc, char **argv)
{
    struct server server = {.ends = false};
    struct rlimit limit;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    server.ring = calloc(1, KEVENT_RING_SIZE(RING_SLOTS));
    int r = kevent_open(&server.queue, 0);
    if (r == 0) {
        r = kevent_ring_init(server.queue, server.ring, RING_SLOTS);
    }
    if (r < 0) {
        fail("kevent_open", -r);
    }
    r = control(&server, KEVENT_CTL_ADD, KEVENT_SIGNAL, SIGTERM,
                KEVENT_SIGNAL_DELIVERY, NULL);
    if (r == 0) {
        r = control(&server, KEVENT_CTL_ADD, KEVENT_SIGNAL, SIGINT,
                    KEVENT_SIGNAL_DELIVERY, NULL);
    }
    server.listener =
        listener_open(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0);
    if (r == 0) {
        r = control(&server, KEVENT_CTL_ADD, KEVENT_SOCKET,
                    (uint32_t)server.listener, KEVENT_SOCKET_ACCEPT, NULL);
    }
    if (r != 0) {
        fail("kevent_ctl", r);
    }
    server_run(&server);
    kevent_close(server.queue);
    close(server.listener);
    free(server.ring);
    return 0;
}
