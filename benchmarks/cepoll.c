/*
 * cepoll.c - an echo server with nothing in it: the physical limit.
 *
 * One thread, one epoll set, one 256 KiB buffer; a request costs one recv and
 * one send plus its share of an epoll_wait.  What a server in Python needs
 * beyond this is the price of Python and of its event loop.
 *
 *     cepoll [--edge] [--unix PATH | --udp | --tls CERTIFICATE]
 *
 * Prints one line of JSON with its pid and port once it listens.  Ends with
 * whoever started it.
 */
#include "tls/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_BYTES (256u * 1024)
#define EVENTS_MAX   1024

struct peer {
    int fd;
    struct tls *tls;        /* NULL: in the clear */
    char *rest;             /* not sent yet; NULL most of the time */
    size_t rest_bytes;
    size_t rest_sent;
};

struct server {
    int epoll_fd;
    int listen_fd;
    bool is_tcp;
    bool is_udp;
    bool is_tls;
    uint32_t mode;          /* EPOLLET or 0 */
    char buffer[BUFFER_BYTES];
};

static void
fail(const char *what)
{
    fprintf(stderr, "cepoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
peer_close(struct peer *peer)
{
    tls_close(peer->tls);
    close(peer->fd);
    free(peer->rest);
    free(peer);
}

static void
server_watch(struct server *server, int op, int fd, uint32_t events,
             void *owner)
{
    struct epoll_event event = {
        .events = events | server->mode, .data.ptr = owner};

    if (epoll_ctl(server->epoll_fd, op, fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

static void
server_accept(struct server *server)
{
    int one = 1;

    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED) {
                return;
            }
            fail("accept4");
        }
        if (server->is_tcp) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
        struct peer *peer = calloc(1, sizeof(*peer));
        if (peer == NULL) {
            fail("calloc");
        }
        peer->fd = fd;
        if (server->is_tls && (peer->tls = tls_open(fd)) == NULL) {
            fail("tls_open");
        }
        server_watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, peer);
    }
}

static ssize_t
peer_send(struct peer *peer, const char *bytes, size_t count)
{
    return peer->tls != NULL ? tls_send(peer->tls, bytes, count)
        : send(peer->fd, bytes, count, MSG_NOSIGNAL);
}

static ssize_t
peer_receive(struct peer *peer, char *buffer, size_t size)
{
    return peer->tls != NULL ? tls_receive(peer->tls, buffer, size)
        : recv(peer->fd, buffer, size, 0);
}

/* Sends on what is left.  Returns -1 when the peer is gone, 1 while something
   is still left. */
static int
peer_drain(struct server *server, struct peer *peer)
{
    ssize_t sent = peer_send(peer, peer->rest + peer->rest_sent,
                             peer->rest_bytes - peer->rest_sent);

    if (sent < 0) {
        return errno == EAGAIN ? 1 : -1;
    }
    peer->rest_sent += (size_t)sent;
    if (peer->rest_sent != peer->rest_bytes) {
        return 1;
    }
    free(peer->rest);
    peer->rest = NULL;
    server_watch(server, EPOLL_CTL_MOD, peer->fd, EPOLLIN, peer);
    return 0;
}

/* Keeps what did not go out and waits for room instead of data. */
static int
peer_keep(struct server *server, struct peer *peer, const char *bytes,
          size_t count)
{
    peer->rest = malloc(count);
    if (peer->rest == NULL) {
        return -1;
    }
    memcpy(peer->rest, bytes, count);
    peer->rest_bytes = count;
    peer->rest_sent = 0;
    server_watch(server, EPOLL_CTL_MOD, peer->fd, EPOLLOUT, peer);
    return 0;
}

/* Returns -1 when the peer is gone. */
static int
peer_echo(struct server *server, struct peer *peer)
{
    for (;;) {
        ssize_t got = peer_receive(peer, server->buffer, BUFFER_BYTES);
        if (got <= 0) {
            return got < 0 && errno == EAGAIN ? 0 : -1;
        }
        ssize_t sent = peer_send(peer, server->buffer, (size_t)got);
        if (sent < 0 && errno != EAGAIN) {
            return -1;
        }
        size_t done = sent < 0 ? 0 : (size_t)sent;
        if (done != (size_t)got) {
            return peer_keep(server, peer, server->buffer + done,
                             (size_t)got - done);
        }
        /* Edge-triggered: a full buffer may have left something behind, and
           a TLS record is never the whole of what has come. */
        if (server->mode == 0
            || ((size_t)got < BUFFER_BYTES && peer->tls == NULL)) {
            return 0;
        }
    }
}

static void
peer_ready(struct server *server, struct peer *peer, uint32_t events)
{
    int status = 0;

    if (peer->rest != NULL) {
        status = peer_drain(server, peer);
    }
    else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        status = peer_echo(server, peer);
    }
    if (status < 0) {
        peer_close(peer);
    }
}

/* Answers every datagram that is there. */
static void
server_datagrams(struct server *server)
{
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        ssize_t got = recvfrom(server->listen_fd, server->buffer,
                               BUFFER_BYTES, 0, (struct sockaddr *)&from,
                               &length);
        if (got < 0) {
            return;
        }
        (void)sendto(server->listen_fd, server->buffer, (size_t)got, 0,
                     (struct sockaddr *)&from, length);
        if (server->mode == 0) {
            return;
        }
    }
}

static void
server_listen(struct server *server, const char *path)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(in);
    int status;

    server->is_tcp = path == NULL && !server->is_udp;
    server->listen_fd = socket(path != NULL ? AF_UNIX : AF_INET,
                               (server->is_udp ? SOCK_DGRAM : SOCK_STREAM)
                               | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listen_fd < 0) {
        fail("socket");
    }
    if (path != NULL) {
        if (strlen(path) >= sizeof(un.sun_path)) {
            errno = ENAMETOOLONG;
            fail(path);
        }
        strcpy(un.sun_path, path);
        status = bind(server->listen_fd, (struct sockaddr *)&un, sizeof(un));
    }
    else {
        status = bind(server->listen_fd, (struct sockaddr *)&in, sizeof(in));
    }
    if (status < 0
        || (!server->is_udp && listen(server->listen_fd, 4096) < 0)) {
        fail("listen");
    }
    if (path == NULL) {
        getsockname(server->listen_fd, (struct sockaddr *)&in, &length);
    }
    printf("{\"pid\": %d, \"port\": %d}\n", (int)getpid(),
           path == NULL ? ntohs(in.sin_port) : 0);
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    static struct server server;
    struct epoll_event events[EVENTS_MAX];
    struct rlimit limit;
    const char *path = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--edge") == 0) {
            server.mode = EPOLLET;
        }
        else if (strcmp(argv[i], "--udp") == 0) {
            server.is_udp = true;
        }
        else if (strcmp(argv[i], "--unix") == 0 && i + 1 < argc) {
            path = argv[++i];
        }
        else if (strcmp(argv[i], "--tls") == 0 && i + 1 < argc) {
            const char *wrong = tls_prepare(argv[++i]);
            if (wrong != NULL) {
                fprintf(stderr, "cepoll: no TLS: %s\n", wrong);
                return 1;
            }
            server.is_tls = true;
        }
        else {
            fprintf(stderr, "usage: cepoll [--edge] [--unix PATH | --udp"
                    " | --tls CERTIFICATE]\n");
            return 2;
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer may be enough */
    }
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll_fd < 0) {
        fail("epoll_create1");
    }
    server_listen(&server, path);
    server_watch(&server, EPOLL_CTL_ADD, server.listen_fd, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(server.epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL && server.is_udp) {
                server_datagrams(&server);
            }
            else if (events[i].data.ptr == NULL) {
                server_accept(&server);
            }
            else {
                peer_ready(&server, events[i].data.ptr, events[i].events);
            }
        }
    }
}
