/*
 * ukevent.h - the 40-byte record as a Python object.
 */
#ifndef KEV_MOD_UKEVENT_H
#define KEV_MOD_UKEVENT_H

#include "mod/python.h"

#include "kev/kevent.h"
#include "mod/state.h"

typedef struct {
    PyObject_HEAD
    struct ukevent event;
} UkeventObject;

/* A new ukevent with a copy of the record. */
PyObject *KevUkevent_New(ModState *state, const struct ukevent *event);

/* A new list of ukevents, copies of events[0 .. count). */
PyObject *KevUkevent_List(ModState *state, const struct ukevent *events,
                          Py_ssize_t count);

/* The record inside, borrowed; NULL with TypeError if it is no ukevent. */
struct ukevent *KevUkevent_Get(ModState *state, PyObject *object);

/*
 * Fills a record from the five things that a person names; only id and type
 * are required, the others may be NULL or None.  0 or -1 with an exception.
 */
int KevUkevent_Fill(const char *call, PyObject *const fields[5],
                    uint32_t req_flags, struct ukevent *ret_event);

int KevUkevent_Setup(PyObject *module, ModState *state);

#endif
