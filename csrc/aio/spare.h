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
 * What a reader of kevent.streams receives stays with the program for longer,
 * until its next line has come: such objects are lent.  The last few are
 * remembered, and the oldest serves again if nobody else has it by then.
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
#define SPARE_STEP 64

struct spare_bytes {
    PyObject *object;     // strong: bytes, nobody else's unless lent; NULL
    Py_ssize_t room;      /* how many bytes fit in */
};

#define SPARES_LENT 32
#define SPARE_LARGEST_LENT (8 * 1024)

/* One for messages, one for large ones; those that were lent, in turn. */
struct spares {
    struct spare_bytes small;
    struct spare_bytes large;
    struct spare_bytes lent[SPARES_LENT];
    unsigned next;
};

/* A bytes object with room for `size` bytes or a little more, its contents
   undefined, its size to be set by KevSpare_SetSize(): a new reference with
   *ret_room, or NULL. */
PyObject *KevSpare_Take(struct spares *self, Py_ssize_t size,
                        Py_ssize_t *ret_room);

/* Nobody but the caller may use it, and size must not exceed its room. */
void KevSpare_SetSize(PyObject *bytes, Py_ssize_t size);

/* It comes back: steals the reference. */
void KevSpare_Return(struct spares *self, PyObject *bytes, Py_ssize_t room);

/* A bytes object that is not given back: as KevSpare_Take(), of up to
   SPARE_LARGEST_LENT. */
PyObject *KevSpare_Lend(struct spares *self, Py_ssize_t size,
                        Py_ssize_t *ret_room);

void KevSpare_Clear(struct spares *self);

#endif
