/*
 * ready.h - the queue of handles that are ready to run, and the Python object
 * (`loop._ready`) in which it lives.
 *
 * A ring of strong references with free-running indices.  The loop reaches
 * into it directly, with the guard held (guard.h); Python code sees what it
 * would see of asyncio's deque.
 */
#ifndef KEV_AIO_READY_H
#define KEV_AIO_READY_H

#include "mod/state.h"

typedef struct {
    PyObject_HEAD
#ifdef Py_GIL_DISABLED
    PyObject *monitor;   // strong: the guard (guard.h); NULL: this object
#endif
    PyObject **items;
    uint32_t mask;       /* capacity - 1; the capacity is a power of two */
    uint32_t head;       /* next to run */
    uint32_t tail;       /* next free */
} ReadyObject;

/* A new, empty queue, with a guard of its own or, if monitor is not NULL
   (borrowed), that of another; NULL with an exception. */
ReadyObject *KevReady_New(ModState *state, ReadyObject *monitor);

/* Makes room for one more.  0 or -1 with MemoryError. */
int KevReady_Grow(ReadyObject *self);

/* Lets go of everything queued. */
void KevReady_Clear(ReadyObject *self);

/* Replaces what is queued by what the iterable gives. */
int KevReady_Assign(ReadyObject *self, PyObject *iterable);

static inline uint32_t
KevReady_Len(const ReadyObject *self)
{
    return self->tail - self->head;
}

/* There is room for one more.  0 or -1 with MemoryError. */
static inline int
KevReady_Reserve(ReadyObject *self)
{
    return self->tail - self->head > self->mask ? KevReady_Grow(self) : 0;
}

/* Takes a new reference to item.  0 or -1 with MemoryError. */
static inline int
KevReady_Push(ReadyObject *self, PyObject *item)
{
    if (KevReady_Reserve(self) < 0) {
        return -1;
    }
    self->items[self->tail++ & self->mask] = Py_NewRef(item);
    return 0;
}

/* Hands over the reference; the queue must not be empty. */
static inline PyObject *
KevReady_Pop(ReadyObject *self)
{
    return self->items[self->head++ & self->mask];
}

int KevReady_Setup(PyObject *module, ModState *state);

#endif
