/*
 * wbuf.c - the send buffer of a transport.
 */
#include "aio/wbuf.h"

int
KevWbuf_Push(struct wbuf *self, PyObject *bytes, size_t skip)
{
    if (self->count == self->capacity) {
        uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 4;
        PyObject **items = PyMem_Malloc((size_t)capacity
                                        * sizeof(*items));
        if (items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        for (uint32_t i = 0; i < self->count; i++) {
            items[i] = self->items[(self->head + i) & (self->capacity - 1)];
        }
        PyMem_Free(self->items);
        self->items = items;
        self->capacity = capacity;
        self->head = 0;
    }
    uint32_t last = (self->head + self->count) & (self->capacity - 1);
    self->items[last] = Py_NewRef(bytes);
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
        PyObject *bytes =
            self->items[(self->head + i) & (self->capacity - 1)];
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
        PyObject *bytes = self->items[self->head];
        size_t length = (size_t)PyBytes_GET_SIZE(bytes);
        if (size < length) {
            break;
        }
        size -= length;
        self->head = (self->head + 1) & (self->capacity - 1);
        self->count--;
        Py_DECREF(bytes);
    }
    self->offset = size;
    if (self->count == 0) {
        KevWbuf_Clear(self);
    }
}

void
KevWbuf_Clear(struct wbuf *self)
{
    PyObject **items = self->items;
    uint32_t head = self->head;
    uint32_t count = self->count;
    uint32_t mask = self->capacity - 1;
    self->items = NULL;
    self->head = 0;
    self->count = 0;
    self->capacity = 0;
    self->offset = 0;
    self->size = 0;
    for (uint32_t i = 0; i < count; i++) {
        Py_DECREF(items[(head + i) & mask]);
    }
    PyMem_Free(items);
}
