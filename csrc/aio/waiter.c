/*
 * waiter.c - the future that one who reads from a stream waits for.
 */
#include "aio/waiter.h"

#include <string.h>

#include "aio/callargs.h"
#include "aio/compat.h"
#include "aio/freelist.h"
#include "aio/loop.h"
#include "aio/streams.h"

/* Without the GIL it would be as dear as asyncio's. */
#ifdef Py_GIL_DISABLED
#define MAY_MAKE 0
#else
#define MAY_MAKE 1
#endif

/* ---- birth ---------------------------------------------------------- */

static PyObject *
new_waiter(ModState *state, PyObject *loop)
{
    WaiterObject *self = KevFreelist_Take(&state->aio.waiters,
                                          state->waiter_type);
    if (self == NULL) {
        self = PyObject_GC_New(WaiterObject,
                               (PyTypeObject *)state->waiter_type);
    }
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->loop = Py_NewRef(loop);
    self->callback = NULL;
    self->context = NULL;
    self->others = NULL;
    self->rest = NULL;
    self->weakrefs = NULL;
    self->is_done = 0;
    self->blocking = 0;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

PyObject *
KevWaiter_New(ModState *state, PyObject *loop)
{
    if (!KevStreams_IsSet(loop)) {
        PyErr_SetString(PyExc_AttributeError, "the stream has no _loop");
        return NULL;
    }
    Py_INCREF(loop);  /* what is looked at may let go of it */
    int may = 0;
    if (MAY_MAKE && state->waiter_type != Py_None
        && KevStreams_Is(loop, state->loop_class, state->loop_type)) {
        may = KevLoop_MakesFutures((LoopObject *)loop);
    }
    PyObject *future = may < 0 ? NULL : may ? new_waiter(state, loop)
        : PyObject_CallMethodNoArgs(loop, state->str_create_future);
    Py_DECREF(loop);
    return future;
}

/* Its loop, if that is one of ours, as it was in the beginning, or NULL.
   Borrowed. */
static inline LoopObject *
loop_of(WaiterObject *self)
{
    return KevStreams_Is(self->loop, self->state->loop_class,
                         self->state->loop_type)
        ? (LoopObject *)self->loop : NULL;
}

/* Keeps made, stolen, which may be NULL with an exception; unless whatever ran
   while it was made (get_debug(), the collector) has made one, too. */
static void
keep_first(PyObject **slot, PyObject *made)
{
    if (*slot == NULL) {
        *slot = made;
        return;
    }
    if (made == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(made);
}

/* A method of asyncio's future, which nothing that hangs on it hides. */
static PyObject *
call_with(PyObject *method, PyObject *future, PyObject *arg)
{
    PyObject *stack[2] = {future, arg};
    return PyObject_Vectorcall(method, stack, arg == NULL ? 1 : 2, NULL);
}

/* One of asyncio's, made as if it had been when self was: not in debug mode.
   A new reference or NULL. */
static PyObject *
new_future(WaiterObject *self)
{
    ModState *state = self->state;
    LoopObject *loop = loop_of(self);
    char debug = loop == NULL ? 0 : loop->debug;
    if (debug) {
        loop->debug = 0;
    }
    PyObject *stack[2] = {NULL, self->loop};
    PyObject *future = PyObject_Vectorcall(
        state->future_type, stack + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
        state->kwnames_loop);
    if (debug) {
        loop->debug = debug;
    }
    if (future == NULL || !self->is_done) {
        return future;
    }
    PyObject *res = call_with(state->future_set_result, future, Py_None);
    if (res == NULL) {
        Py_CLEAR(future);
    }
    Py_XDECREF(res);
    return future;
}

/* asyncio's future in its place, for all that is asked rarely.  A borrowed
   reference or NULL. */
static PyObject *
rest_of(WaiterObject *self)
{
    if (self->rest != NULL) {
        return self->rest;
    }
    keep_first(&self->rest, new_future(self));
    return self->rest;
}

/* ---- calling back --------------------------------------------------- */

static int
is_task_wakeup(ModState *state, PyObject *callback)
{
    if (!Py_IS_TYPE(callback, &PyCFunction_Type)) {
        return 0;
    }
    const PyMethodDef *method = ((PyCFunctionObject *)callback)->m_ml;
    if (method == state->aio.task_wakeup) {
        return 1;
    }
    PyObject *task = PyCFunction_GET_SELF(callback);
    if (state->aio.task_wakeup != NULL || task == NULL
        || (PyObject *)Py_TYPE(task) != state->task_type
        || strcmp(method->ml_name, "task_wakeup") != 0) {
        return 0;
    }
    state->aio.task_wakeup = method;
    return 1;
}

PyObject *
KevWaiter_GivenTo(WaiterObject *self, PyObject *callback)
{
    LoopObject *loop = loop_of(self);
    if (!self->is_done || loop == NULL
        || !is_task_wakeup(self->state, callback)) {
        return Py_NewRef((PyObject *)self);
    }
    if (self->rest != NULL) {
        return Py_NewRef(self->rest);
    }
    if (loop->done == NULL && KevLoop_OwnsFutures(loop)) {
        keep_first(&loop->done, new_future(self));
    }
    if (loop->done == NULL) {
        PyErr_Clear();
        return Py_NewRef((PyObject *)self);
    }
    return Py_NewRef(loop->done);
}

/* loop.call_soon(callback, self, context=context).  0 or -1. */
static int
call_soon(WaiterObject *self, PyObject *callback, PyObject *context)
{
    ModState *state = self->state;
    LoopObject *loop = loop_of(self);
    PyObject *handle;
    if (loop == NULL || !KevLoop_OwnsFutures(loop)) {
        PyObject *stack[4] = {self->loop, callback, (PyObject *)self,
                              context};
        handle = PyObject_VectorcallMethod(state->str_call_soon, stack, 3,
                                           state->kwnames_context);
    }
    else if (KevLoop_CheckOpen(loop) < 0) {
        return -1;
    }
    else {
        PyObject *arg = (PyObject *)self;
        handle = KevLoop_CallSoon(loop, callback, &arg, 1, context);
    }
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* It is done: all callbacks, in their order.  They are let go, whatever
   happens.  0 or -1. */
static int
call_all(WaiterObject *self)
{
    PyObject *callback = self->callback;
    PyObject *context = self->context;
    PyObject *others = self->others;
    self->callback = NULL;
    self->context = NULL;
    self->others = NULL;
    int r = callback == NULL ? 0 : call_soon(self, callback, context);
    Py_XDECREF(callback);
    Py_XDECREF(context);
    for (Py_ssize_t i = 0; r == 0 && others != NULL
                           && i < PyList_GET_SIZE(others); i++) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(others, i));
        r = call_soon(self, PyTuple_GET_ITEM(pair, 0),
                      PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
    }
    Py_XDECREF(others);
    return r;
}

/* ---- done ----------------------------------------------------------- */

int
KevWaiter_Wake(WaiterObject *self)
{
    if (self->rest != NULL || self->is_done) {
        return KevStreams_WakeAny(self->state, (PyObject *)self);
    }
    self->is_done = 1;
    return call_all(self);
}

PySendResult
KevWaiter_End(WaiterObject *self, PyObject **ret)
{
    if (!self->is_done) {
        if (self->blocking) {
            PyErr_SetString(PyExc_RuntimeError,
                            "await wasn't used with future");
            return PYGEN_ERROR;
        }
        self->blocking = 1;
        *ret = Py_NewRef((PyObject *)self);
        return PYGEN_NEXT;
    }
    *ret = self->rest == NULL ? Py_NewRef(Py_None)
        : call_with(self->state->future_result, self->rest, NULL);
    return *ret == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* What the same method of asyncio's future has made of it. */
static PyObject *
has_changed(WaiterObject *self, PyObject *res)
{
    if (res == NULL || res == Py_False) {
        return res;  /* it has not */
    }
    self->is_done = 1;
    if (call_all(self) < 0) {
        Py_CLEAR(res);
    }
    return res;
}

static PyObject *
waiter_set_result(PyObject *op, PyObject *result)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *rest = rest_of(self);
    return rest == NULL ? NULL : has_changed(
        self, call_with(self->state->future_set_result, rest, result));
}

static PyObject *
waiter_set_exception(PyObject *op, PyObject *exception)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *rest = rest_of(self);
    if (rest == NULL) {
        return NULL;
    }
    PyObject *res = call_with(self->state->future_set_exception, rest,
                              exception);
    if (res == NULL) {
        return NULL;
    }
    res = has_changed(self, res);
    if (res == NULL) {
        /* Nobody was told of it, and nobody is told that. */
        PyObject *exc = KevErr_GetRaised();
        if (PyObject_SetAttrString(rest, "_log_traceback", Py_False) < 0) {
            PyErr_Clear();
        }
        KevErr_SetRaised(exc);
    }
    return res;
}

static PyObject *
waiter_cancel(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *message = Py_None;
    if ((nargs > 0 || kwnames != NULL)
        && KevCall_OneArgument("cancel", "msg", args, nargs, kwnames,
                               &message) < 0) {
        return NULL;
    }
    PyObject *rest = rest_of(self);
    return rest == NULL ? NULL : has_changed(
        self, call_with(self->state->future_cancel, rest, message));
}

/* ---- callbacks ------------------------------------------------------ */

/* What follows makes its objects first: that may run the collector, and with
   it any code. */

/* Keeps one that is not the first.  0 or -1. */
static int
keep(WaiterObject *self, PyObject *callback, PyObject *context)
{
    PyObject *pair = PyTuple_Pack(2, callback, context);
    PyObject *list = PyList_New(0);
    int r = -1;
    if (pair != NULL && list != NULL) {
        if (self->others == NULL) {
            self->others = Py_NewRef(list);
        }
        r = self->is_done ? call_soon(self, callback, context)
                          : PyList_Append(self->others, pair);
    }
    Py_XDECREF(pair);
    Py_XDECREF(list);
    return r;
}

static PyObject *
waiter_add_done_callback(PyObject *op, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"fn"};
    WaiterObject *self = (WaiterObject *)op;
    struct call_args call;
    if (KevCall_Parse(self->state, "add_done_callback", names, 1, args, nargs,
                      kwnames, &call) < 0) {
        return NULL;
    }
    if (call.rest_count != 0) {
        PyErr_Format(PyExc_TypeError, "add_done_callback() takes 1 positional "
                     "argument (%zd given)", nargs);
        return NULL;
    }
    PyObject *callback = call.named[0];
    PyObject *context = call.context != NULL ? Py_NewRef(call.context)
        : PyContext_CopyCurrent();
    int r = 0;
    if (context == NULL) {
        return NULL;
    }
    if (self->is_done) {
        r = call_soon(self, callback, context);
    }
    else if (self->callback == NULL && self->others == NULL) {
        self->callback = Py_NewRef(callback);
        self->context = Py_NewRef(context);
    }
    else {
        r = keep(self, callback, context);
    }
    Py_DECREF(context);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

/* Adds the first one, if there is one, to a list of pairs.  0 or -1. */
static int
append_first(WaiterObject *self, PyObject *list)
{
    PyObject *callback = Py_XNewRef(self->callback);
    if (callback == NULL) {
        return 0;
    }
    PyObject *context = Py_NewRef(self->context);
    PyObject *pair = PyTuple_Pack(2, callback, context);
    int r = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    Py_DECREF(context);
    Py_DECREF(callback);
    return r;
}

static int
append_others(WaiterObject *self, PyObject *list)
{
    PyObject *others = Py_XNewRef(self->others);
    Py_ssize_t end = PyList_GET_SIZE(list);
    int r = others == NULL ? 0 : PyList_SetSlice(list, end, end, others);
    Py_XDECREF(others);
    return r;
}

static PyObject *
waiter_get_callbacks(PyObject *op, void *Py_UNUSED(closure))
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *list = PyList_New(0);
    if (list == NULL || append_first(self, list) < 0
        || append_others(self, list) < 0) {
        Py_XDECREF(list);
        return NULL;
    }
    if (PyList_GET_SIZE(list) == 0) {
        Py_SETREF(list, Py_NewRef(Py_None));
    }
    return list;
}

/* Takes a pair out of the list, which may have changed.  0 or -1. */
static int
drop(WaiterObject *self, PyObject *pair)
{
    PyObject *others = self->others;
    for (Py_ssize_t i = 0; others != NULL && i < PyList_GET_SIZE(others);
         i++) {
        if (PyList_GET_ITEM(others, i) == pair) {
            return PyList_SetSlice(others, i, i + 1, NULL);
        }
    }
    return 0;
}

/* Is the first one equal to callback?  Then it is gone.  1, 0 or -1. */
static int
remove_first(WaiterObject *self, PyObject *callback)
{
    PyObject *first = Py_XNewRef(self->callback);
    if (first == NULL) {
        return 0;
    }
    int r = PyObject_RichCompareBool(first, callback, Py_EQ);
    if (r > 0 && self->callback == first) {
        Py_CLEAR(self->callback);
        Py_CLEAR(self->context);
    }
    Py_DECREF(first);
    return r;
}

/* Puts those of the pairs whose callback is equal into gone.  0 or -1. */
static int
find_equal(PyObject *pairs, PyObject *callback, PyObject *gone)
{
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        r = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback,
                                     Py_EQ);
        if (r > 0) {
            r = PyList_Append(gone, pair);
        }
    }
    return r;
}

/* To compare callbacks may do anything to the list: a copy is compared. */
static PyObject *
waiter_remove_done_callback(PyObject *op, PyObject *callback)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *pairs = PyList_New(0);
    PyObject *gone = PyList_New(0);
    int r = pairs == NULL || gone == NULL ? -1 : remove_first(self, callback);
    Py_ssize_t count = r > 0;
    if (r >= 0) {
        r = append_others(self, pairs);
    }
    if (r == 0) {
        r = find_equal(pairs, callback, gone);
    }
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(gone); i++) {
        r = drop(self, PyList_GET_ITEM(gone, i));
        count++;
    }
    if (self->others != NULL && PyList_GET_SIZE(self->others) == 0) {
        Py_CLEAR(self->others);
    }
    Py_XDECREF(pairs);
    Py_XDECREF(gone);
    return r < 0 ? NULL : PyLong_FromSsize_t(count);
}

/* ---- what else it has ------------------------------------------------ */

static PyObject *
waiter_get_loop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(((WaiterObject *)op)->loop);
}

static PyObject *
give_loop(PyObject *loop, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(loop);
}

/* get_loop() of all of a loop's, which the loop keeps.  A new reference. */
static PyObject *
get_loop_of_all(LoopObject *loop)
{
    static PyMethodDef method = {"get_loop", give_loop, METH_NOARGS, NULL};
    if (loop->get_loop == NULL) {
        keep_first(&loop->get_loop,
                   PyCFunction_New(&method, (PyObject *)loop));
    }
    return Py_XNewRef(loop->get_loop);
}

static PyObject *
waiter_get_blocking(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((WaiterObject *)op)->blocking);
}

static int
waiter_set_blocking(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    ((WaiterObject *)op)->blocking = (char)truth;
    return 0;
}

/* A program that asks whether it is one of asyncio's is told what it is good
   for. */
static PyObject *
waiter_get_class(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_NewRef(((WaiterObject *)op)->state->future_type);
}

enum {ADD_DONE_CALLBACK};

static PyMethodDef waiter_methods[] = {
    [ADD_DONE_CALLBACK] = {
        "add_done_callback", KEYWORD_METHOD(waiter_add_done_callback),
        KEYWORD_FLAGS, NULL},
    {"get_loop", waiter_get_loop, METH_NOARGS, NULL},
    {"remove_done_callback", waiter_remove_done_callback, METH_O, NULL},
    {"set_result", waiter_set_result, METH_O, NULL},
    {"set_exception", waiter_set_exception, METH_O, NULL},
    {"cancel", KEYWORD_METHOD(waiter_cancel), KEYWORD_FLAGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* What a program has hung on it: a new reference, or NULL, perhaps with an
   exception. */
static PyObject *
hung_on(WaiterObject *self, PyObject *name)
{
    PyObject *found = NULL;
    PyObject *dict = self->rest == NULL ? NULL
        : PyObject_GenericGetDict(self->rest, NULL);
    if (dict != NULL) {
        (void)KevDict_Get(dict, name, &found);
        Py_DECREF(dict);
    }
    return found;
}

/* What a task asks for, in the order in which it does, without a look-up. */
static PyObject *
waiter_getattro(PyObject *op, PyObject *name)
{
    WaiterObject *self = (WaiterObject *)op;
    ModState *state = self->state;
    if (name == state->str_blocking) {
        return waiter_get_blocking(op, NULL);
    }
    if (name == state->str_get_loop) {
        LoopObject *loop = loop_of(self);
        if (loop != NULL) {
            return get_loop_of_all(loop);
        }
    }
    if (name == state->str_add_done_callback) {
        return PyCFunction_New(&waiter_methods[ADD_DONE_CALLBACK], op);
    }
    PyObject *found = hung_on(self, name);
    if (found != NULL || PyErr_Occurred()) {
        return found;
    }
    found = PyObject_GenericGetAttr(op, name);
    if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return found;
    }
    PyErr_Clear();
    PyObject *rest = rest_of((WaiterObject *)op);
    return rest == NULL ? NULL : PyObject_GetAttr(rest, name);
}

static int
waiter_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *blocking = self->state->str_blocking;
    if (value != NULL
        && (name == blocking || PyUnicode_Compare(name, blocking) == 0)) {
        return waiter_set_blocking(op, value, NULL);
    }
    PyObject *rest = rest_of(self);
    return rest == NULL ? -1 : PyObject_SetAttr(rest, name, value);
}

static PyObject *
waiter_repr(PyObject *op)
{
    return PyObject_CallOneArg(((WaiterObject *)op)->state->future_repr, op);
}

/* It begins anew, as asyncio's does. */
static int
waiter_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    WaiterObject *self = (WaiterObject *)op;
    PyObject *rest = rest_of(self);
    if (rest == NULL || Py_TYPE(rest)->tp_init(rest, args, kwargs) < 0) {
        return -1;
    }
    PyObject *loop = PyObject_CallMethodNoArgs(rest,
                                               self->state->str_get_loop);
    if (loop == NULL) {
        return -1;
    }
    self->is_done = 0;
    self->blocking = 0;
    Py_SETREF(self->loop, loop);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->others);
    return 0;
}

/* ---- life and death -------------------------------------------------- */

static int
waiter_traverse(PyObject *op, visitproc visit, void *arg)
{
    WaiterObject *self = (WaiterObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->others);
    Py_VISIT(self->rest);
    return 0;
}

/* Not its loop, which can do without it. */
static int
waiter_clear(PyObject *op)
{
    WaiterObject *self = (WaiterObject *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->others);
    Py_CLEAR(self->rest);
    return 0;
}

static void
waiter_dealloc(PyObject *op)
{
    WaiterObject *self = (WaiterObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    (void)waiter_clear(op);
    Py_DECREF(self->loop);
    ModState *state = KevState_OfDying(type);
    if (state == NULL || state->waiter_type != (PyObject *)type
        || !KevFreelist_Keep(&state->aio.waiters, op)) {
        PyObject_GC_Del(op);
    }
    Py_DECREF(type);
}

static PyGetSetDef waiter_getset[] = {
    {"__class__", waiter_get_class, NULL, NULL, NULL},
    {"_asyncio_future_blocking", waiter_get_blocking, waiter_set_blocking,
     NULL, NULL},
    {"_callbacks", waiter_get_callbacks, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef waiter_members[] = {
    {"_loop", T_OBJECT, offsetof(WaiterObject, loop), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(WaiterObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, "The future that a read of a stream waits for."},
    {Py_tp_init, waiter_init},
    {Py_tp_repr, waiter_repr},
    {Py_tp_getattro, waiter_getattro},
    {Py_tp_setattro, waiter_setattro},
    {Py_tp_methods, waiter_methods},
    {Py_tp_members, waiter_members},
    {Py_tp_getset, waiter_getset},
    {Py_tp_iter, KevWaiter_Iter},
    {Py_am_await, KevWaiter_Iter},
    {Py_tp_traverse, waiter_traverse},
    {Py_tp_clear, waiter_clear},
    {Py_tp_dealloc, waiter_dealloc},
    {0, NULL},
};

static PyType_Spec waiter_spec = {
    .name = "kevent._core.Waiter",
    .basicsize = sizeof(WaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = waiter_slots,
};

int
KevWaiter_Setup(PyObject *module, ModState *state)
{
    if (state->future_type == Py_None || state->future_repr == Py_None) {
        state->waiter_type = Py_NewRef(Py_None);  /* an unknown asyncio */
        return 0;
    }
    if (KevWaiterIter_Setup(module, state) < 0) {
        return -1;
    }
    return KevModule_AddType(module, &waiter_spec, NULL, &state->waiter_type,
                             0);
}
