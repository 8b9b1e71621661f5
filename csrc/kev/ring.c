/*
 * ring.c - attaching a ring and taking slots back; see ring.h.
 *
 * A commit names the consumer's new index and the generation under which it
 * was computed (ring_over, the number of times the consumer had wrapped).
 * A commit from before a wrap that somebody else has committed since is
 * refused: its index could mean another lap.  All slots can be in use, so on
 * a full ring the unchanged index means the whole lap.
 */
#include "kev/ring.h"

#include <errno.h>
#include <stddef.h>

int
kev_ring_attach(struct kev_ring *ring, struct kevent_ring *memory,
                uint32_t num)
{
    if (memory == NULL) {
        if (num != 0 || ring->memory == NULL) {
            return -EINVAL;
        }
        if (kev_ring_used(ring) != 0) {
            return -EBUSY;
        }
        *ring = (struct kev_ring){.memory = NULL};
        return 0;
    }
    if (num == 0 || num > INT32_MAX || ring->memory != NULL
        || (uintptr_t)memory % _Alignof(struct kevent_ring) != 0) {
        return -EINVAL;
    }
    *ring = (struct kev_ring){.memory = memory, .slots = num};
    __atomic_store_n(&memory->ring_over, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&memory->ring_kidx, 0, __ATOMIC_RELEASE);
    return 0;
}

void
kev_ring_release(struct kev_ring *ring, uint32_t count)
{
    uint32_t used = kev_ring_used(ring);
    if (count > used) {
        count = used;
    }
    if (count == 0) {
        return;
    }
    ring->consumed += count;
    if (count >= ring->slots - ring->uidx) {
        ring->uidx = count - (ring->slots - ring->uidx);
        ring->over++;
        __atomic_store_n(&ring->memory->ring_over, ring->over,
                         __ATOMIC_RELEASE);
    }
    else {
        ring->uidx += count;
    }
}

int
kev_ring_commit(struct kev_ring *ring, uint32_t new_uidx, uint32_t over)
{
    if (ring->memory == NULL) {
        return 0;
    }
    if (new_uidx >= ring->slots) {
        return -EINVAL;
    }
    if (over != ring->over) {
        /* A wrapping commit that is only repeated has done its work. */
        return over + 1 == ring->over && new_uidx == ring->uidx
            ? 0 : -EOVERFLOW;
    }
    uint32_t used = kev_ring_used(ring);
    uint32_t count = new_uidx >= ring->uidx
        ? new_uidx - ring->uidx
        : ring->slots - (ring->uidx - new_uidx);
    if (count == 0 && used == ring->slots) {
        count = ring->slots;
    }
    if (count > used) {
        return -EINVAL;
    }
    kev_ring_release(ring, count);
    return (int)count;
}
