/*
 * ring_type.h - Ring: user memory that a queue writes its events to.
 */
#ifndef KEV_MOD_RING_TYPE_H
#define KEV_MOD_RING_TYPE_H

#include "mod/python.h"

#include "kev/kevent.h"
#include "mod/state.h"

typedef struct {
    PyObject_HEAD
    struct kevent_ring *memory;
    unsigned num;            /* entries, fixed at birth */
    int is_attached;         /* to one queue at most */
    Py_buffer view;          /* whose memory it is; obj NULL if our own */
} RingObject;

/*
 * The ring that object is, or that can be made over the writable buffer that
 * object is: a new reference, NULL with an exception.
 */
RingObject *KevRing_From(ModState *state, PyObject *object);

/* Mark the ring as attached (1) or not (0).  What it was before: of two that
   would attach it, one sees 0. */
static inline int
KevRing_SetAttached(RingObject *ring, int is_attached)
{
    return __atomic_exchange_n(&ring->is_attached, is_attached,
                               __ATOMIC_ACQ_REL);
}

int KevRing_Setup(PyObject *module, ModState *state);

#endif
