/*
 * owned.h - the core as its single owner sees it: what an event loop needs.
 *
 * A queue that was opened with KEVENT_OPEN_OWNED belongs to one thread, which
 * alone may call anything here but kev_queue_knock().  Nothing takes a lock.
 */
#ifndef KEV_OWNED_H
#define KEV_OWNED_H

#include <stdbool.h>

#include "kevent.h"

/*
 * One pass over the kernel: sleep until something happens or timeout_ns has
 * passed (0: do not sleep; KEVENT_WAIT_FOREVER), then move everything that
 * was harvested into the free slots of the ring, in order, published by
 * ring_kidx.  What has no room stays queued for the next call.
 *
 * The number of entries added (0: time is up), or -EINTR, or -errno.
 */
int kev_queue_poll(struct kev_queue *queue, uint64_t timeout_ns);

/*
 * From here on, until told otherwise, all calls of kev_queue_poll() are made
 * by the calling thread, which will not end before.  That allows polls without
 * sleep to be made without a system call while nothing happens (lull.h).
 */
void kev_queue_steady(struct kev_queue *queue, bool steady);

/*
 * The owner has read count entries: their slots are free again.  (The same
 * as kevent_commit with the generation that the owner, being alone, need not
 * name.)
 */
void kev_queue_consume(struct kev_queue *queue, unsigned count);

/*
 * Wake the owner from any thread or from a signal handler: one write(2), no
 * lock, no allocation.  It arrives as one event of the UNOTIFY kevent whose
 * id.raw_u64 is KEV_KNOCK_ID, which the owner has added; several knocks before
 * the owner looks are one event.
 */
#define KEV_KNOCK_ID UINT64_MAX
int kev_queue_knock(struct kev_queue *queue);

#endif
