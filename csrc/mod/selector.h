/*
 * selector.h - the C half of kevent.KeventSelector.
 */
#ifndef KEV_MOD_SELECTOR_H
#define KEV_MOD_SELECTOR_H

#include "mod/descriptor.h"
#include "mod/state.h"
#include "mod/watches.h"

/* The numbers of the stdlib's selectors. */
#define EVENT_READ 1u
#define EVENT_WRITE 2u

typedef struct {
    PyObject_HEAD
    ModState *state;              /* borrowed from the module */
    PyObject *module;             /* strong: a cycle's breaking takes it from
                                     the type */
    struct face_queue *queue;     /* owned; NULL once closed */
    struct watches watches;
    struct ukevent *records;      /* what select() fetches to, kept */
    unsigned records_size;
    int records_busy;             /* a select() in another thread has them */
    int selecting;                /* threads in select() */
    uint32_t round;               /* counts the calls of select() */
    PyObject *map;                /* strong; what get_map() returns */
} SelectorObject;

/*
 * The descriptor that fileobj is or has, also if it was closed since it was
 * registered.  -1 with an exception (ValueError in general).
 */
long KevSelector_Lookup(SelectorObject *self, PyObject *fileobj);

/* Sets KeyError("<fileobj> is not registered"); returns NULL. */
PyObject *KevSelector_NotRegistered(PyObject *fileobj);

/* Enter the queue for a call (KevFd_Leave ends it), or raise what a closed
   epoll object raises: NULL. */
struct face_queue *KevSelector_Enter(SelectorObject *self);

/* select(), with the selector's lock: a new list, or NULL. */
PyObject *KevSelector_SelectLocked(SelectorObject *self, PyObject *timeout);

int KevSelector_Setup(PyObject *module, ModState *state);

/* Adds _core.SelectorMap, what get_map() returns. */
int KevSelectorMap_Setup(PyObject *module, ModState *state);

/* A new map of the selector: of the type that its class names. */
PyObject *KevSelectorMap_New(SelectorObject *selector);

#endif
