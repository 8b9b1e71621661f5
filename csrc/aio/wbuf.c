/*
 * wbuf.c - the send buffer of a transport.
 */
#include "aio/wbuf.h"

static inline PyObject *const *
slots(const struct wbuf *self)
{
    return self->items != NULL ? self->items : self->few;
}

static inline uint32_t
mask(const struct wbuf *self)
{
    return (self->items != NULL ? self->capacity : WBUF_FEW) - 1;
}

static int
grow(struct wbuf *self)
{
    uint32_t capacity = (mask(self) + 1) * 4;
    PyObject **items = capacity == 0 ? NULL  /* 2**32 pieces */
        : PyMem_Malloc((size_t)capacity * sizeof(*items));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        items[i] = slots(self)[(self->head + i) & mask(self)];
    }
    PyMem_Free(self->items);
    self->items = items;
    self->capacity = capacity;
    self->head = 0;
    return 0;
}

int
KevWbuf_Push(struct wbuf *self, PyObject *bytes, size_t skip)
{
    if (self->count > mask(self) && grow(self) < 0) {
        return -1;
    }
    PyObject **items = self->items != NULL ? self->items : self->few;
    items[(self->head + self->count) & mask(self)] = Py_NewRef(bytes);
    if (self->count == 0) {
        self->offset = skip;
    }
    self->count++;
    self->size += (size_t)PyBytes_GET_SIZE(bytes) - skip;
    return 0;
}

size_t
KevWbuf_Peek(const struct wbuf *self, struct iovec *iov, size_t max)
{
    size_t count = self->count < max ? self->count : max;
    size_t offset = self->offset;
    for (size_t i = 0; i < count; i++) {
        PyObject *bytes = slots(self)[(self->head + i) & mask(self)];
        iov[i].iov_base = PyBytes_AS_STRING(bytes) + offset;
        iov[i].iov_len = (size_t)PyBytes_GET_SIZE(bytes) - offset;
        offset = 0;
    }
    return count;
}

void
KevWbuf_Advance(struct wbuf *self, size_t size)
{
    self->size -= size;
    size += self->offset;
    while (self->count > 0) {
        PyObject *bytes = slots(self)[self->head & mask(self)];
        size_t length = (size_t)PyBytes_GET_SIZE(bytes);
        if (size < length) {
            break;
        }
        size -= length;
        self->head = (self->head + 1) & mask(self);
        self->count--;
        Py_DECREF(bytes);
    }
    self->offset = size;
    if (self->count == 0 && self->items != NULL) {
        KevWbuf_Clear(self);
    }
}

void
KevWbuf_Truncate(struct wbuf *self, uint32_t count)
{
    while (self->count > count) {
        self->count--;
        PyObject *bytes = slots(self)[(self->head + self->count)
                                      & mask(self)];
        self->size -= (size_t)PyBytes_GET_SIZE(bytes)
            - (self->count == 0 ? self->offset : 0);
        Py_DECREF(bytes);
    }
}

void
KevWbuf_Clear(struct wbuf *self)
{
    struct wbuf old = *self;
    self->items = NULL;
    self->head = 0;
    self->count = 0;
    self->capacity = 0;
    self->offset = 0;
    self->size = 0;
    for (uint32_t i = 0; i < old.count; i++) {
        Py_DECREF(slots(&old)[(old.head + i) & mask(&old)]);
    }
    PyMem_Free(old.items);
}
