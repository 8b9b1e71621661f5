/*
 * loop_attrs.c - the loop's attributes that both halves use: asyncio's names,
 * our fields.
 */
#include "aio/loop.h"

#include "aio/guard.h"

/* ---- what a program may replace --------------------------------------- */

static int
loop_has_own(LoopObject *self, PyObject *name, const char *method)
{
    /* Is self.<name> still the method of this type? */
    PyObject *found = PyObject_GetAttr((PyObject *)self, name);
    if (found == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *ours = PyObject_GetAttrString(self->state->loop_type, method);
    int same = 0;
    if (ours != NULL && PyCFunction_Check(found)
        && Py_IS_TYPE(ours, &PyMethodDescr_Type)) {
        same = PyCFunction_GetFunction(found)
                == ((PyMethodDescrObject *)ours)->d_method->ml_meth
            && PyCFunction_GetSelf(found) == (PyObject *)self;
    }
    Py_XDECREF(ours);
    Py_DECREF(found);
    PyErr_Clear();
    return same;
}

/* Test suites replace time() and _run_once(), and call_at(), which asyncio's
   call_later() is made of: they are honoured. */
static void
look_for_patches(LoopObject *self)
{
    ModState *state = self->state;
    self->time_patched = !loop_has_own(self, state->str_time, "time");
    self->run_once_patched = !loop_has_own(self, state->str_run_once,
                                           "_run_once");
    self->call_at_patched = !loop_has_own(self, state->str_call_at,
                                          "call_at");
}

int
KevLoop_SetAttr(PyObject *op, PyObject *name, PyObject *value)
{
    LoopObject *self = (LoopObject *)op;
    if (KevOwn_SetAttr(&self->own, self->state, op, KevLoop_Own, LOOP_METHODS,
                       name, value) < 0) {
        return -1;
    }
    if (PyUnicode_CompareWithASCIIString(name, "time") == 0
        || PyUnicode_CompareWithASCIIString(name, "_run_once") == 0
        || PyUnicode_CompareWithASCIIString(name, "call_at") == 0) {
        look_for_patches(self);
    }
    return 0;
}

PyObject *
KevLoop_LookForPatches(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    look_for_patches((LoopObject *)op);
    return PyBool_FromLong(((LoopObject *)op)->run_once_patched);
}

/* What is put into the dict, no setattr() sees. */
static PyObject *
get_dict(PyObject *op, void *closure)
{
    KEV_POKE(((LoopObject *)op)->dict_given, 1);
    return PyObject_GenericGetDict(op, closure);
}

static int
set_dict(PyObject *op, PyObject *value, void *closure)
{
    KEV_POKE(((LoopObject *)op)->dict_given, 1);
    if (value != NULL) {
        return PyObject_GenericSetDict(op, value, closure);
    }
    PyObject *empty = PyDict_New();
    int r = empty == NULL ? -1 : PyObject_GenericSetDict(op, empty, closure);
    Py_XDECREF(empty);
    return r;
}

/* ---- fields ------------------------------------------------------------ */

static PyObject *
get_flag(PyObject *op, void *offset)
{
    return PyBool_FromLong(KEV_PEEK(*((char *)op + (size_t)offset)));
}

static int
set_flag(PyObject *op, PyObject *value, void *offset)
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    KEV_POKE(*((char *)op + (size_t)offset), (char)truth);
    return 0;
}

/* A closed loop has no queue to go on with: it stays closed. */
static int
set_closed(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    LoopObject *self = (LoopObject *)op;
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    KEV_POKE(self->closed, truth || self->queue == NULL);
    return 0;
}

static PyObject *
get_thread_id(PyObject *op, void *Py_UNUSED(closure))
{
    LoopObject *self = (LoopObject *)op;
    unsigned long id = KEV_PEEK(self->thread_id);
    return id == 0 ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(id);
}

static int
set_thread_id(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long id = 0;
    if (value != NULL && value != Py_None) {
        id = PyLong_AsUnsignedLong(value);
        if (id == (unsigned long)-1 && PyErr_Occurred()) {
            return -1;
        }
    }
    KEV_POKE(((LoopObject *)op)->thread_id, id);
    return 0;
}

static PyObject *
get_ready(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)((LoopObject *)op)->ready);
}

static int
set_ready(PyObject *op, PyObject *value, void *closure)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete _ready");
        return -1;
    }
    return KevReady_Assign(((LoopObject *)op)->ready, value);
}

/* In the order of their deadlines, so that heapq finds a heap: ours has
   another shape. */
static PyObject *
get_scheduled(PyObject *op, void *closure)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *list;
    Py_ssize_t count;
    for (;;) {
        count = self->timers.count;
        list = PyList_New(count);
        if (list == NULL) {
            return NULL;
        }
        if (count == self->timers.count) {
            break;
        }
        Py_DECREF(list);  /* making it ran a finalizer that changed them */
    }
    KevTimers_Sort(&self->timers);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyList_SET_ITEM(list, i,
                        Py_NewRef((PyObject *)self->timers.nodes[i].timer));
    }
    return list;
}

static int
set_scheduled(PyObject *op, PyObject *value, void *closure)
{
    Py_ssize_t count = value == NULL ? 0 : PyObject_Size(value);
    if (count < 0) {
        return -1;
    }
    if (count > 0) {
        PyErr_SetString(PyExc_ValueError,
                        "_scheduled can only be emptied: use call_at()");
        return -1;
    }
    KevTimers_Clear(&((LoopObject *)op)->timers);
    return 0;
}

static PyObject *
get_task_factory(PyObject *op, void *closure)
{
    PyObject *factory = ((LoopObject *)op)->task_factory;
    return Py_NewRef(factory != NULL ? factory : Py_None);
}

static int
set_task_factory(PyObject *op, PyObject *value, void *closure)
{
    Py_XSETREF(((LoopObject *)op)->task_factory, Py_XNewRef(value));
    return 0;
}

static PyObject *
get_transports(PyObject *op, void *closure)
{
    LoopObject *self = (LoopObject *)op;
    if (self->transports == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_transports");
        return NULL;
    }
    return Py_NewRef(self->transports);
}

static int
set_transports(PyObject *op, PyObject *value, void *closure)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *data = NULL;
    if (value != NULL) {
        data = PyObject_GetAttrString(value, "data");
        if (data == NULL) {
            return -1;
        }
    }
    Py_XSETREF(self->transports, Py_XNewRef(value));
    Py_XSETREF(self->transports_data, data);
    return 0;
}

KEV_GUARD_GET(get_ready, KevLoop_Monitor)
KEV_GUARD_SET(set_ready, KevLoop_Monitor)
KEV_GUARD_GET(get_scheduled, KevLoop_Monitor)
KEV_GUARD_SET(set_scheduled, KevLoop_Monitor)
KEV_GUARD_GET(get_task_factory, KevLoop_Monitor)
KEV_GUARD_SET(set_task_factory, KevLoop_Monitor)
KEV_GUARD_GET(get_transports, KevLoop_Monitor)
KEV_GUARD_SET(set_transports, KevLoop_Monitor)

#define FLAG(name, field)                                                 \
    {name, get_flag, set_flag, NULL, (void *)offsetof(LoopObject, field)}

PyGetSetDef KevLoop_GetSet[] = {
    {"__dict__", get_dict, set_dict, NULL, NULL},
    FLAG("_debug", debug),
    FLAG("_stopping", stopping),
    {"_closed", get_flag, set_closed, NULL,
     (void *)offsetof(LoopObject, closed)},
    {"_thread_id", get_thread_id, set_thread_id, NULL, NULL},
    {"_ready", KEV_GUARDED(get_ready), KEV_GUARDED(set_ready), NULL, NULL},
    {"_scheduled", KEV_GUARDED(get_scheduled), KEV_GUARDED(set_scheduled),
     NULL, NULL},
    {"_task_factory", KEV_GUARDED(get_task_factory),
     KEV_GUARDED(set_task_factory), NULL, NULL},
    {"_transports", KEV_GUARDED(get_transports), KEV_GUARDED(set_transports),
     NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
