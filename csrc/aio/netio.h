/*
 * netio.h - the socket calls of the transports, as values: a count, or
 * -errno.  EINTR is retried: none of these sleeps.
 */
#ifndef KEV_AIO_NETIO_H
#define KEV_AIO_NETIO_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static inline ssize_t
net_recv(int fd, void *buffer, size_t size)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, size, 0);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

static inline ssize_t
net_recvmsg(int fd, void *buffer, size_t size, int *ret_flags)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    for (;;) {
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (n >= 0 || errno != EINTR) {
            *ret_flags = message.msg_flags;
            return n >= 0 ? n : -errno;
        }
    }
}

static inline ssize_t
net_send(int fd, const void *data, size_t size)
{
    for (;;) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

static inline ssize_t
net_sendv(int fd, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    for (;;) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

static inline int
net_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    int r = accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return r >= 0 ? r : -errno;
}

#endif
