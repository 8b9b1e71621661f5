/*
 * rbuf.h - what a StreamReader has received and nobody has read yet.
 *
 * A window on a bytes object.  What comes into an empty buffer is kept as it
 * came, and what is asked for as a whole is given as it is: such data is not
 * copied.  Only data that meets unread data is put behind it, in a bytes
 * object of our own with room at its end.
 *
 * Somebody may ask for reader._buffer, which is a bytearray that he may
 * change: from then on that bytearray is the buffer, until it is empty and
 * nobody else has it.
 */
#ifndef KEV_AIO_RBUF_H
#define KEV_AIO_RBUF_H

#include "mod/python.h"

struct rbuf {
    PyObject *store;     // strong: bytes, or the bytearray; NULL: empty
    Py_ssize_t start;    /* the window, of bytes */
    Py_ssize_t end;
    char shared;         /* store is a bytearray */
    char ours;           /* store is bytes with no other owner: it can grow */
};

static inline Py_ssize_t
KevRbuf_Size(const struct rbuf *self)
{
    return self->shared ? PyByteArray_GET_SIZE(self->store)
                        : self->end - self->start;
}

/* Borrowed, until the next call that changes the buffer. */
static inline const char *
KevRbuf_Data(const struct rbuf *self)
{
    if (self->store == NULL) {
        return "";
    }
    return self->shared ? PyByteArray_AS_STRING(self->store)
                        : PyBytes_AS_STRING(self->store) + self->start;
}

/* Appends any bytes-like object, or iterable of numbers.  `wanted` is how
   many bytes somebody waits for, 0 if that is not known.  0 or -1. */
int KevRbuf_Append(struct rbuf *self, PyObject *data, Py_ssize_t wanted);

/* The same of bytes in memory. */
int KevRbuf_AppendBytes(struct rbuf *self, const char *bytes,
                        Py_ssize_t size, Py_ssize_t wanted);

/* Where what is wanted can be put behind what is there without a copy later:
   *ret_room bytes, valid until the next call; NULL if it is not worth it.
   KevRbuf_Commit() must follow: so many bytes (or 0) have been put there. */
char *KevRbuf_Reserve(struct rbuf *self, Py_ssize_t wanted,
                      Py_ssize_t *ret_room);
void KevRbuf_Commit(struct rbuf *self, Py_ssize_t size);

/* The first `size` bytes (there must be as many), which leave the buffer; a
   new reference or NULL, then nothing has changed. */
PyObject *KevRbuf_Take(struct rbuf *self, Py_ssize_t size);

/* The same without making an object.  0 or -1. */
int KevRbuf_Drop(struct rbuf *self, Py_ssize_t size);

/* The bytearray that is the buffer from now on: a new reference or NULL. */
PyObject *KevRbuf_Share(struct rbuf *self);

/* Replaces the contents: a bytearray becomes the buffer, of anything else
   the bytes are taken.  0 or -1. */
int KevRbuf_Set(struct rbuf *self, PyObject *contents);

void KevRbuf_Clear(struct rbuf *self);

#endif
