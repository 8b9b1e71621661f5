/*
 * rbuf.c - the receive buffer of a StreamReader.
 */
#include "aio/rbuf.h"

#include <string.h>

#define LEAST_CAPACITY 4096
#define WANTED_TRUSTED (1024 * 1024)
#define LEAST_RESERVED (16 * 1024)

void
KevRbuf_Clear(struct rbuf *self)
{
    self->start = 0;
    self->end = 0;
    self->shared = 0;
    self->ours = 0;
    Py_CLEAR(self->store);
}

/* ---- in ------------------------------------------------------------- */

/* Whether memory is worth spending on what is wanted while there are `size`
   bytes; otherwise it is a boast. */
static inline int
is_trusted(Py_ssize_t size, Py_ssize_t wanted)
{
    return wanted <= WANTED_TRUSTED || wanted / 4 <= size;
}

/* Room for what may come when there are `size` bytes: geometric growth, but
   exactly as much as is wanted. */
static Py_ssize_t
capacity_for(Py_ssize_t size, Py_ssize_t wanted)
{
    if (wanted >= size && is_trusted(size, wanted)) {
        return wanted;
    }
    Py_ssize_t most = PY_SSIZE_T_MAX / 4;
    Py_ssize_t capacity = size < most ? size + size / 2 : size;
    return capacity < LEAST_CAPACITY ? LEAST_CAPACITY : capacity;
}

/* Moves what is there to the front of a new object of that size. */
static int
grow(struct rbuf *self, Py_ssize_t capacity)
{
    PyObject *grown = PyBytes_FromStringAndSize(NULL, capacity);
    if (grown == NULL) {
        return -1;
    }
    Py_ssize_t have = self->end - self->start;
    if (have > 0) {
        memcpy(PyBytes_AS_STRING(grown), KevRbuf_Data(self), (size_t)have);
    }
    Py_XSETREF(self->store, grown);
    self->start = 0;
    self->end = have;
    self->ours = 1;
    return 0;
}

/* Puts bytes behind what is there. */
static int
append_bytes(struct rbuf *self, const char *bytes, Py_ssize_t size,
             Py_ssize_t wanted)
{
    Py_ssize_t have = self->end - self->start;
    if (size > PY_SSIZE_T_MAX / 2 - have) {
        PyErr_NoMemory();
        return -1;
    }
    if (self->ours
        && PyBytes_GET_SIZE(self->store) - self->end >= size) {
        memcpy(PyBytes_AS_STRING(self->store) + self->end, bytes,
               (size_t)size);
        self->end += size;
        return 0;
    }
    if (self->ours && self->start >= have
        && PyBytes_GET_SIZE(self->store) - have >= size) {
        /* Half of it or more has been read: move the rest to the front. */
        char *front = PyBytes_AS_STRING(self->store);
        memcpy(front, front + self->start, (size_t)have);
        memcpy(front + have, bytes, (size_t)size);
        self->start = 0;
        self->end = have + size;
        return 0;
    }
    if (grow(self, capacity_for(have + size, wanted)) < 0) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(self->store) + have, bytes, (size_t)size);
    self->end = have + size;
    return 0;
}

/* What is no buffer: bytearray.extend() knows what to make of it. */
static int
append_iterable(struct rbuf *self, PyObject *data, Py_ssize_t wanted)
{
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, 0);
    if (bytes == NULL) {
        return -1;
    }
    PyObject *res = PyObject_CallMethod(bytes, "extend", "O", data);
    int r = res == NULL ? -1 : KevRbuf_Append(self, bytes, wanted);
    Py_XDECREF(res);
    Py_DECREF(bytes);
    return r;
}

/* The bytearray: its own method, which also sees that it may not be resized
   while somebody looks into it. */
static int
append_shared(struct rbuf *self, PyObject *data)
{
    /* Held: what is asked for its items may put another one here. */
    PyObject *store = Py_NewRef(self->store);
    PyObject *res = PyObject_CallMethod(store, "extend", "O", data);
    Py_DECREF(store);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* Is the bytearray still the buffer?  An empty one that nobody else has is
   let go. */
static int
is_still_shared(struct rbuf *self)
{
    if (!self->shared) {
        return 0;
    }
    if (PyByteArray_GET_SIZE(self->store) > 0
        || Py_REFCNT(self->store) > 1) {
        return 1;
    }
    KevRbuf_Clear(self);
    return 0;
}

int
KevRbuf_Append(struct rbuf *self, PyObject *data, Py_ssize_t wanted)
{
    if (is_still_shared(self)) {
        return append_shared(self, data);
    }
    if (PyBytes_CheckExact(data)) {
        Py_ssize_t size = PyBytes_GET_SIZE(data);
        if (self->end == self->start && (wanted <= size || size == 0)) {
            Py_XSETREF(self->store, Py_NewRef(data));
            self->start = 0;
            self->end = size;
            self->ours = 0;
            return 0;
        }
        return append_bytes(self, PyBytes_AS_STRING(data), size, wanted);
    }
    if (!PyObject_CheckBuffer(data)) {
        return append_iterable(self, data, wanted);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int r = 0;
    if (self->shared) {
        /* Asking for the buffer ran somebody who took ours. */
        PyObject *bytes = PyBytes_FromStringAndSize(view.buf, view.len);
        r = bytes == NULL ? -1 : append_shared(self, bytes);
        Py_XDECREF(bytes);
    }
    else if (view.len > 0) {
        r = append_bytes(self, view.buf, view.len, wanted);
    }
    PyBuffer_Release(&view);
    return r;
}

int
KevRbuf_AppendBytes(struct rbuf *self, const char *bytes, Py_ssize_t size,
                    Py_ssize_t wanted)
{
    if (is_still_shared(self)
        || (self->end == self->start && wanted <= size)) {
        PyObject *data = PyBytes_FromStringAndSize(bytes, size);
        int r = data == NULL ? -1 : KevRbuf_Append(self, data, wanted);
        Py_XDECREF(data);
        return r;
    }
    return append_bytes(self, bytes, size, wanted);
}

char *
KevRbuf_Reserve(struct rbuf *self, Py_ssize_t wanted, Py_ssize_t *ret_room)
{
    if (is_still_shared(self)) {
        return NULL;
    }
    Py_ssize_t have = self->end - self->start;
    if (wanted - have < LEAST_RESERVED || !is_trusted(have, wanted)) {
        return NULL;
    }
    if ((!self->ours
         || PyBytes_GET_SIZE(self->store) - self->start < wanted)
        && grow(self, wanted) < 0) {
        PyErr_Clear();  /* it may do with less */
        return NULL;
    }
    *ret_room = PyBytes_GET_SIZE(self->store) - self->end;
    return PyBytes_AS_STRING(self->store) + self->end;
}

void
KevRbuf_Commit(struct rbuf *self, Py_ssize_t size)
{
    self->end += size;
    if (self->end == self->start) {
        KevRbuf_Clear(self);
    }
}

/* ---- out ------------------------------------------------------------ */

static void
advance(struct rbuf *self, Py_ssize_t size)
{
    self->start += size;
    if (self->start == self->end) {
        KevRbuf_Clear(self);  /* an idle reader holds no memory */
    }
}

int
KevRbuf_Drop(struct rbuf *self, Py_ssize_t size)
{
    if (size == 0) {
        return 0;
    }
    if (self->shared) {
        return PySequence_DelSlice(self->store, 0, size);
    }
    advance(self, size);
    return 0;
}

PyObject *
KevRbuf_Take(struct rbuf *self, Py_ssize_t size)
{
    if (!self->shared && self->start == 0 && size == self->end
        && self->store != NULL && PyBytes_GET_SIZE(self->store) == size) {
        PyObject *whole = self->store;
        self->store = NULL;
        KevRbuf_Clear(self);
        return whole;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(KevRbuf_Data(self), size);
    if (bytes != NULL && KevRbuf_Drop(self, size) < 0) {
        Py_CLEAR(bytes);
    }
    return bytes;
}

/* ---- for those who look inside -------------------------------------- */

PyObject *
KevRbuf_Share(struct rbuf *self)
{
    if (!self->shared) {
        PyObject *array = PyByteArray_FromStringAndSize(
            KevRbuf_Data(self), KevRbuf_Size(self));
        if (array == NULL) {
            return NULL;
        }
        KevRbuf_Clear(self);
        self->store = array;
        self->shared = 1;
    }
    return Py_NewRef(self->store);
}

int
KevRbuf_Set(struct rbuf *self, PyObject *contents)
{
    if (PyByteArray_CheckExact(contents)) {
        Py_INCREF(contents);
        KevRbuf_Clear(self);
        self->store = contents;
        self->shared = 1;
        return 0;
    }
    PyObject *bytes = PyBytes_FromObject(contents);
    if (bytes == NULL) {
        return -1;
    }
    KevRbuf_Clear(self);
    int r = KevRbuf_Append(self, bytes, 0);
    Py_DECREF(bytes);
    return r;
}
