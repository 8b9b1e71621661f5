/*
 * source_pipe.c - KEVENT_PIPE: an end of a pipe or FIFO.
 *
 * The event bits are SOCKET_RECV and SOCKET_SEND.  When the other side is
 * gone the kevent is BROKEN, with KEVENT_POLL_POLLHUP (nobody writes any
 * more) or KEVENT_POLL_POLLERR (nobody reads; ret_data[1] is -EPIPE) beside
 * the wanted bits in ret_data[0].  What is left in the pipe can still be
 * read.  A FIFO may be opened again by others: MODIFY watches on.
 */
#include "kev/note.h"

#include <errno.h>
#include <limits.h>

#include "kev/sys.h"

static int
pipe_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    return wanted->id.raw[0] > INT_MAX
        ? -EBADF : kev_sys_is_fifo((int)wanted->id.raw[0]);
}

static uint32_t
pipe_watch(const struct ukevent *uk)
{
    return (uk->event & KEVENT_SOCKET_RECV ? EPOLLIN : 0u)
        | (uk->event & KEVENT_SOCKET_SEND ? EPOLLOUT : 0u)
        | EPOLLERR | EPOLLHUP;
}

static bool
pipe_fire(struct ukevent *uk, uint32_t happened)
{
    uk->ret_flags |= KEVENT_RET_DONE;
    uk->ret_data[0] |= uk->event
        & ((happened & EPOLLIN ? KEVENT_SOCKET_RECV : 0u)
           | (happened & EPOLLOUT ? KEVENT_SOCKET_SEND : 0u));
    if (happened & (EPOLLERR | EPOLLHUP)) {
        uk->ret_flags |= KEVENT_RET_BROKEN;
        uk->ret_data[0] |= happened & (EPOLLERR | EPOLLHUP);
        uk->ret_data[1] = happened & EPOLLERR ? (uint32_t)-EPIPE : 0;
    }
    return true;
}

const struct kev_source kev_source_pipe = {
    .name = "pipe",
    .events_known = KEVENT_SOCKET_RECV | KEVENT_SOCKET_SEND,
    .has_fd = true,
    .check = pipe_check,
    .watch = pipe_watch,
    .fire = pipe_fire,
};
