/*
 * netio.h - the socket calls of the transports, as values: a count, or
 * -errno.  EINTR is retried: none of these sleeps.
 */
#ifndef KEV_AIO_NETIO_H
#define KEV_AIO_NETIO_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <fcntl.h>
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
net_recvmsg(int fd, struct iovec *iov, size_t count, int *ret_flags)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
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

/* Datagrams: count messages at most, as many as are there or can leave.  How
   many they were, or -errno of the first. */
static inline int
net_recvmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
    for (;;) {
        int n = recvmmsg(fd, messages, count, MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
                         NULL);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

static inline int
net_sendmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
    for (;;) {
        int n = sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

/* One message: 1, or -errno. */
static inline int
net_sendmsg_one(int fd, const struct msghdr *message)
{
    for (;;) {
        ssize_t n = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? 1 : -errno;
        }
    }
}

/* Linux 4.18: a message is cut into datagrams of a size. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Can this socket do that?  One that does not know it would send a message
   uncut, so it is asked. */
static inline int
net_has_segments(int fd)
{
    int protocol = 0;
    int size = 0;
    socklen_t length = sizeof(protocol);
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0
        || protocol != IPPROTO_UDP) {
        return 0;
    }
    length = sizeof(size);
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0;
}

/* The message's control buffer says the size of its datagrams. */
static inline void
net_set_segment(struct msghdr *message, uint16_t size)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    part->cmsg_level = IPPROTO_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof(size));
    memcpy(CMSG_DATA(part), &size, sizeof(size));
}

/* One datagram; name may be NULL on a connected socket. */
static inline ssize_t
net_sendto(int fd, const void *data, size_t size, const struct sockaddr *name,
           socklen_t length)
{
    for (;;) {
        ssize_t n = sendto(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, name,
                           length);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

static inline ssize_t
net_recvmsg_one(int fd, struct msghdr *message)
{
    for (;;) {
        ssize_t n = recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n >= 0 || errno != EINTR) {
            return n >= 0 ? n : -errno;
        }
    }
}

/* Where a filter of system calls knows only the older one. */
static inline int
net_accept_plain(int fd, struct sockaddr *address, socklen_t *length)
{
    int r = accept(fd, address, length);
    if (r < 0) {
        return -errno;
    }
    if (fcntl(r, F_SETFD, FD_CLOEXEC) < 0
        || fcntl(r, F_SETFL, O_NONBLOCK) < 0) {
        int err = errno;
        (void)close(r);
        return -err;
    }
    return r;
}

static inline int
net_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    int r = accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (r >= 0) {
        return r;
    }
    return errno == ENOSYS || errno == EPERM
        ? net_accept_plain(fd, address, length) : -errno;
}

#endif
