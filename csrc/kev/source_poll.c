/*
 * source_poll.c - KEVENT_POLL: any descriptor that poll(2) understands.
 *
 * id.raw[0] is the descriptor; raw[1] is free, so that several kevents of one
 * descriptor can be told apart.  The event bits are those of poll(2), which
 * on Linux are those of epoll.  Errors and hang-ups are reported whether
 * asked for or not, as poll(2) does: a closed peer is never lost.
 */
#include "kev/note.h"

#include <errno.h>
#include <limits.h>

#include "kev/sys.h"

#define POLL_KNOWN                                                    \
    (KEVENT_POLL_POLLIN | KEVENT_POLL_POLLPRI | KEVENT_POLL_POLLOUT   \
     | KEVENT_POLL_POLLERR | KEVENT_POLL_POLLHUP                      \
     | KEVENT_POLL_POLLNVAL | KEVENT_POLL_POLLRDNORM                  \
     | KEVENT_POLL_POLLRDBAND | KEVENT_POLL_POLLWRNORM                \
     | KEVENT_POLL_POLLWRBAND | KEVENT_POLL_POLLMSG                   \
     | KEVENT_POLL_POLLREMOVE | KEVENT_POLL_POLLRDHUP)

/* Known of old, but nothing that epoll would ever report. */
#define POLL_MUTE (KEVENT_POLL_POLLNVAL | KEVENT_POLL_POLLREMOVE)

_Static_assert(KEVENT_POLL_POLLIN == EPOLLIN
               && KEVENT_POLL_POLLPRI == EPOLLPRI
               && KEVENT_POLL_POLLOUT == EPOLLOUT
               && KEVENT_POLL_POLLERR == EPOLLERR
               && KEVENT_POLL_POLLHUP == EPOLLHUP
               && KEVENT_POLL_POLLRDNORM == EPOLLRDNORM
               && KEVENT_POLL_POLLRDBAND == EPOLLRDBAND
               && KEVENT_POLL_POLLWRNORM == EPOLLWRNORM
               && KEVENT_POLL_POLLWRBAND == EPOLLWRBAND
               && KEVENT_POLL_POLLMSG == EPOLLMSG
               && KEVENT_POLL_POLLRDHUP == EPOLLRDHUP,
               "poll bits are epoll bits");

static int
poll_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    return wanted->id.raw[0] > INT_MAX ? -EBADF : 0;
}

static uint32_t
poll_watch(const struct ukevent *uk)
{
    return (uk->event & ~POLL_MUTE) | EPOLLERR | EPOLLHUP;
}

static bool
poll_fire(struct ukevent *uk, uint32_t happened)
{
    uk->ret_data[0] |= happened;
    uk->ret_flags |= KEVENT_RET_DONE;
    return true;
}

const struct kev_source kev_source_poll = {
    .name = "poll",
    .events_known = POLL_KNOWN,
    .has_fd = true,
    .check = poll_check,
    .watch = poll_watch,
    .fire = poll_fire,
};
