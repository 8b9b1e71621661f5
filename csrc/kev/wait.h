/*
 * wait.h - what a binding needs beside kevent.h: sleeps that tell of signals,
 * and references.
 *
 * A binding needs to know that a signal ended the sleep, to run its handlers
 * and go on; kevent_get_events() and kevent_wait() do not say so.
 */
#ifndef KEV_WAIT_H
#define KEV_WAIT_H

#include <stdbool.h>

#include "kev/kevent.h"

struct kev_queue;

/* As many events as one harvest takes: a fair share for what comes after.
   And what a look without sleeping takes from beside a leader, who has the
   queue's array. */
#define KEV_HARVEST_MAX 512
#define KEV_GLANCE_MAX  64

/*
 * kevent_get_events() and kevent_wait() that answer -EINTR when a signal
 * ended the sleep.  Nothing was taken then, so the call may be repeated (with
 * KEVENT_FLAGS_ABSTIME, for what is left of the time).
 */
int kev_queue_get_events(struct kev_queue *queue, unsigned min_nr,
                         unsigned max_nr, uint64_t timeout_ns,
                         struct ukevent *buf, unsigned flags,
                         const sigset_t *sigmask);
int kev_queue_wait(struct kev_queue *queue, unsigned num, unsigned seen,
                   uint64_t timeout_ns, unsigned flags,
                   const sigset_t *sigmask);

/*
 * The memory of a queue lives as long as somebody holds a reference;
 * kevent_open() gives one and kevent_close() takes it.  A binding whose
 * threads may close a queue that another is about to use holds one more:
 * after kevent_close(), which wakes all sleepers, every call then answers
 * -EBADF.
 */
void kev_queue_ref(struct kev_queue *queue);
void kev_queue_unref(struct kev_queue *queue);

/* False in a child's copy.  Whoever holds a reference may ask. */
bool kev_queue_is_ours(const struct kev_queue *queue);

/* ---- inside the core; the caller holds the lock ---- */

/* Give what is ready to those who wait for it, first come, first served. */
void kev_wait_distribute(struct kev_queue *queue);

/* READY(0): one sleeper, or else the next that would sleep, returns. */
void kev_wait_wake_one(struct kev_queue *queue);

/* The queue died: everybody returns. */
void kev_wait_wake_all(struct kev_queue *queue);

/* CLOCK_REALTIME was set, or a timer by it is due: who sleeps by it looks
   again. */
void kev_wait_wall_heard(struct kev_queue *queue);

/* Does anybody wait for the ring to be filled? */
bool kev_wait_uses_ring(const struct kev_queue *queue);

/* Nobody waits any more: close what sleepers needed. */
void kev_wait_fini(struct kev_queue *queue);

#endif
