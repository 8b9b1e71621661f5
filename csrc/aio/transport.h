/*
 * transport.h - what the transports of streams and of datagrams begin with:
 * as much as the loop has to know of either.
 */
#ifndef KEV_AIO_TRANSPORT_H
#define KEV_AIO_TRANSPORT_H

#include "aio/guard.h"
#include "aio/loop.h"

enum transport_kind {
    TRANSPORT_STREAM,
    TRANSPORT_DATAGRAM,
};

#ifdef Py_GIL_DISABLED
#define TRANSPORT_MONITOR PyObject *monitor;  /* strong: the loop's guard */
#else
#define TRANSPORT_MONITOR
#endif

#define TRANSPORT_HEAD                                                    \
    PyObject_HEAD                                                         \
    /* asyncio's slots, as its class statements lay them out */           \
    PyObject *extra;            /* strong or NULL */                      \
    PyObject *high_slot;        /* not ours to use: see high_water */     \
    PyObject *loop_slot;        /* nor this: Python can write there */    \
    PyObject *low_slot;                                                   \
    PyObject *paused_slot;                                                \
    /* ours */                                                            \
    ModState *state;            /* borrowed: good while the loop is held */ \
    TRANSPORT_MONITOR           /* see guard.h */                         \
    LoopObject *loop;           /* strong; NULL once it is lost */        \
    char kind;                  /* enum transport_kind: whose head */     \
    char attached;              /* the loop reports events */             \
    char anchored;              /* and keeps it alive */                  \
    char closing;                                                         \
    char queued_again;          /* in the loop's list of those with more */ \
    char held;                  /* sends when the callback returns */

typedef struct TransportObject {
    TRANSPORT_HEAD
} TransportObject;

#ifdef Py_GIL_DISABLED
/* Whose guard is the transport's. */
static inline PyObject *
KevTransport_Monitor(PyObject *op)
{
    return ((TransportObject *)op)->monitor;
}
#endif

/* The transport is one of this loop's. */
static inline void
KevTransport_SetLoop(TransportObject *self, LoopObject *loop)
{
    self->state = loop->state;
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
#ifdef Py_GIL_DISABLED
    self->monitor = Py_NewRef((PyObject *)loop->ready);
#endif
}

/* It stopped reading with more to come: read on.  0, or -1 with an exception
   that must end the pass. */
int KevTransport_Again(TransportObject *self);

/* Have that called in the next pass.  0 or -1.  Guard held. */
int KevTransport_QueueAgain(TransportObject *self);

/* Send what the transports of the loop hold: a callback has returned r, with
   its exception set if r < 0.  r, or -1 if the sending must end the pass. */
int KevTransport_AfterCallback(LoopObject *loop, int r);

/* What it waits for: 1 reading, 2 writing, as selectors has it. */
int KevTransport_Polling(const TransportObject *self);

#endif
