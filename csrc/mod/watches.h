/*
 * watches.h - what a selector watches: an array indexed by descriptor, which
 * remembers in what order they came, as a dict would.
 */
#ifndef KEV_MOD_WATCHES_H
#define KEV_MOD_WATCHES_H

#include "mod/python.h"

#include <stdint.h>

struct watch {
    PyObject *key;      /* strong SelectorKey; NULL: not watched */
    PyObject *told;     /* strong (key, mask) of the last select; or NULL */
    uint32_t events;    /* EVENT_READ | EVENT_WRITE */
    uint32_t told_mask;
    uint32_t serial;    /* tells this watch from an earlier one of the fd */
    uint32_t round;     /* the select that saw it last */
    int next;           /* descriptors watched after and before it, or -1 */
    int previous;
};

struct watches {
    struct watch *by_fd;
    int size;
    int count;
    int first;
    int last;
    uint32_t serial;    /* of the newest watch */
};

void watches_init(struct watches *watches);

/* Room for fd, so that watches_add() cannot fail.  0 or -1, nothing set.
   Moves the array. */
int watches_reserve(struct watches *watches, int fd);

/* The watch of fd, NULL if there is none.  Valid until Python runs. */
static inline struct watch *
watches_get(const struct watches *watches, long fd)
{
    if (fd < 0 || fd >= watches->size || watches->by_fd[fd].key == NULL) {
        return NULL;
    }
    return &watches->by_fd[fd];
}

/* Adds fd at the end; steals key.  Room was reserved, fd is not watched. */
void watches_add(struct watches *watches, int fd, PyObject *key,
                 uint32_t events);

/* Takes fd out and returns its key, which the caller owns from now on. */
PyObject *watches_take(struct watches *watches, int fd);

/* Another key for a watched fd; steals key. */
void watches_rekey(struct watches *watches, int fd, PyObject *key,
                   uint32_t events);

/* The watched fd whose key names fileobj (by identity), or -1. */
int watches_find(const struct watches *watches, PyObject *fileobj);

/* Forgets everything and frees the memory; safe against what that runs. */
void watches_clear(struct watches *watches);

int watches_traverse(const struct watches *watches, visitproc visit,
                     void *arg);

#endif
