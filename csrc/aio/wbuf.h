/*
 * wbuf.h - what a transport has not sent yet.
 *
 * A ring of bytes objects and how much of the first is already gone.  Two
 * have room in the struct itself: what a callback writes and the loop sends
 * when it returns needs no memory.
 */
#ifndef KEV_AIO_WBUF_H
#define KEV_AIO_WBUF_H

#include "mod/python.h"

#include <sys/uio.h>

#define WBUF_FEW 2u

struct wbuf {
    PyObject **items;      // strong, bytes objects; NULL: they are in few
    PyObject *few[WBUF_FEW];
    uint32_t head;
    uint32_t count;
    uint32_t capacity;     /* of items: a power of two, or 0 */
    size_t offset;         /* bytes of the first that were sent */
    size_t size;           /* bytes still to send */
};

/* Appends a bytes object, of which the first `skip` bytes were sent (only
   when the buffer is empty).  Takes a new reference.  0 or -1. */
int KevWbuf_Push(struct wbuf *self, PyObject *bytes, size_t skip);

/* Fills iov with what comes first; returns how many entries. */
size_t KevWbuf_Peek(const struct wbuf *self, struct iovec *iov, size_t max);

/* size bytes were sent. */
void KevWbuf_Advance(struct wbuf *self, size_t size);

/* Lets go of what was appended after there were `count` objects. */
void KevWbuf_Truncate(struct wbuf *self, uint32_t count);

/* Lets go of everything. */
void KevWbuf_Clear(struct wbuf *self);

#endif
