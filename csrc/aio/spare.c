/*
 * spare.c - bytes objects that are used again.
 */
#include "aio/spare.h"

#if defined(Py_GIL_DISABLED) || defined(KEV_NO_FREELIST)
#define MAY_KEEP(bytes) 0
#else
#define MAY_KEEP(bytes) (Py_REFCNT(bytes) == 1)
#endif

/* Which of the two: by room, so that an object comes back to where it came
   from. */
static struct spare_bytes *
spare_of(struct spares *self, Py_ssize_t room)
{
    return room < SPARE_LARGE ? &self->small : &self->large;
}

/* A size a little off the last one's finds room, and what a program keeps
   wastes no more than that. */
static Py_ssize_t
room_for(Py_ssize_t size)
{
    Py_ssize_t step = size < SPARE_LARGE ? SPARE_STEP : 512;
    return (size + step - 1) / step * step;
}

/* Is there room for size in it, and not much more? */
static inline int
suits(const struct spare_bytes *spare, Py_ssize_t size)
{
    return size <= spare->room && spare->room - size <= spare->room / 8
        && spare->object != NULL;
}

PyObject *
KevSpare_Take(struct spares *self, Py_ssize_t size, Py_ssize_t *ret_room)
{
    Py_ssize_t room = room_for(size);
    struct spare_bytes *spare = spare_of(self, room);
    if (suits(spare, size)) {
        PyObject *bytes = spare->object;
        spare->object = NULL;
        *ret_room = spare->room;
        return bytes;
    }
    *ret_room = room;
    return PyBytes_FromStringAndSize(NULL, room);
}

void
KevSpare_SetSize(PyObject *bytes, Py_ssize_t size)
{
    Py_SET_SIZE(bytes, size);
    PyBytes_AS_STRING(bytes)[size] = '\0';
    /* The hash of what it held before. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    ((PyBytesObject *)bytes)->ob_shash = -1;
#pragma GCC diagnostic pop
}

void
KevSpare_Return(struct spares *self, PyObject *bytes, Py_ssize_t room)
{
    if (!MAY_KEEP(bytes)) {
        Py_DECREF(bytes);
        return;
    }
    struct spare_bytes *spare = spare_of(self, room);
    PyObject *old = spare->object;
    spare->object = bytes;
    spare->room = room;
    Py_XDECREF(old);
}

PyObject *
KevSpare_Lend(struct spares *self, Py_ssize_t size, Py_ssize_t *ret_room)
{
    struct spare_bytes *spare = &self->lent[self->next];
    self->next = (self->next + 1) % SPARES_LENT;
    if (suits(spare, size) && MAY_KEEP(spare->object)) {
        *ret_room = spare->room;
        return Py_NewRef(spare->object);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, room_for(size));
    if (bytes == NULL) {
        return NULL;
    }
    *ret_room = room_for(size);
    if (MAY_KEEP(bytes)) {
        spare->room = *ret_room;
        Py_XSETREF(spare->object, Py_NewRef(bytes));
    }
    return bytes;
}

void
KevSpare_Clear(struct spares *self)
{
    for (int i = 0; i < SPARES_LENT; i++) {
        Py_CLEAR(self->lent[i].object);
    }
    Py_CLEAR(self->small.object);
    Py_CLEAR(self->large.object);
}
