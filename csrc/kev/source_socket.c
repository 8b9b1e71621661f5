/*
 * source_socket.c - KEVENT_SOCKET: a socket that can be read, accepted from
 * or written to.
 *
 * ret_data[0] has the wanted bits that happened.  A socket with an error is
 * BROKEN: ret_data[1] has the error, taken from the socket (SO_ERROR, which
 * it does not tell twice), and the kernel is asked no more until a MODIFY.  A
 * hang-up is BROKEN only when no wanted direction is ready: data that came
 * before it can still be read, and the end of file after them.
 */
#include "kev/note.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include "kev/sys.h"

#define SOCKET_IN (KEVENT_SOCKET_RECV | KEVENT_SOCKET_ACCEPT)

static int
socket_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    int type;
    (void)queue;
    return wanted->id.raw[0] > INT_MAX
        ? -EBADF
        : kev_sys_sockopt((int)wanted->id.raw[0], SO_TYPE, &type);
}

static uint32_t
socket_watch(const struct ukevent *uk)
{
    return (uk->event & SOCKET_IN ? EPOLLIN : 0u)
        | (uk->event & KEVENT_SOCKET_SEND ? EPOLLOUT : 0u)
        | EPOLLERR | EPOLLHUP;
}

static bool
socket_fire(struct ukevent *uk, uint32_t happened)
{
    uint32_t bits = uk->event
        & ((happened & EPOLLIN ? SOCKET_IN : 0u)
           | (happened & EPOLLOUT ? KEVENT_SOCKET_SEND : 0u));
    bool error = (happened & EPOLLERR) != 0;
    if (error || (bits == 0 && (happened & EPOLLHUP))) {
        int reason = 0;
        if (kev_sys_sockopt((int)uk->id.raw[0], SO_ERROR, &reason) < 0
            || reason == 0) {
            reason = EPIPE;
        }
        uk->ret_flags |= KEVENT_RET_BROKEN;
        uk->ret_data[1] = (uint32_t)-reason;
    }
    else if (bits == 0) {
        return false;
    }
    uk->ret_data[0] |= bits;
    uk->ret_flags |= KEVENT_RET_DONE;
    return true;
}

const struct kev_source kev_source_socket = {
    .name = "socket",
    .events_known = SOCKET_IN | KEVENT_SOCKET_SEND,
    .has_fd = true,
    .check = socket_check,
    .watch = socket_watch,
    .fire = socket_fire,
};
