/*
 * heap.h - a 4-ary heap of deadlines whose nodes know their place.
 *
 * A node is embedded in what it times, so that leaving the heap needs no
 * search.  The array holds the deadline beside the pointer: a sift compares
 * four neighbours in one cache line and follows a pointer only when two
 * deadlines are equal, which is when the order of arrival decides.
 */
#ifndef KEV_HEAP_H
#define KEV_HEAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "kev/sys.h"

#define KEV_HEAP_OUTSIDE UINT32_MAX
#define KEV_HEAP_FANOUT  4u

struct kev_heap_node {
    uint64_t deadline_ns;
    uint64_t arrival;       /* written by kev_heap_push */
    uint32_t index;         /* KEV_HEAP_OUTSIDE when in no heap */
};

struct kev_heap_item {
    uint64_t deadline_ns;
    struct kev_heap_node *node;
};

struct kev_heap {
    struct kev_heap_item *items;
    uint32_t count;
    uint32_t capacity;
    uint64_t arrivals;
};

static inline void
kev_heap_init(struct kev_heap *heap)
{
    *heap = (struct kev_heap){.items = NULL};
}

static inline void
kev_heap_fini(struct kev_heap *heap)
{
    kev_sys_free(heap->items);
    kev_heap_init(heap);
}

static inline bool
kev_heap_before(const struct kev_heap_item *a, const struct kev_heap_item *b)
{
    if (a->deadline_ns != b->deadline_ns) {
        return a->deadline_ns < b->deadline_ns;
    }
    return a->node->arrival < b->node->arrival;
}

static inline void
kev_heap_place(struct kev_heap *heap, uint32_t index,
               struct kev_heap_item item)
{
    heap->items[index] = item;
    item.node->index = index;
}

static inline void
kev_heap_sift_up(struct kev_heap *heap, uint32_t index,
                 struct kev_heap_item item)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / KEV_HEAP_FANOUT;
        if (!kev_heap_before(&item, &heap->items[parent])) {
            break;
        }
        kev_heap_place(heap, index, heap->items[parent]);
        index = parent;
    }
    kev_heap_place(heap, index, item);
}

static inline void
kev_heap_sift_down(struct kev_heap *heap, uint32_t index,
                   struct kev_heap_item item)
{
    for (;;) {
        uint64_t first = (uint64_t)index * KEV_HEAP_FANOUT + 1;
        if (first >= heap->count) {
            break;
        }
        uint32_t best = (uint32_t)first;
        uint64_t end = first + KEV_HEAP_FANOUT;
        for (uint64_t i = first + 1; i < end && i < heap->count; i++) {
            if (kev_heap_before(&heap->items[i], &heap->items[best])) {
                best = (uint32_t)i;
            }
        }
        if (!kev_heap_before(&heap->items[best], &item)) {
            break;
        }
        kev_heap_place(heap, index, heap->items[best]);
        index = best;
    }
    kev_heap_place(heap, index, item);
}

/* Room for count nodes, so that so many pushes cannot fail.  0 or -ENOMEM. */
static inline int
kev_heap_reserve(struct kev_heap *heap, uint32_t count)
{
    if (count <= heap->capacity) {
        return 0;
    }
    uint32_t capacity = heap->capacity < 16 ? 16 : heap->capacity;
    while (capacity < count) {
        if (capacity > UINT32_MAX / 4) {
            return -ENOMEM;
        }
        capacity *= 2;
    }
    struct kev_heap_item *items = kev_sys_realloc(
        heap->items, (size_t)capacity * sizeof(*items));
    if (items == NULL) {
        return -ENOMEM;
    }
    heap->items = items;
    heap->capacity = capacity;
    return 0;
}

/* Adds a node that is in no heap, its deadline set.  0 or -ENOMEM. */
static inline int
kev_heap_push(struct kev_heap *heap, struct kev_heap_node *node)
{
    int r = kev_heap_reserve(heap, heap->count + 1);
    if (r < 0) {
        return r;
    }
    node->arrival = heap->arrivals++;
    kev_heap_sift_up(heap, heap->count++,
                     (struct kev_heap_item){node->deadline_ns, node});
    return 0;
}

/* Takes a node out, wherever it is; does nothing if it is in no heap. */
static inline void
kev_heap_remove(struct kev_heap *heap, struct kev_heap_node *node)
{
    uint32_t index = node->index;
    if (index == KEV_HEAP_OUTSIDE) {
        return;
    }
    node->index = KEV_HEAP_OUTSIDE;
    struct kev_heap_item last = heap->items[--heap->count];
    if (index == heap->count) {
        return;
    }
    if (index > 0 && kev_heap_before(
            &last, &heap->items[(index - 1) / KEV_HEAP_FANOUT])) {
        kev_heap_sift_up(heap, index, last);
    }
    else {
        kev_heap_sift_down(heap, index, last);
    }
}

/* The node that is due first, still in the heap; NULL if empty. */
static inline struct kev_heap_node *
kev_heap_first(const struct kev_heap *heap)
{
    return heap->count == 0 ? NULL : heap->items[0].node;
}

/* The nearest deadline, UINT64_MAX if empty. */
static inline uint64_t
kev_heap_deadline(const struct kev_heap *heap)
{
    return heap->count == 0 ? UINT64_MAX : heap->items[0].deadline_ns;
}

#endif
