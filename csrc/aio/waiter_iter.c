/*
 * waiter_iter.c - the iterator of a waiter: what a program's `await` of it
 * goes through.
 */
#include "aio/streams.h"
#include "aio/waiter.h"

/* From 3.14 on asyncio's gives the result as often as it is asked. */
#define IS_OVER_ONCE (PY_VERSION_HEX < 0x030E0000)

typedef struct {
    PyObject_HEAD
    PyObject *waiter;       // strong; NULL: it is over
} WaiterIterObject;

PyObject *
KevWaiter_Iter(PyObject *waiter)
{
    ModState *state = ((WaiterObject *)waiter)->state;
    WaiterIterObject *self = PyObject_GC_New(
        WaiterIterObject, (PyTypeObject *)state->waiter_iter_type);
    if (self == NULL) {
        return NULL;
    }
    self->waiter = Py_NewRef(waiter);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

static PySendResult
iter_am_send(PyObject *op, PyObject *Py_UNUSED(arg), PyObject **ret)
{
    WaiterIterObject *self = (WaiterIterObject *)op;
    *ret = NULL;
    if (self->waiter == NULL) {
        return PYGEN_ERROR;  /* no exception: it is over */
    }
    PyObject *waiter = Py_NewRef(self->waiter);
    if (IS_OVER_ONCE && ((WaiterObject *)waiter)->is_done) {
        Py_CLEAR(self->waiter);
    }
    PySendResult sent = KevWaiter_End((WaiterObject *)waiter, ret);
    Py_DECREF(waiter);
    return sent;
}

static PyObject *
iter_send(PyObject *op, PyObject *arg)
{
    PyObject *value;
    PySendResult sent = iter_am_send(op, arg, &value);
    PyObject *ret = KevOp_AsIterator(sent, value);
    if (ret == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return ret;
}

static PyObject *
iter_next(PyObject *op)
{
    PyObject *value;
    PySendResult sent = iter_am_send(op, Py_None, &value);
    return KevOp_AsIterator(sent, value);
}

static PyObject *
iter_throw(PyObject *op, PyObject *args)
{
    PyObject *type;
    PyObject *value = NULL;
    PyObject *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) {
        return NULL;
    }
    Py_CLEAR(((WaiterIterObject *)op)->waiter);
    KevOp_SetThrown(type, value, traceback);
    return NULL;
}

static int
iter_clear(PyObject *op)
{
    Py_CLEAR(((WaiterIterObject *)op)->waiter);
    return 0;
}

static PyObject *
iter_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    (void)iter_clear(op);
    Py_RETURN_NONE;
}

static int
iter_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((WaiterIterObject *)op)->waiter);
    return 0;
}

static void
iter_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)iter_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef iter_methods[] = {
    {"send", iter_send, METH_O, NULL},
    {"throw", iter_throw, METH_VARARGS, NULL},
    {"close", iter_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iter_slots[] = {
    {Py_tp_doc, "The iterator of the future that a read waits for."},
    {Py_tp_methods, iter_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iter_next},
    {Py_am_send, iter_am_send},
    {Py_tp_traverse, iter_traverse},
    {Py_tp_clear, iter_clear},
    {Py_tp_dealloc, iter_dealloc},
    {0, NULL},
};

static PyType_Spec iter_spec = {
    .name = "kevent._core.FutureIter",
    .basicsize = sizeof(WaiterIterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iter_slots,
};

int
KevWaiterIter_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &iter_spec, NULL,
                             &state->waiter_iter_type, 0);
}
