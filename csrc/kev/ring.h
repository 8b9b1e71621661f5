/*
 * ring.h - the producer's side of a ring in user memory.
 *
 * The memory is the user's: it is written and never read back, so nothing
 * that is scribbled there can mislead the queue.  Both ends are running
 * 64-bit counters kept here; an index is a counter modulo the size, kept
 * beside it so that nothing is divided.
 */
#ifndef KEV_RING_H
#define KEV_RING_H

#include <stdint.h>

#include "kev/kevent.h"

struct kev_ring {
    struct kevent_ring *memory;   /* borrowed; NULL: no ring */
    uint32_t slots;
    uint32_t kidx;                /* slot to fill next */
    uint32_t uidx;                /* slot to be released next */
    uint32_t over;                /* how often uidx wrapped */
    uint64_t produced;
    uint64_t consumed;
};

/* Attach memory with num slots (its header is set to 0), or detach (NULL, 0).
   -EINVAL: there is a ring already, or none to detach, or num and memory do
   not fit; -EBUSY: entries have not been committed. */
int kev_ring_attach(struct kev_ring *ring, struct kevent_ring *memory,
                    uint32_t num);

/* The number of slots released; -EINVAL, -EOVERFLOW. */
int kev_ring_commit(struct kev_ring *ring, uint32_t new_uidx, uint32_t over);

/* Release count slots, or as many as are filled. */
void kev_ring_release(struct kev_ring *ring, uint32_t count);

static inline uint32_t
kev_ring_used(const struct kev_ring *ring)
{
    return (uint32_t)(ring->produced - ring->consumed);
}

static inline uint32_t
kev_ring_room(const struct kev_ring *ring)
{
    return ring->slots - kev_ring_used(ring);
}

/* The slot that is filled next.  There must be room. */
static inline struct ukevent *
kev_ring_slot(const struct kev_ring *ring)
{
    return &ring->memory->event[ring->kidx];
}

/* That slot is filled; nobody is told before kev_ring_publish(). */
static inline void
kev_ring_advance(struct kev_ring *ring)
{
    ring->produced++;
    ring->kidx = ring->kidx + 1 == ring->slots ? 0 : ring->kidx + 1;
}

/* Release: whoever reads the new index also sees the slots before it. */
static inline void
kev_ring_publish(const struct kev_ring *ring)
{
    __atomic_store_n(&ring->memory->ring_kidx, ring->kidx, __ATOMIC_RELEASE);
}

#endif
