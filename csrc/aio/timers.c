/*
 * timers.c - the deadline heap of a loop.
 */
#include "aio/timers.h"

#include <stdlib.h>

#include "aio/guard.h"

#define ARITY 4

static inline int
before(const struct timer_node *a, const struct timer_node *b)
{
    return a->deadline_ns < b->deadline_ns
        || (a->deadline_ns == b->deadline_ns && a->sequence < b->sequence);
}

static inline void
settle(struct timer_heap *heap, Py_ssize_t place, struct timer_node node)
{
    heap->nodes[place] = node;
    node.timer->place = place;
}

static void
sift_up(struct timer_heap *heap, Py_ssize_t place, struct timer_node node)
{
    while (place > 0) {
        Py_ssize_t parent = (place - 1) / ARITY;
        if (!before(&node, &heap->nodes[parent])) {
            break;
        }
        settle(heap, place, heap->nodes[parent]);
        place = parent;
    }
    settle(heap, place, node);
}

static void
sift_down(struct timer_heap *heap, Py_ssize_t place, struct timer_node node)
{
    for (;;) {
        Py_ssize_t first = place * ARITY + 1;
        if (first >= heap->count) {
            break;
        }
        Py_ssize_t end = first + ARITY < heap->count
            ? first + ARITY : heap->count;
        Py_ssize_t least = first;
        for (Py_ssize_t child = first + 1; child < end; child++) {
            if (before(&heap->nodes[child], &heap->nodes[least])) {
                least = child;
            }
        }
        if (!before(&heap->nodes[least], &node)) {
            break;
        }
        settle(heap, place, heap->nodes[least]);
        place = least;
    }
    settle(heap, place, node);
}

/* asyncio's descriptor of the slot has the timer's own guard.  What was there
   may run Python as it goes: this is last of all that is done to a heap. */
static void
set_scheduled(TimerObject *timer, PyObject *truth)
{
    PyObject *before;
    KEV_GUARD(timer);
    before = timer->scheduled;
    timer->scheduled = Py_NewRef(truth);
    KEV_UNGUARD();
    Py_XDECREF(before);
}

int
KevTimers_Push(struct timer_heap *heap, TimerObject *timer)
{
    if (heap->count == heap->capacity) {
        Py_ssize_t capacity = heap->capacity > 0 ? heap->capacity * 2 : 16;
        struct timer_node *nodes = heap->nodes;
        PyMem_Resize(nodes, struct timer_node, (size_t)capacity);
        if (nodes == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        heap->nodes = nodes;
        heap->capacity = capacity;
    }
    timer->sequence = heap->sequence++;
    struct timer_node node = {
        .deadline_ns = timer->deadline_ns,
        .sequence = timer->sequence,
        .timer = (TimerObject *)Py_NewRef((PyObject *)timer),
    };
    sift_up(heap, heap->count++, node);
    set_scheduled(timer, Py_True);
    return 0;
}

TimerObject *
KevTimers_Remove(struct timer_heap *heap, TimerObject *timer)
{
    Py_ssize_t place = timer->place;
    struct timer_node last = heap->nodes[--heap->count];
    timer->place = -1;
    if (place < heap->count) {
        if (place > 0 && before(&last, &heap->nodes[(place - 1) / ARITY])) {
            sift_up(heap, place, last);
        }
        else {
            sift_down(heap, place, last);
        }
    }
    set_scheduled(timer, Py_False);
    return timer;
}

static int
compare(const void *a, const void *b)
{
    return before(a, b) ? -1 : 1;  /* no two are equal */
}

void
KevTimers_Sort(struct timer_heap *heap)
{
    if (heap->count < 2) {
        return;
    }
    /* What is sorted is a heap of any arity. */
    qsort(heap->nodes, (size_t)heap->count, sizeof heap->nodes[0], compare);
    for (Py_ssize_t i = 0; i < heap->count; i++) {
        heap->nodes[i].timer->place = i;
    }
}

void
KevTimers_Clear(struct timer_heap *heap)
{
    struct timer_node *nodes = heap->nodes;
    Py_ssize_t count = heap->count;
    /* Empty first: what a destructor does must find a heap that is whole. */
    heap->nodes = NULL;
    heap->count = 0;
    heap->capacity = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        nodes[i].timer->place = -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(nodes[i].timer);
    }
    PyMem_Free(nodes);
}
