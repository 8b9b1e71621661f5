/*
 * descriptor.h - from a descriptor to its queue, and the queue's life.
 *
 * A queue has one name (its descriptor) and any number of users: calls in
 * flight, and the object that keeps a pointer to it.  Taking the name away
 * closes it, which wakes who sleeps in it; the last user frees the memory.
 */
#ifndef KEV_MOD_DESCRIPTOR_H
#define KEV_MOD_DESCRIPTOR_H

#include "mod/python.h"

#include "kev/kevent.h"
#include "mod/ring_type.h"
#include "mod/state.h"

struct face_queue {
    ModState *state;         /* borrowed; outlives every user */
    struct kev_queue *core;  /* a reference of ours; open or closed */
    RingObject *ring;        /* strong; NULL if none is attached */
#ifdef Py_GIL_DISABLED
    PyMutex ring_lock;       /* held while another ring is attached */
#endif
    int fd;
    int is_closed;           /* see KEV_PEEK */
    unsigned users;          /* 1 for the name, 1 for each user */
    uint64_t waits;          /* statistics: calls that fetched, */
    uint64_t events;         /* what they fetched, */
    uint64_t changes;        /* and elements that ctl handled */
};

/* A new queue, found by its descriptor from now on, and so maybe closed by
   somebody at once: the caller is a user of it.  NULL with OSError. */
struct face_queue *KevFd_Open(ModState *state, const char *call);

/*
 * Enter a call on the queue, by descriptor (an int or an object with
 * fileno()) or by the place where an object keeps it (NULL there: closed).
 * NULL with an exception if there is no such queue, it was closed, or it is a
 * parent process's.  Each enter is followed by one leave.
 */
struct face_queue *KevFd_EnterFd(ModState *state, const char *call,
                                 PyObject *descriptor);
struct face_queue *KevFd_Enter(ModState *state, const char *call,
                               struct face_queue *const *place);
void KevFd_Leave(ModState *state, struct face_queue *queue);

/* Take the name away; the pointer is dead afterwards.  Never fails. */
void KevFd_Close(ModState *state, struct face_queue *queue);

/* The same by descriptor: 0, or -1 with OSError if there is no such queue. */
int KevFd_CloseFd(ModState *state, const char *call, PyObject *descriptor);

/*
 * An object that keeps the pointer is a user of the queue: the memory outlives
 * a close by descriptor.  Disown empties the place, closes what was there, if
 * nobody did, and forgets it.
 */
void KevFd_Disown(ModState *state, struct face_queue **place);

/* The ring that is attached: a new reference, or NULL. */
RingObject *KevFd_Ring(ModState *state, const struct face_queue *queue);

/* Does the queue belong to this process, or was it copied by fork()? */
int KevFd_IsOurs(const struct face_queue *queue);

/* Close what is left and free the table. */
void KevFd_Teardown(ModState *state);

#endif
