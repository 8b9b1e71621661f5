/*
 * ring_type.c - Ring: user memory that a queue writes its events to.
 *
 * The memory is our own or that of any writable buffer, which then stays
 * exported (a bytearray cannot shrink) for the life of the Ring.  It never
 * moves, so that a queue may keep the bare pointer while it holds the Ring.
 */
#include "mod/ring_type.h"

#include <stdlib.h>
#include <string.h>

#include "mod/args.h"
#include "mod/compat.h"
#include "mod/ukevent.h"

#define RING_ALIGN_SMALL 64u     /* a cache line */
#define RING_ALIGN_LARGE 4096u   /* a page */

static RingObject *
ring_over(PyTypeObject *type, void *memory, unsigned num)
{
    RingObject *self = (RingObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->memory = memory;
        self->num = num;
    }
    return self;
}

static PyObject *
ring_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const struct arg_spec spec = {
        .call = "Ring", .names = {"num"}, .count = 1, .required = 1,
    };
    PyObject *slots[1];
    uint32_t num = 0;
    if (KevArgs_SpreadTuple(&spec, args, kwargs, slots) < 0
        || KevArgs_U32("Ring", "num", slots[0], &num) < 0)
    {
        return NULL;
    }
    if (num == 0) {
        PyErr_SetString(PyExc_ValueError, "Ring(): num must be at least 1");
        return NULL;
    }
    size_t size = KEVENT_RING_SIZE(num);
    void *memory;
    if (posix_memalign(&memory, size < RING_ALIGN_LARGE
                       ? RING_ALIGN_SMALL : RING_ALIGN_LARGE, size) != 0)
    {
        return PyErr_NoMemory();
    }
    memset(memory, 0, size);
    RingObject *self = ring_over(type, memory, num);
    if (self == NULL) {
        free(memory);
    }
    return (PyObject *)self;
}

static PyObject *
ring_from_buffer_object(PyTypeObject *type, PyObject *buffer)
{
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    size_t size = (size_t)view.len;
    RingObject *self = NULL;
    if (size < KEVENT_RING_SIZE(1)) {
        PyErr_Format(PyExc_ValueError,
                     "a ring needs a buffer of 8 + 40 * num bytes with num "
                     "at least 1, not of %zd bytes", view.len);
    }
    else if (((uintptr_t)view.buf & 7u) != 0) {
        PyErr_SetString(PyExc_ValueError,
                        "a ring's buffer must start at a multiple of 8");
    }
    else {
        size_t num = (size - KEVENT_RING_SIZE(0)) / sizeof(struct ukevent);
        self = ring_over(type, view.buf,
                         num > UINT32_MAX ? UINT32_MAX : (unsigned)num);
    }
    if (self == NULL) {
        PyBuffer_Release(&view);
        return NULL;
    }
    self->view = view;
    return (PyObject *)self;
}

static PyObject *
ring_from_buffer(PyObject *cls, PyObject *buffer)
{
    return ring_from_buffer_object((PyTypeObject *)cls, buffer);
}

RingObject *
KevRing_From(ModState *state, PyObject *object)
{
    PyTypeObject *type = (PyTypeObject *)state->ring_type;
    if (Py_IS_TYPE(object, type)) {
        return (RingObject *)Py_NewRef(object);
    }
    return (RingObject *)ring_from_buffer_object(type, object);
}

static int
ring_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    RingObject *self = (RingObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->view.obj);
    return 0;
}

/* No tp_clear: an attached ring's memory must outlive every cycle's breaking,
   and the queue that holds the ring lets go of it when it is finalized. */

static void
ring_tp_dealloc(PyObject *op)
{
    RingObject *self = (RingObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->view.obj != NULL) {
        PyBuffer_Release(&self->view);
    }
    else {
        free(self->memory);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

/* ---- behaviour -------------------------------------------------------- */

static Py_ssize_t
ring_sq_length(PyObject *op)
{
    return (Py_ssize_t)((RingObject *)op)->num;
}

static PyObject *
ring_sq_item(PyObject *op, Py_ssize_t index)
{
    RingObject *self = (RingObject *)op;
    if (index < 0 || index >= (Py_ssize_t)self->num) {
        PyErr_Format(PyExc_IndexError, "entry %zd of a ring of %u",
                     index, self->num);
        return NULL;
    }
    ModState *state = PyType_GetModuleState(Py_TYPE(op));
    return state == NULL
        ? NULL : KevUkevent_New(state, &self->memory->event[index]);
}

static int
ring_bf_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    RingObject *self = (RingObject *)op;
    return PyBuffer_FillInfo(view, op, self->memory,
                             (Py_ssize_t)KEVENT_RING_SIZE(self->num), 0,
                             flags);
}

static PyObject *
ring_tp_repr(PyObject *op)
{
    RingObject *self = (RingObject *)op;
    return PyUnicode_FromFormat(
        "<kevent.Ring of %u, kidx=%u, over=%u%s>", self->num,
        (unsigned)__atomic_load_n(&self->memory->ring_kidx, __ATOMIC_ACQUIRE),
        (unsigned)__atomic_load_n(&self->memory->ring_over, __ATOMIC_ACQUIRE),
        KEV_PEEK(self->is_attached) ? ", attached" : "");
}

/* Acquire: an entry that kidx has passed is seen whole. */
static PyObject *
ring_get_kidx(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLong(__atomic_load_n(
        &((RingObject *)op)->memory->ring_kidx, __ATOMIC_ACQUIRE));
}

static PyObject *
ring_get_over(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLong(__atomic_load_n(
        &((RingObject *)op)->memory->ring_over, __ATOMIC_ACQUIRE));
}

static PyObject *
ring_get_size(PyObject *op, void *closure)
{
    return PyLong_FromSize_t(KEVENT_RING_SIZE(((RingObject *)op)->num));
}

static PyGetSetDef ring_getset[] = {
    {"kidx", ring_get_kidx, NULL,
     "The slot that the queue fills next.", NULL},
    {"over", ring_get_over, NULL,
     "How often the consumer wrapped: the generation that commit asks for.",
     NULL},
    {"size", ring_get_size, NULL, "Bytes of the ring's memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(ring_doc,
"Ring(num)\n--\n\n"
"Memory for num events that kevent_wait() fills and you read without a call.\n"
"\n"
"len() is num, ring[i] a copy of slot i; the memory itself (kidx, over, then\n"
"40 bytes a slot) is there as a writable buffer.");

PyDoc_STRVAR(ring_from_buffer_doc,
"from_buffer($type, buffer, /)\n--\n\n"
"A ring over any writable buffer of 8 + 40 * num bytes (bytearray, mmap,\n"
"array, NumPy), which stays exported as long as the ring lives.");

static PyMethodDef ring_methods[] = {
    {"from_buffer", ring_from_buffer, METH_O | METH_CLASS,
     ring_from_buffer_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ring_slots[] = {
    {Py_tp_doc, (void *)ring_doc},
    {Py_tp_new, ring_tp_new},
    {Py_tp_traverse, ring_tp_traverse},
    {Py_tp_dealloc, ring_tp_dealloc},
    {Py_tp_repr, ring_tp_repr},
    {Py_tp_getset, ring_getset},
    {Py_tp_methods, ring_methods},
    {Py_sq_length, ring_sq_length},
    {Py_sq_item, ring_sq_item},
    {Py_bf_getbuffer, ring_bf_getbuffer},
    {0, NULL},
};

static PyType_Spec ring_spec = {
    .name = "kevent.Ring",
    .basicsize = sizeof(RingObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ring_slots,
};

int
KevRing_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &ring_spec, NULL, &state->ring_type, 1);
}
