/*
 * ukevent.c - the 40-byte record as a Python object.
 *
 * The object is the record and nothing else, so that it can be handed to
 * whatever takes a buffer of records, and be built 1,000 times per wait.
 */
#include "mod/ukevent.h"

#include <string.h>

#include "mod/args.h"
#include "mod/constants.h"
#include "mod/errors.h"

static int
optional_u32(const char *call, const char *name, PyObject *object,
             uint32_t *ret_value)
{
    return object == Py_None
        ? 0 : KevArgs_U32(call, name, object, ret_value);
}

int
KevUkevent_Fill(const char *call, PyObject *const fields[5],
                uint32_t req_flags, struct ukevent *ret_event)
{
    struct ukevent event = {.req_flags = req_flags};
    if (KevArgs_Id(call, fields[0], &event.id.raw_u64) < 0
        || KevArgs_U32(call, "type", fields[1], &event.type) < 0)
    {
        return -1;
    }
    event.event = KevConst_UsualEvents(event.type);
    if (optional_u32(call, "event", fields[2], &event.event) < 0
        || optional_u32(call, "req_flags", fields[3], &event.req_flags) < 0
        || KevArgs_U64(call, "user", fields[4], &event.user_u64) < 0)
    {
        return -1;
    }
    *ret_event = event;
    return 0;
}

static PyObject *
ukevent_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const struct arg_spec spec = {
        .call = "ukevent",
        .names = {"id", "type", "event", "req_flags", "user"},
        .count = 5, .required = 2,
    };
    PyObject *slots[5];
    struct ukevent event;
    if (KevArgs_SpreadTuple(&spec, args, kwargs, slots) < 0
        || KevUkevent_Fill("ukevent", slots, 0, &event) < 0)
    {
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((UkeventObject *)self)->event = event;
    }
    return self;
}

static void
ukevent_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *
KevUkevent_New(ModState *state, const struct ukevent *event)
{
    PyTypeObject *type = (PyTypeObject *)state->ukevent_type;
    UkeventObject *self = PyObject_New(UkeventObject, type);
    if (self != NULL) {
        self->event = *event;
    }
    return (PyObject *)self;
}

PyObject *
KevUkevent_List(ModState *state, const struct ukevent *events,
                Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = KevUkevent_New(state, &events[i]);
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, item);
    }
    return list;
}

struct ukevent *
KevUkevent_Get(ModState *state, PyObject *object)
{
    if (!Py_IS_TYPE(object, (PyTypeObject *)state->ukevent_type)) {
        PyErr_Format(PyExc_TypeError, "an element is %s, not ukevent",
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return &((UkeventObject *)object)->event;
}

/* ---- attributes ------------------------------------------------------- */

/* The closure of a getter is the offset of its field in the record. */
static void *
field_at(PyObject *self, void *offset)
{
    return (char *)&((UkeventObject *)self)->event + (uintptr_t)offset;
}

static PyObject *
ukevent_get_u32(PyObject *self, void *offset)
{
    return PyLong_FromUnsignedLong(*(uint32_t *)field_at(self, offset));
}

static PyObject *
ukevent_get_u64(PyObject *self, void *offset)
{
    return PyLong_FromUnsignedLongLong(*(uint64_t *)field_at(self, offset));
}

static PyObject *
ukevent_get_pair(PyObject *self, void *offset)
{
    const uint32_t *pair = field_at(self, offset);
    return Py_BuildValue("(kk)", (unsigned long)pair[0],
                         (unsigned long)pair[1]);
}

static int
refuse_deletion(PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "a field of a ukevent cannot be deleted");
        return -1;
    }
    return 0;
}

static int
ukevent_set_u32(PyObject *self, PyObject *value, void *offset)
{
    if (refuse_deletion(value) < 0) {
        return -1;
    }
    return KevArgs_U32("ukevent", "field", value, field_at(self, offset));
}

static int
ukevent_set_u64(PyObject *self, PyObject *value, void *offset)
{
    if (refuse_deletion(value) < 0) {
        return -1;
    }
    return KevArgs_U64("ukevent", "field", value, field_at(self, offset));
}

static int
ukevent_set_pair(PyObject *self, PyObject *value, void *offset)
{
    if (refuse_deletion(value) < 0) {
        return -1;
    }
    if (!PyTuple_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "ukevent: a pair of ints is needed, not %s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    return KevArgs_Id("ukevent", value, field_at(self, offset));
}

#define AT(member) ((void *)offsetof(struct ukevent, member))

static PyGetSetDef ukevent_getset[] = {
    {"id", ukevent_get_u64, ukevent_set_u64,
     "What is watched, as one 64-bit int: a descriptor for most types.",
     AT(id)},
    {"raw", ukevent_get_pair, ukevent_set_pair,
     "The id as its two 32-bit halves.", AT(id)},
    {"type", ukevent_get_u32, ukevent_set_u32,
     "KEVENT_SOCKET, KEVENT_POLL, KEVENT_TIMER, ...", AT(type)},
    {"event", ukevent_get_u32, ukevent_set_u32,
     "Mask of the events wanted.", AT(event)},
    {"req_flags", ukevent_get_u32, ukevent_set_u32,
     "KEVENT_REQ_*: how to watch.", AT(req_flags)},
    {"ret_flags", ukevent_get_u32, ukevent_set_u32,
     "KEVENT_RET_*: what became of it.", AT(ret_flags)},
    {"ret_data", ukevent_get_pair, ukevent_set_pair,
     "(which events happened, a count or a negative errno as u32).",
     AT(ret_data)},
    {"user", ukevent_get_u64, ukevent_set_u64,
     "Your own 64-bit int, returned untouched.", AT(user_u64)},
    {NULL, NULL, NULL, NULL, NULL},
};

#undef AT

/* ---- behaviour -------------------------------------------------------- */

static PyObject *
ukevent_tp_repr(PyObject *self)
{
    const struct ukevent *event = &((UkeventObject *)self)->event;
    PyObject *type = KevConst_TypeName(event->type);
    PyObject *wanted = KevConst_EventNames(event->type, event->event);
    PyObject *req = KevConst_ReqNames(event->req_flags);
    PyObject *ret = KevConst_RetNames(event->ret_flags);
    PyObject *happened = KevConst_EventNames(event->type, event->ret_data[0]);
    PyObject *repr = NULL;
    if (type != NULL && wanted != NULL && req != NULL && ret != NULL
        && happened != NULL)
    {
        repr = PyUnicode_FromFormat(
            "ukevent(id=%llu, type=%U, event=%U, req_flags=%U, user=%llu; "
            "ret_flags=%U, ret_data=(%U, %i))",
            (unsigned long long)event->id.raw_u64, type, wanted, req,
            (unsigned long long)event->user_u64, ret, happened,
            (int)event->ret_data[1]);
    }
    Py_XDECREF(type);
    Py_XDECREF(wanted);
    Py_XDECREF(req);
    Py_XDECREF(ret);
    Py_XDECREF(happened);
    return repr;
}

static PyObject *
ukevent_tp_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = memcmp(&((UkeventObject *)self)->event,
                       &((UkeventObject *)other)->event,
                       sizeof(struct ukevent)) == 0;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static int
ukevent_bf_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, self, &((UkeventObject *)self)->event,
                             (Py_ssize_t)sizeof(struct ukevent), 0, flags);
}

static PyObject *
ukevent_from_buffer(PyObject *cls, PyTypeObject *defining_class,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "from_buffer", .names = {"buffer", "index"},
        .count = 2, .required = 1,
    };
    PyObject *slots[2];
    uint32_t index = 0;
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0
        || KevArgs_U32("from_buffer", "index", slots[1], &index) < 0)
    {
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(slots[0], &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    Py_ssize_t count = view.len / (Py_ssize_t)sizeof(struct ukevent);
    PyObject *event = NULL;
    if (index >= count) {
        PyErr_Format(PyExc_IndexError,
                     "from_buffer(): record %u of a buffer of %zd",
                     (unsigned)index, count);
    }
    else {
        struct ukevent copy;   /* the buffer may be aligned to nothing */
        memcpy(&copy, (char *)view.buf + index * sizeof(copy), sizeof(copy));
        ModState *state = PyType_GetModuleState(defining_class);
        event = state == NULL ? NULL : KevUkevent_New(state, &copy);
    }
    PyBuffer_Release(&view);
    return event;
}

PyDoc_STRVAR(ukevent_doc,
"ukevent(id, type, event=None, req_flags=0, user=0)\n--\n\n"
"One event, asked for or happened: the 40-byte record of every call.\n\n"
"id is an int, a pair of 32-bit ints, or an object with fileno(); event=None\n"
"is what is usually wanted of the type (POLLIN, RECV, FIRED, everything).\n"
"It is a writable buffer of 40 bytes, too.");

PyDoc_STRVAR(from_buffer_doc,
"from_buffer($type, buffer, index=0)\n--\n\n"
"A copy of the index-th record in a bytes-like object.");

static PyMethodDef ukevent_methods[] = {
    {"from_buffer", (PyCFunction)(void (*)(void))ukevent_from_buffer,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS | METH_CLASS,
     from_buffer_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ukevent_slots[] = {
    {Py_tp_doc, (void *)ukevent_doc},
    {Py_tp_new, ukevent_tp_new},
    {Py_tp_dealloc, ukevent_tp_dealloc},
    {Py_tp_repr, ukevent_tp_repr},
    {Py_tp_richcompare, ukevent_tp_richcompare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_getset, ukevent_getset},
    {Py_tp_methods, ukevent_methods},
    {Py_bf_getbuffer, ukevent_bf_getbuffer},
    {0, NULL},
};

static PyType_Spec ukevent_spec = {
    .name = "kevent.ukevent",
    .basicsize = sizeof(UkeventObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ukevent_slots,
};

int
KevUkevent_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &ukevent_spec, NULL,
                             &state->ukevent_type, 1);
}
