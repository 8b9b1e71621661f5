/*
 * fetch.c - the face's one place that sleeps.
 */
#include "mod/calls.h"

#include <errno.h>
#include <time.h>

#include "kev/wait.h"
#include "mod/compat.h"
#include "mod/errors.h"

static uint64_t
monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int
fetch_once(struct face_queue *queue, const struct kev_wait *wait,
           uint64_t timeout_ns, struct ukevent *buf)
{
    if (buf != NULL) {
        return kev_queue_get_events(queue->core, wait->min, wait->max,
                                    timeout_ns, buf, wait->flags,
                                    wait->sigmask);
    }
    return kev_queue_wait(queue->core, wait->max, wait->seen, timeout_ns,
                          wait->flags, wait->sigmask);
}

/* The same with the GIL as it should be: a call that will not sleep keeps
   it, for getting it back from a busy thread may cost milliseconds. */
static int
fetch_unlocked(struct face_queue *queue, const struct kev_wait *wait,
               uint64_t timeout_ns, struct ukevent *buf)
{
    if (timeout_ns == 0) {
        return fetch_once(queue, wait, 0, buf);
    }
    int r;
    Py_BEGIN_ALLOW_THREADS
    r = fetch_once(queue, wait, timeout_ns, buf);
    Py_END_ALLOW_THREADS
    return r;
}

int
KevCall_Fetch(struct face_queue *queue, const char *call,
              const struct kev_wait *wait, struct ukevent *buf)
{
    uint64_t timeout_ns = wait->timeout_ns;
    uint64_t deadline_ns = KEVENT_WAIT_FOREVER;
    int is_relative = timeout_ns != 0 && timeout_ns != KEVENT_WAIT_FOREVER
        && (wait->flags & KEVENT_FLAGS_ABSTIME) == 0;
    if (is_relative) {
        uint64_t now_ns = monotonic_ns();
        if (timeout_ns < KEVENT_WAIT_FOREVER - now_ns) {
            deadline_ns = now_ns + timeout_ns;
        }
    }
    int r;
    for (;;) {
        r = fetch_unlocked(queue, wait, timeout_ns, buf);
        if (r != -EINTR) {
            break;
        }
        /* Nothing has been fetched: an exception here loses nothing. */
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
        if (KEV_PEEK(queue->is_closed) || !KevFd_IsOurs(queue)) {
            KevErr_Set(EBADF, "%s(): a signal handler closed the queue, or "
                       "forked", call);
            return -1;
        }
        if (is_relative && deadline_ns != KEVENT_WAIT_FOREVER) {
            uint64_t now_ns = monotonic_ns();
            timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        }
    }
    if (r < 0 && !KEV_PEEK(queue->is_closed)) {
        KevErr_Set(-r, "%s()", call);
        return -1;
    }
    if (r <= 0 && KEV_PEEK(queue->is_closed)) {
        KevErr_Set(EBADF, "%s(): the queue was closed meanwhile", call);
        return -1;
    }
    if (r == 0 && wait->sigmask != NULL && PyErr_CheckSignals() < 0) {
        return -1;   /* what the mask held back comes before the result */
    }
    KEV_COUNT(queue->waits, 1);
    KEV_COUNT(queue->events, (uint64_t)r);
    return r;
}
