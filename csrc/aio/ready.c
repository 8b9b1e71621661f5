/*
 * ready.c - the ready queue as Python sees it: enough of a deque for code
 * that looks at `loop._ready` or puts a handle into it.
 */
#include "aio/ready.h"

#include "aio/guard.h"
#include "aio/handle_parts.h"
#include "aio/loop.h"

#define READY_MIN 64u

ReadyObject *
KevReady_New(ModState *state, ReadyObject *monitor)
{
    PyTypeObject *type = (PyTypeObject *)state->ready_type;
    ReadyObject *self = PyObject_GC_New(ReadyObject, type);
    if (self == NULL) {
        return NULL;
    }
#ifdef Py_GIL_DISABLED
    self->monitor = Py_XNewRef((PyObject *)monitor);
#endif
    self->head = 0;
    self->tail = 0;
    self->mask = READY_MIN - 1;
    self->items = PyMem_New(PyObject *, READY_MIN);
    if (self->items == NULL) {
        self->mask = UINT32_MAX;  /* empty: never indexed */
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    PyObject_GC_Track(self);
    return self;
}

int
KevReady_Grow(ReadyObject *self)
{
    uint32_t old = self->mask + 1;
    if (old >= UINT32_MAX / 2) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject **items = PyMem_New(PyObject *, (size_t)old * 2);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    uint32_t count = KevReady_Len(self);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = self->items[(self->head + i) & self->mask];
    }
    PyMem_Free(self->items);
    self->items = items;
    self->mask = old * 2 - 1;
    self->head = 0;
    self->tail = count;
    return 0;
}

void
KevReady_Clear(ReadyObject *self)
{
    /* A destructor may queue again, or take: take each out before letting it
       go, and no more than there were. */
    for (uint32_t left = KevReady_Len(self);
         left > 0 && KevReady_Len(self) > 0; left--) {
        Py_DECREF(KevReady_Pop(self));
    }
}

static int
ready_extend(ReadyObject *self, PyObject *iterable)
{
    PyObject *iterator = PyObject_GetIter(iterable);
    if (iterator == NULL) {
        return -1;
    }
    PyObject *item;
    while ((item = PyIter_Next(iterator)) != NULL) {
        int r = KevReady_Push(self, item);
        Py_DECREF(item);
        if (r < 0) {
            break;
        }
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

int
KevReady_Assign(ReadyObject *self, PyObject *iterable)
{
    PyObject *list = PySequence_List(iterable);
    if (list == NULL) {
        return -1;
    }
    KevReady_Clear(self);
    int r = ready_extend(self, list);
    Py_DECREF(list);
    return r;
}

/* ---- as Python sees it ---------------------------------------------- */

#ifdef Py_GIL_DISABLED
static inline PyObject *
monitor_of(PyObject *op)
{
    PyObject *monitor = ((ReadyObject *)op)->monitor;
    return monitor != NULL ? monitor : op;
}
#endif

static Py_ssize_t
ready_length(PyObject *self)
{
    return (Py_ssize_t)KevReady_Len((ReadyObject *)self);
}

static PyObject *
ready_item(PyObject *op, Py_ssize_t i)
{
    ReadyObject *self = (ReadyObject *)op;
    if (i < 0 || i >= (Py_ssize_t)KevReady_Len(self)) {
        PyErr_SetString(PyExc_IndexError, "ready queue index out of range");
        return NULL;
    }
    return Py_NewRef(self->items[(self->head + (uint32_t)i) & self->mask]);
}

/* A program that runs its timers itself has taken this one out of a list of
   them (`loop._scheduled`); left in the heap it would run twice. */
static void
leave_heap(ReadyObject *self, PyObject *item)
{
    ModState *state = PyType_GetModuleState(Py_TYPE(self));
    if (!Py_IS_TYPE(item, (PyTypeObject *)state->timer_type)) {
        return;
    }
    LoopObject *loop = KevHandle_Loop(item, state);
    if (loop != NULL && loop->ready == self) {
        KevLoop_TimerCancelled(loop, (TimerObject *)item);
    }
    Py_XDECREF(loop);
}

static PyObject *
ready_append(PyObject *self, PyObject *item)
{
    if (KevReady_Push((ReadyObject *)self, item) < 0) {
        return NULL;
    }
    leave_heap((ReadyObject *)self, item);
    Py_RETURN_NONE;
}

static PyObject *
ready_appendleft(PyObject *op, PyObject *item)
{
    ReadyObject *self = (ReadyObject *)op;
    if (KevReady_Reserve(self) < 0) {
        return NULL;
    }
    self->items[--self->head & self->mask] = Py_NewRef(item);
    Py_RETURN_NONE;
}

static PyObject *
ready_extend_method(PyObject *self, PyObject *iterable)
{
    /* A copy: it may be this queue, which would grow for ever. */
    PyObject *list = PySequence_List(iterable);
    if (list == NULL) {
        return NULL;
    }
    int r = ready_extend((ReadyObject *)self, list);
    Py_DECREF(list);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
ready_popleft(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReadyObject *self = (ReadyObject *)op;
    if (KevReady_Len(self) == 0) {
        PyErr_SetString(PyExc_IndexError, "pop from an empty ready queue");
        return NULL;
    }
    return KevReady_Pop(self);
}

static PyObject *
ready_pop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReadyObject *self = (ReadyObject *)op;
    if (KevReady_Len(self) == 0) {
        PyErr_SetString(PyExc_IndexError, "pop from an empty ready queue");
        return NULL;
    }
    return self->items[--self->tail & self->mask];
}

static PyObject *
ready_clear_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    KevReady_Clear((ReadyObject *)self);
    Py_RETURN_NONE;
}

static PyObject *
ready_repr(PyObject *self)
{
    PyObject *list = PySequence_List(self);
    if (list == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<ready queue %R>", list);
    Py_DECREF(list);
    return text;
}

static int
ready_traverse(PyObject *op, visitproc visit, void *arg)
{
    ReadyObject *self = (ReadyObject *)op;
    Py_VISIT(Py_TYPE(self));
#ifdef Py_GIL_DISABLED
    Py_VISIT(self->monitor);
#endif
    for (uint32_t i = self->head; i != self->tail; i++) {
        Py_VISIT(self->items[i & self->mask]);
    }
    return 0;
}

static int
ready_tp_clear(PyObject *self)
{
    KevReady_Clear((ReadyObject *)self);
    return 0;
}

static void
ready_dealloc(PyObject *op)
{
    ReadyObject *self = (ReadyObject *)op;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    while (KevReady_Len(self) > 0) {
        KevReady_Clear(self);
    }
    PyMem_Free(self->items);
#ifdef Py_GIL_DISABLED
    Py_XDECREF(self->monitor);
#endif
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

KEV_GUARD_METHOD(ready_append, monitor_of)
KEV_GUARD_METHOD(ready_appendleft, monitor_of)
KEV_GUARD_METHOD(ready_extend_method, monitor_of)
KEV_GUARD_METHOD(ready_popleft, monitor_of)
KEV_GUARD_METHOD(ready_pop, monitor_of)
KEV_GUARD_METHOD(ready_clear_method, monitor_of)
KEV_GUARD_FUNCTION(Py_ssize_t, ready_length, monitor_of, (PyObject *op), (op))
KEV_GUARD_FUNCTION(PyObject *, ready_item, monitor_of,
                   (PyObject *op, Py_ssize_t i), (op, i))

static PyMethodDef ready_methods[] = {
    {"append", KEV_GUARDED(ready_append), METH_O,
     "Queue a handle at the end."},
    {"appendleft", KEV_GUARDED(ready_appendleft), METH_O,
     "Queue a handle in front."},
    {"extend", KEV_GUARDED(ready_extend_method), METH_O,
     "Queue several handles."},
    {"popleft", KEV_GUARDED(ready_popleft), METH_NOARGS,
     "Take the first handle."},
    {"pop", KEV_GUARDED(ready_pop), METH_NOARGS, "Take the last handle."},
    {"clear", KEV_GUARDED(ready_clear_method), METH_NOARGS,
     "Let go of all handles."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ready_slots[] = {
    {Py_tp_doc, "The handles that a loop will run next, in order."},
    {Py_tp_methods, ready_methods},
    {Py_tp_repr, ready_repr},
    {Py_tp_traverse, ready_traverse},
    {Py_tp_clear, ready_tp_clear},
    {Py_tp_dealloc, ready_dealloc},
    {Py_sq_length, KEV_GUARDED(ready_length)},
    {Py_sq_item, KEV_GUARDED(ready_item)},
    {0, NULL},
};

static PyType_Spec ready_spec = {
    .name = "kevent._core.ReadyQueue",
    .basicsize = sizeof(ReadyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = ready_slots,
};

int
KevReady_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &ready_spec, NULL, &state->ready_type,
                             0);
}
