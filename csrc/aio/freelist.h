/*
 * freelist.h - the memory of dead objects of one type, kept for the next ones
 * (off under free threading, where threads would share it, and under
 * sanitizers, which would not see who uses it too late).
 *
 * An object must have nothing left in it and be untracked to be kept, and its
 * module must be there to let go of it one day; whoever takes it sets all of
 * its fields anew.
 */
#ifndef KEV_AIO_FREELIST_H
#define KEV_AIO_FREELIST_H

#include "mod/python.h"

#if defined(Py_GIL_DISABLED) || defined(KEV_NO_FREELIST)
#define KEV_FREELIST_MAX 0
#else
#define KEV_FREELIST_MAX 256
#endif

/* What stands in dead memory, behind the object's head. */
struct kev_dead {
    PyObject_HEAD
    struct kev_dead *next;
};

struct kev_freelist {
    struct kev_dead *first;
    unsigned count;
};

/* A new object of that type, untracked, or NULL without an exception: make
   one. */
static inline void *
KevFreelist_Take(struct kev_freelist *list, PyObject *type)
{
    struct kev_dead *dead = list->first;
    if (dead == NULL) {
        return NULL;
    }
    list->first = dead->next;
    list->count--;
    return PyObject_Init((PyObject *)dead, (PyTypeObject *)type);
}

/* 1, or 0 if it must be freed. */
static inline int
KevFreelist_Keep(struct kev_freelist *list, PyObject *op)
{
    if (KEV_FREELIST_MAX == 0 || list->count == KEV_FREELIST_MAX) {
        return 0;
    }
    struct kev_dead *dead = (struct kev_dead *)op;
    dead->next = list->first;
    list->first = dead;
    list->count++;
    return 1;
}

static inline void
KevFreelist_Clear(struct kev_freelist *list)
{
    while (list->first != NULL) {
        struct kev_dead *dead = list->first;
        list->first = dead->next;
        PyObject_GC_Del(dead);
    }
    list->count = 0;
}

#endif
