/*
 * watches.c - what a selector watches, indexed by descriptor.
 */
#include "mod/watches.h"

#include <string.h>

#define WATCHES_SIZE_MIN 32

void
watches_init(struct watches *watches)
{
    *watches = (struct watches){.first = -1, .last = -1};
}

int
watches_reserve(struct watches *watches, int fd)
{
    if (fd < watches->size) {
        return 0;
    }
    int size = fd < WATCHES_SIZE_MIN ? WATCHES_SIZE_MIN
        : fd > INT_MAX / 2 ? INT_MAX : fd + fd / 2 + 1;
    struct watch *by_fd = PyMem_Realloc(
        watches->by_fd, (size_t)size * sizeof(*by_fd));
    if (by_fd == NULL) {
        return -1;
    }
    memset(by_fd + watches->size, 0,
           (size_t)(size - watches->size) * sizeof(*by_fd));
    watches->by_fd = by_fd;
    watches->size = size;
    return 0;
}

void
watches_add(struct watches *watches, int fd, PyObject *key, uint32_t events)
{
    watches->by_fd[fd] = (struct watch){
        .key = key,
        .events = events,
        .serial = ++watches->serial,
        .next = -1,
        .previous = watches->last,
    };
    if (watches->last >= 0) {
        watches->by_fd[watches->last].next = fd;
    }
    else {
        watches->first = fd;
    }
    watches->last = fd;
    watches->count++;
}

PyObject *
watches_take(struct watches *watches, int fd)
{
    struct watch watch = watches->by_fd[fd];
    watches->by_fd[fd] = (struct watch){.key = NULL};
    if (watch.previous >= 0) {
        watches->by_fd[watch.previous].next = watch.next;
    }
    else {
        watches->first = watch.next;
    }
    if (watch.next >= 0) {
        watches->by_fd[watch.next].previous = watch.previous;
    }
    else {
        watches->last = watch.previous;
    }
    watches->count--;
    Py_XDECREF(watch.told);   /* runs nothing: we still have its key */
    return watch.key;
}

void
watches_rekey(struct watches *watches, int fd, PyObject *key, uint32_t events)
{
    struct watch *watch = &watches->by_fd[fd];
    PyObject *key_before = watch->key;
    PyObject *told_before = watch->told;
    watch->key = key;
    watch->told = NULL;
    watch->events = events;
    Py_XDECREF(told_before);
    Py_DECREF(key_before);   /* may run anything: nothing is touched after */
}

int
watches_find(const struct watches *watches, PyObject *fileobj)
{
    for (int fd = watches->first; fd >= 0; fd = watches->by_fd[fd].next) {
        /* A SelectorKey is a tuple whose first item is the file object. */
        if (PyTuple_GET_ITEM(watches->by_fd[fd].key, 0) == fileobj) {
            return fd;
        }
    }
    return -1;
}

void
watches_clear(struct watches *watches)
{
    struct watches before = *watches;
    uint32_t serial = watches->serial;
    watches_init(watches);
    watches->serial = serial;
    for (int fd = before.first; fd >= 0; fd = before.by_fd[fd].next) {
        Py_XDECREF(before.by_fd[fd].told);
        Py_DECREF(before.by_fd[fd].key);
    }
    PyMem_Free(before.by_fd);
}

int
watches_traverse(const struct watches *watches, visitproc visit, void *arg)
{
    for (int fd = watches->first; fd >= 0; fd = watches->by_fd[fd].next) {
        Py_VISIT(watches->by_fd[fd].key);
        Py_VISIT(watches->by_fd[fd].told);
    }
    return 0;
}
