/*
 * calls.h - the kevent calls as both faces make them: by descriptor
 * (calls.c) and as methods of a Queue (queue_type.c).
 */
#ifndef KEV_MOD_CALLS_H
#define KEV_MOD_CALLS_H

#include "mod/descriptor.h"
#include "mod/state.h"

/*
 * Sleep for events and fetch them, the GIL released if it may take time.
 * Signal handlers run when one interrupts (PEP 475): the wait goes on for the
 * rest of its time, or ends with the handler's exception, nothing fetched.
 * The caller has entered.  A count, or -1 with an exception.
 */
struct kev_wait {
    unsigned min;                 /* get_events only */
    unsigned max;
    unsigned seen;                /* wait only */
    unsigned flags;
    uint64_t timeout_ns;
    const sigset_t *sigmask;      /* NULL: the thread's own */
};

int KevCall_Fetch(struct face_queue *queue, const char *call,
                  const struct kev_wait *wait, struct ukevent *buf);

/* The calls on an entered queue.  slots are the arguments after fd, borrowed,
   NULL where not given.  Each returns a new reference or NULL. */
PyObject *KevCall_Ctl(ModState *state, struct face_queue *queue,
                      PyObject *const *slots);
PyObject *KevCall_GetEvents(ModState *state, struct face_queue *queue,
                            PyObject *const *slots);
PyObject *KevCall_Wait(ModState *state, struct face_queue *queue,
                       PyObject *const *slots);
PyObject *KevCall_RingInit(ModState *state, struct face_queue *queue,
                           PyObject *const *slots);
PyObject *KevCall_Commit(ModState *state, struct face_queue *queue,
                         PyObject *const *slots);

/* Adds the module's functions.  0 or -1. */
int KevCalls_Setup(PyObject *module);

#endif
