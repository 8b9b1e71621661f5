/*
 * waiter.h - the future that one who reads from a stream waits for.
 *
 * asyncio lets a loop have futures of its own.  This one is made for a wait
 * that a task begins and a transport ends: it knows its loop, who is to be
 * called, and whether it is done.  All else that a future has, and all that
 * its methods say, is that of one of asyncio's, `rest`, which is made when a
 * program asks for it.
 */
#ifndef KEV_AIO_WAITER_H
#define KEV_AIO_WAITER_H

#include "mod/state.h"

typedef struct WaiterObject {
    PyObject_HEAD
    ModState *state;
    PyObject *loop;         // strong: a loop of ours
    PyObject *callback;     // strong: the first one, or NULL
    PyObject *context;      // strong: what that is called in, or NULL
    PyObject *others;       // strong: list of (callback, context), or NULL
    PyObject *rest;         // strong: asyncio's future, or NULL
    PyObject *weakrefs;
    char is_done;           /* so is rest, then: with None if there is none */
    char blocking;          /* a task is about to take it */
} WaiterObject;

/* One for a loop of ours if create_future() and call_soon() are its own and it
   is not in debug mode; otherwise what loop.create_future() makes.  A new
   reference or NULL. */
PyObject *KevWaiter_New(ModState *state, PyObject *loop);

static inline int
KevWaiter_Is(const ModState *state, PyObject *op)
{
    return (PyObject *)Py_TYPE(op) == state->waiter_type;
}

/* set_result(None), unless it was cancelled.  0 or -1 with an exception. */
int KevWaiter_Wake(WaiterObject *self);

/* When the task that took it goes on: PYGEN_RETURN with the result,
   PYGEN_ERROR, or PYGEN_NEXT with itself: it waits on. */
PySendResult KevWaiter_End(WaiterObject *self, PyObject **ret);

/*
 * What callback is called with instead of self: a new reference.  The wake-up
 * of a task in C asks a future for its result, and no more, and one of
 * asyncio's is asked without a look-up: it is given rest, or, where the result
 * is None, one that serves all of the loop's.
 */
PyObject *KevWaiter_GivenTo(WaiterObject *self, PyObject *callback);

/* iter(self): waiter_iter.c. */
PyObject *KevWaiter_Iter(PyObject *self);

int KevWaiter_Setup(PyObject *module, ModState *state);
int KevWaiterIter_Setup(PyObject *module, ModState *state);

#endif
