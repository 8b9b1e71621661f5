/*
 * timers.h - the loop's own timers: a 4-ary heap of TimerHandles.
 *
 * Each handle knows its place, so that cancelling is O(log n) and lets go of
 * the handle at once.  Keys are kept beside the pointers: sifting compares
 * without following them.
 */
#ifndef KEV_AIO_TIMERS_H
#define KEV_AIO_TIMERS_H

#include "aio/handle.h"

struct timer_node {
    int64_t deadline_ns;
    uint64_t sequence;
    TimerObject *timer;      /* strong */
};

struct timer_heap {
    struct timer_node *nodes;
    Py_ssize_t count;
    Py_ssize_t capacity;
    uint64_t sequence;
};

/* All with the loop's guard held.

   Takes a new reference to timer.  0 or -1 with MemoryError. */
int KevTimers_Push(struct timer_heap *heap, TimerObject *timer);

/* Takes the timer out, wherever it is, and hands over its reference. */
TimerObject *KevTimers_Remove(struct timer_heap *heap, TimerObject *timer);

/* Lets go of all timers and of the memory. */
void KevTimers_Clear(struct timer_heap *heap);

/* Brings the timers into the order in which they will fire. */
void KevTimers_Sort(struct timer_heap *heap);

/* The first to fire (borrowed), or NULL. */
static inline TimerObject *
KevTimers_First(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->nodes[0].timer : NULL;
}

#endif
