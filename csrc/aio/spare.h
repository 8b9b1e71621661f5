/*
 * spare.h - the bytes objects that a loop receives into.
 *
 * The object that data_received() was called with comes back.  If by then
 * nobody else has it, no program can ever see it again, and it serves for the
 * next message of about its size: no allocation (which for 1 KiB just misses
 * the fast path of glibc), and large messages are received where the program
 * reads them, in memory that is in the cache.  If anybody has kept it, it is
 * his, and a new one is made.
 *
 * Without the GIL nobody can say that nobody else has it: then, and in builds
 * for sanitizers, every message is a new object.
 */
#ifndef KEV_AIO_SPARE_H
#define KEV_AIO_SPARE_H

#include "mod/python.h"

/* Below this Python's own allocator is as fast. */
#define SPARE_SMALLEST 480
#define SPARE_LARGE (16 * 1024)

struct spare_bytes {
    PyObject *object;     // strong: bytes with no other owner, or NULL
    Py_ssize_t room;      /* how many bytes fit in */
};

/* One for messages, one for large ones. */
struct spares {
    struct spare_bytes small;
    struct spare_bytes large;
};

/* A bytes object with room for `size` bytes or a little more, its contents
   undefined, its size to be set by KevSpare_SetSize(): a new reference with
   *ret_room, or NULL. */
PyObject *KevSpare_Take(struct spares *self, Py_ssize_t size,
                        Py_ssize_t *ret_room);

/* Nobody but the caller may have it, and size must not exceed its room. */
void KevSpare_SetSize(PyObject *bytes, Py_ssize_t size);

/* It comes back: steals the reference. */
void KevSpare_Return(struct spares *self, PyObject *bytes, Py_ssize_t room);

void KevSpare_Clear(struct spares *self);

#endif
