/*
 * connection.c - one socket of the load generator: open, send, receive, close.
 *
 * Nothing here copies what is sent: the queue holds pointers to bytes that
 * outlive the request, and several requests leave in one sendmsg.
 */
#include "load.h"
#include "../tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int
socket_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* A client that closes first keeps its address busy for a minute: with a
   source address of its own for each connection there is always a free one. */
static void
socket_bind_source(int fd, unsigned number)
{
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % 200),
    };
    int one = 1;

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    /* If it cannot be had, the kernel's choice will do for a while. */
    (void)bind(fd, (struct sockaddr *)&source, sizeof(source));
}

static int
socket_connect_inet(struct load *load)
{
    const struct options *options = &load->options;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)options->port),
    };
    /* For a connect, the timeout of sending is the one that counts. */
    struct timeval patience = {.tv_sec = 10};
    int one = 1;

    if (inet_pton(AF_INET, options->host, &address.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(AF_INET, (options->is_udp ? SOCK_DGRAM : SOCK_STREAM)
                    | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (!options->is_udp) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (load->workload == &churn_workload) {
        socket_bind_source(fd, load->sources++);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int
connection_reopen(struct load *load, struct connection *connection)
{
    const struct options *options = &load->options;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    connection->fd = options->unix_path != NULL
        ? socket_connect_unix(options->unix_path)
        : socket_connect_inet(load);
    if (connection->fd < 0) {
        load_complain(load, "client %u cannot connect: %s",
                      connection->client->index, strerror(errno));
        return -1;
    }
    if (options->is_tls) {
        connection->tls = tls_open(connection->fd);
        if (connection->tls == NULL) {
            load_complain(load, "client %u: no TLS handshake",
                          connection->client->index);
            close(connection->fd);
            connection->fd = -1;
            return -1;
        }
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0) {
        load_complain(load, "epoll_ctl: %s", strerror(errno));
        tls_close(connection->tls);
        connection->tls = NULL;
        close(connection->fd);
        connection->fd = -1;
        return -1;
    }
    connection->is_armed_for_write = false;
    load->open_connections++;
    return 0;
}

struct connection *
connection_open(struct load *load, struct client *client)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL) {
        load_complain(load, "out of memory");
        return NULL;
    }
    connection->client = client;
    if (connection_reopen(load, connection) < 0) {
        free(connection);
        return NULL;
    }
    client->connections[client->connections_count++] = connection;
    return connection;
}

void
connection_close(struct load *load, struct connection *connection)
{
    if (connection->fd < 0) {
        return;
    }
    tls_close(connection->tls);
    connection->tls = NULL;
    close(connection->fd);
    connection->fd = -1;
    connection->out_first = 0;
    connection->out_count = 0;
    load->outstanding -= connection->outstanding;
    connection->outstanding = 0;
    load->open_connections--;
}

bool
connection_push(struct connection *connection, const void *bytes,
                size_t count)
{
    if (connection->out_count == LOAD_OUT_MAX) {
        return false;
    }
    unsigned last = connection->out_count++;
    connection->out[last] = (struct iovec){
        .iov_base = (void *)bytes, .iov_len = count};
    return true;
}

static void
connection_lose(struct load *load, struct connection *connection,
                const char *how)
{
    load->lost_connections++;
    load_complain(load, "client %u: connection lost with %llu requests "
                  "outstanding: %s", connection->client->index,
                  (unsigned long long)connection->outstanding, how);
    connection_close(load, connection);
}

static void
connection_watch_write(struct load *load, struct connection *connection,
                       bool on)
{
    struct epoll_event event = {
        .events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = connection};

    if (connection->is_armed_for_write != on) {
        connection->is_armed_for_write = on;
        epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    }
}

/* Forgets what left; the first queued piece may have left in part. */
static void
connection_sent(struct connection *connection, size_t count)
{
    while (count != 0) {
        struct iovec *first = &connection->out[connection->out_first];
        if (count < first->iov_len) {
            first->iov_base = (char *)first->iov_base + count;
            first->iov_len -= count;
            break;
        }
        count -= first->iov_len;
        connection->out_first++;
    }
    if (connection->out_first == connection->out_count) {
        connection->out_first = 0;
        connection->out_count = 0;
    }
}

/* Sends of the queue what goes at once: all, but one datagram, one record. */
static ssize_t
connection_send(const struct load *load, struct connection *connection)
{
    struct iovec *first = &connection->out[connection->out_first];
    struct msghdr message = {
        .msg_iov = first,
        .msg_iovlen = load->options.is_udp ? 1
            : connection->out_count - connection->out_first,
    };

    return connection->tls != NULL
        ? tls_send(connection->tls, first->iov_base, first->iov_len)
        : sendmsg(connection->fd, &message, MSG_NOSIGNAL);
}

int
connection_flush(struct load *load, struct connection *connection)
{
    while (connection->fd >= 0 && connection->out_count != 0) {
        ssize_t sent = connection_send(load, connection);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            connection_watch_write(load, connection, true);
            return 0;
        }
        if (sent < 0) {
            connection_lose(load, connection, strerror(errno));
            return -1;
        }
        connection_sent(connection, (size_t)sent);
        if (connection->out_count == 0) {
            /* A window deeper than the queue goes out in several parts. */
            load->workload->fill(load, connection->client);
        }
    }
    if (connection->fd < 0) {
        return -1;
    }
    connection_watch_write(load, connection, false);
    return 0;
}

static void
connection_receive(struct load *load, struct connection *connection)
{
    /* At most a record comes at once, and the buffer is larger: the library
       keeps nothing back that epoll would not tell of. */
    ssize_t count = connection->tls != NULL
        ? tls_receive(connection->tls, load->read_buffer, LOAD_READ_BYTES)
        : recv(connection->fd, load->read_buffer, LOAD_READ_BYTES, 0);

    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count <= 0) {
        connection_lose(load, connection,
                        count == 0 ? "end of stream" : strerror(errno));
        return;
    }
    load->now_ns = load_clock_ns();
    load->progress_ns = load->now_ns;
    if (load->is_measuring) {
        load->received_bytes += (uint64_t)count;
    }
    if (load->workload->receive(load, connection, load->read_buffer,
                                (size_t)count) < 0) {
        connection_lose(load, connection, "what came makes no sense");
        return;
    }
    load->workload->fill(load, connection->client);
    struct client *client = connection->client;
    for (unsigned i = 0; i < client->connections_count; i++) {
        (void)connection_flush(load, client->connections[i]);
    }
}

void
connection_ready(struct load *load, struct connection *connection,
                 uint32_t events)
{
    if (connection->fd >= 0 && (events & EPOLLOUT) != 0
        && connection_flush(load, connection) < 0) {
        return;
    }
    if (connection->fd >= 0
        && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        connection_receive(load, connection);
    }
}
