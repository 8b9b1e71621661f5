/*
 * streams_op.c - what read(), drain() and their like return: it is awaited.
 *
 * It has the methods of a coroutine (send, throw, close), so that a task can
 * be made of it, and keeps a coroutine's manners: nothing happens before it
 * is awaited, it is awaited once, and it says so if it never was.
 */
#include "aio/streams.h"

#include "aio/compat.h"
#include "aio/guard.h"
#include "aio/loop.h"
#include "aio/waiter.h"

enum op_phase {
    OP_NEW,
    OP_RUNNING,
    OP_WAITING,
    OP_FINISHED,
};

#ifdef Py_GIL_DISABLED
#define MAY_REUSE 0
#else
#define MAY_REUSE 1
#endif

/* ---- birth, and rebirth ---------------------------------------------- */

/* One of the loop's that nobody else has, or NULL: a new reference. */
static OpObject *
take_spare(LoopObject *loop)
{
    while (loop->ops_count > 0) {
        OpObject *self = loop->ops[--loop->ops_count];
        if (Py_REFCNT((PyObject *)self) == 1 && !self->finalized) {
            return self;
        }
        Py_DECREF((PyObject *)self);
    }
    return NULL;
}

/* Lets go of owner and loop, which may be their end, and run anything; an
   exception may be set. */
static void
let_go(OpObject *self)
{
    PyObject *owner;
    PyObject *loop;
    KEV_GUARD(self);
    owner = self->owner;
    loop = (PyObject *)self->loop;
    self->owner = NULL;
    self->loop = NULL;
    KEV_UNGUARD();
    if ((owner != NULL && Py_REFCNT(owner) == 1)
        || (loop != NULL && Py_REFCNT(loop) == 1)) {
        PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
        Py_XDECREF(owner);
        Py_XDECREF(loop);
        KevErr_SetRaised(exc);
        return;
    }
    Py_XDECREF(owner);
    Py_XDECREF(loop);
}

/* After each step: if it is over, and that was told, it keeps nobody, and may
   serve again. */
static void
after_step(OpObject *self)
{
    LoopObject *loop = self->loop;
    if (KEV_PEEK(self->phase) != OP_FINISHED || self->owner == NULL) {
        return;
    }
    if (MAY_REUSE && loop != NULL && !loop->closed && !self->finalized
        && loop->ops_count < LOOP_SPARE_OPS) {
        loop->ops[loop->ops_count++] =
            (OpObject *)Py_NewRef((PyObject *)self);
    }
    let_go(self);
}

void
KevOp_DropSpares(LoopObject *loop)
{
    while (loop->ops_count > 0) {
        Py_DECREF((PyObject *)loop->ops[--loop->ops_count]);
    }
}

static OpObject *
new_op(ModState *state)
{
    OpObject *self = PyObject_GC_New(OpObject,
                                     (PyTypeObject *)state->op_type);
    if (self != NULL) {
        self->state = state;
        self->loop = NULL;
        self->owner = NULL;
        self->inner = NULL;
        self->waiter = NULL;
        self->value = NULL;
        self->arg = NULL;
        self->finalized = 0;
        self->phase = OP_FINISHED;
        PyObject_GC_Track((PyObject *)self);
    }
    return self;
}

PyObject *
KevOp_New(ModState *state, const struct op_kind *kind, PyObject *owner,
          PyObject *loop, PyObject *arg, Py_ssize_t size)
{
    LoopObject *ours = NULL;
    if (loop != NULL
        && KevStreams_Is(loop, state->loop_class, state->loop_type)) {
        ours = (LoopObject *)Py_NewRef(loop);
    }
    OpObject *self = ours != NULL ? take_spare(ours) : NULL;
    if (self == NULL && (self = new_op(state)) == NULL) {
        Py_XDECREF((PyObject *)ours);
        return NULL;
    }
    self->kind = kind;
    self->loop = ours;
    self->owner = Py_NewRef(owner);
    self->arg = Py_XNewRef(arg);
    self->size = size;
    self->offset = 0;
    self->stage = 0;
    self->phase = OP_NEW;
    return (PyObject *)self;
}

enum op_step
KevOp_Raise(PyObject *exc)
{
    if (PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    else if (PyExceptionClass_Check(exc)) {
        PyErr_SetNone(exc);
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must derive from BaseException");
    }
    return OP_ERROR;
}

/* ---- awaiting something --------------------------------------------- */

enum op_step
KevOp_Await(OpObject *self, PyObject *awaitable)
{
    PyObject *inner;
    PyAsyncMethods *methods = Py_TYPE(awaitable)->tp_as_async;
    if (PyCoro_CheckExact(awaitable)) {
        inner = Py_NewRef(awaitable);
    }
    else if (methods != NULL && methods->am_await != NULL) {
        inner = methods->am_await(awaitable);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "object %.100s can't be used in 'await' expression",
                     Py_TYPE(awaitable)->tp_name);
        inner = NULL;
    }
    if (inner == NULL) {
        return OP_ERROR;
    }
    Py_XSETREF(self->inner, inner);
    return OP_AWAIT;
}

enum op_step
KevOp_AwaitFuture(OpObject *self, PyObject *future)
{
    Py_XSETREF(self->waiter, Py_NewRef(future));
    if (KevWaiter_Is(self->state, future)) {
        ((WaiterObject *)future)->blocking = 1;
        return OP_WAIT;
    }
    if ((PyObject *)Py_TYPE(future) != self->state->future_type) {
        return KevOp_Await(self, future);
    }
    return KevWait_Begin(self->state, future) < 0 ? OP_ERROR : OP_WAIT;
}

/* What was awaited has ended. */
static void
settle(OpObject *self)
{
    Py_CLEAR(self->inner);
    if (self->kind->settle != NULL) {
        KEV_GUARD(self->owner);
        self->kind->settle(self);
        KEV_UNGUARD();
    }
    Py_CLEAR(self->waiter);
}

/* The kind's next step, or what it makes of the exception that is set. */
static enum op_step
next_step(OpObject *self, int has_failed, PyObject **ret)
{
    enum op_step step = OP_ERROR;
    KEV_GUARD(self->owner);
    if (!has_failed) {
        step = self->kind->step(self, ret);
    }
    else if (self->kind->failed != NULL) {
        step = self->kind->failed(self, ret);
    }
    KEV_UNGUARD();
    return step;
}

static PySendResult
finish(OpObject *self, enum op_step step, PyObject **ret)
{
    self->phase = OP_FINISHED;
    Py_CLEAR(self->inner);
    Py_CLEAR(self->waiter);  /* that could not be awaited */
    Py_CLEAR(self->arg);
    Py_CLEAR(self->value);
    if (step == OP_DONE) {
        return PYGEN_RETURN;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        /* It would be taken for a result. */
        PyObject *cause = KevErr_GetRaised();
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine raised StopIteration");
        PyObject *exc = KevErr_GetRaised();
        PyException_SetContext(exc, Py_NewRef(cause));
        PyException_SetCause(exc, cause);
        KevErr_SetRaised(exc);
    }
    *ret = NULL;
    return PYGEN_ERROR;
}

/* What is awaited goes on.  PYGEN_NEXT: it waits, for *ret; else it has ended,
   with self->value or an exception. */
static PySendResult
resume(OpObject *self, PyObject **ret)
{
    PyObject *value = NULL;
    PySendResult sent = self->inner != NULL
        ? PyIter_Send(self->inner, Py_None, &value)
        : KevWait_End(self->state, self->waiter, &value);
    if (sent == PYGEN_NEXT) {
        *ret = value;
        return PYGEN_NEXT;
    }
    settle(self);
    if (sent == PYGEN_RETURN) {
        Py_XSETREF(self->value, value);
    }
    return sent;
}

/* From step to step, until it must wait or is at its end. */
static PySendResult
go_on(OpObject *self, enum op_step step, PyObject **ret)
{
    while (step == OP_AWAIT) {
        PySendResult sent = resume(self, ret);
        if (sent == PYGEN_NEXT) {
            self->phase = OP_WAITING;
            return PYGEN_NEXT;
        }
        step = next_step(self, sent != PYGEN_RETURN, ret);
    }
    if (step == OP_WAIT || step == OP_YIELD) {
        self->phase = OP_WAITING;
        *ret = Py_NewRef(step == OP_WAIT ? self->waiter : Py_None);
        return PYGEN_NEXT;
    }
    return finish(self, step, ret);
}

/* From whatever it did to running: the phase it had, or -1 with an exception.
   While it runs it is this thread's alone: the phase is its lock. */
static int
start_running(OpObject *self)
{
    char phase;
    KEV_GUARD(self);
    phase = self->phase;
    if (phase == OP_NEW || phase == OP_WAITING) {
        self->phase = OP_RUNNING;
    }
    KEV_UNGUARD();
    if (phase == OP_FINISHED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot reuse already awaited coroutine");
        return -1;
    }
    if (phase == OP_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    return phase;
}

static PySendResult
send(OpObject *self, PyObject *arg, PyObject **ret)
{
    *ret = NULL;
    int phase = start_running(self);
    if (phase < 0) {
        return PYGEN_ERROR;
    }
    if (phase == OP_NEW && arg != Py_None) {
        self->phase = OP_NEW;
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a "
                                         "just-started coroutine");
        return PYGEN_ERROR;
    }
    Py_INCREF(self);  /* the step may let go of us */
    enum op_step step = self->inner != NULL || self->waiter != NULL
        ? OP_AWAIT : next_step(self, 0, ret);
    PySendResult sent = go_on(self, step, ret);
    Py_DECREF(self);
    return sent;
}

static PySendResult
op_am_send(PyObject *op, PyObject *arg, PyObject **ret)
{
    PySendResult sent = send((OpObject *)op, arg, ret);
    after_step((OpObject *)op);
    return sent;
}

PyObject *
KevOp_AsIterator(PySendResult sent, PyObject *value)
{
    if (sent == PYGEN_RETURN) {
        if (PyTuple_Check(value) || PyExceptionInstance_Check(value)) {
            /* SetObject would take it for the arguments, the exception. */
            PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
            if (stop != NULL) {
                PyErr_SetObject(PyExc_StopIteration, stop);
                Py_DECREF(stop);
            }
        }
        else if (value == Py_None) {
            PyErr_SetNone(PyExc_StopIteration);
        }
        else {
            PyErr_SetObject(PyExc_StopIteration, value);
        }
        Py_DECREF(value);
        return NULL;
    }
    return sent == PYGEN_NEXT ? value : NULL;
}

/* Before 3.12 and from 3.15 on an await asks am_send, which needs none. */
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030F0000
#define AWAITS_BY_NEXT 1
#else
#define AWAITS_BY_NEXT 0
#endif

/* A larger result is not kept. */
#define STOP_LARGEST (16 * 1024)

void
KevOp_DropStop(LoopObject *loop)
{
    PyObject *stop = loop->stop;
    if (stop == NULL) {
        return;
    }
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    loop->stop = NULL;
    Py_DECREF(stop);
    KevErr_SetRaised(exc);
}

/* Newer tuples remember theirs. */
static inline void
forget_hash(PyObject *tuple)
{
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)tuple)->ob_hash = -1;
#else
    (void)tuple;
#endif
}

/* Puts value, stolen, in the place of the last one.  1, or 0 if it cannot. */
static int
refill(PyObject *stop, PyObject *value)
{
    PyStopIterationObject *self = (PyStopIterationObject *)stop;
    PyObject *args = self->args;
    if (Py_REFCNT(args) == 1) {
        PyObject *last = PyTuple_GET_ITEM(args, 0);
        PyTuple_SET_ITEM(args, 0, Py_NewRef(value));
        forget_hash(args);
        Py_DECREF(last);
    }
    else {
        args = PyTuple_Pack(1, value);
        if (args == NULL) {
            PyErr_Clear();
            return 0;
        }
        Py_SETREF(self->args, args);
    }
    Py_SETREF(self->value, value);
    return 1;
}

/* Raises the StopIteration of a result, stolen: bytes. */
static void
stop_with(LoopObject *loop, PyObject *value)
{
    PyObject *stop = loop->stop;
    if (stop != NULL && KevOp_IsOurs(stop)) {
        Py_INCREF(stop);  /* making a tuple may run the collector */
        if (refill(stop, value)) {
            KevErr_SetRaised(stop);
            return;
        }
        Py_DECREF(stop);
    }
    Py_INCREF(loop);
    stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    Py_DECREF(value);
    if (stop != NULL) {
        KevErr_SetRaised(Py_NewRef(stop));
        /* The last one may be a program's, whose end may run anything. */
        KevOp_DropStop(loop);
        if (loop->stop == NULL) {
            loop->stop = stop;
        }
        else {
            Py_DECREF(stop);
        }
    }
    Py_DECREF(loop);
}

/* Is it in a callback of its loop that a reader's operation ends?  Not while
   an exception is being handled, which would be the context of ours. */
static int
may_keep_stop(OpObject *self)
{
    if (!AWAITS_BY_NEXT || !MAY_REUSE || self->loop == NULL
        || !self->loop->dispatching
        || self->kind->settle != KevReader_SettleWait) {
        return 0;
    }
    PyObject *handled = PyErr_GetHandledException();
    Py_XDECREF(handled);
    return handled == NULL;
}

/* The next step, told as an iterator tells it. */
static PyObject *
next_of(OpObject *self)
{
    if (MAY_REUSE && self->phase == OP_NEW && self->kind->is_none != NULL
        && self->kind->is_none(self)) {
        self->phase = OP_FINISHED;
        return NULL;  /* no exception: the result is None */
    }
    PyObject *value = NULL;
    PySendResult sent = send(self, Py_None, &value);
    if (sent == PYGEN_RETURN) {
        if (value == Py_None) {
            Py_DECREF(value);
            return NULL;
        }
        if (PyBytes_CheckExact(value)
            && PyBytes_GET_SIZE(value) <= STOP_LARGEST
            && may_keep_stop(self)) {
            stop_with(self->loop, value);
            return NULL;
        }
    }
    return KevOp_AsIterator(sent, value);
}

static PyObject *
op_iternext(PyObject *op)
{
    PyObject *ret = next_of((OpObject *)op);
    after_step((OpObject *)op);
    return ret;
}

static PyObject *
op_send(PyObject *op, PyObject *arg)
{
    PyObject *value = NULL;
    PySendResult sent = send((OpObject *)op, arg, &value);
    PyObject *ret = KevOp_AsIterator(sent, value);
    after_step((OpObject *)op);
    return ret;
}

/* ---- throw and close ------------------------------------------------ */

void
KevOp_SetThrown(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *exc = NULL;
    if (PyExceptionInstance_Check(type)) {
        if (value != NULL && value != Py_None) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not "
                                             "have a separate value");
            return;
        }
        exc = Py_NewRef(type);
    }
    else if (PyExceptionClass_Check(type)) {
        if (value == NULL || value == Py_None) {
            exc = PyObject_CallNoArgs(type);
        }
        else if (PyObject_TypeCheck(value, (PyTypeObject *)type)) {
            exc = Py_NewRef(value);
        }
        else if (PyTuple_Check(value)) {
            exc = PyObject_Call(type, value, NULL);
        }
        else {
            exc = PyObject_CallOneArg(type, value);
        }
    }
    if (exc == NULL || !PyExceptionInstance_Check(exc)) {
        Py_XDECREF(exc);
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError,
                         "exceptions must be classes or instances deriving "
                         "from BaseException, not %s",
                         Py_TYPE(type)->tp_name);
        }
        return;
    }
    if (traceback != NULL && traceback != Py_None
        && PyException_SetTraceback(exc, traceback) < 0) {
        Py_DECREF(exc);
        return;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
}

/* Hands the exception that is set to what is awaited.  1: it yielded *ret
   again; 0: it returned a value, now self->value; -1: it raised. */
static int
throw_inside(OpObject *self, PyObject **ret)
{
    if (self->inner == NULL || self->waiter != NULL) {
        return -1;  /* a future only passes it on */
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *value = PyObject_CallMethod(self->inner, "throw", "O", exc);
    Py_DECREF(exc);
    if (value != NULL) {
        *ret = value;
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return -1;
    }
    PyObject *stop = KevErr_GetRaised();
    value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    Py_XSETREF(self->value, value);
    return value == NULL ? -1 : 0;
}

/* Goes on with the exception that is set; phase is what it was in. */
static PyObject *
go_on_with_exception(OpObject *self, int phase)
{
    PyObject *ret = NULL;
    if (phase == OP_NEW) {
        return KevOp_AsIterator(finish(self, OP_ERROR, &ret), NULL);
    }
    int r = throw_inside(self, &ret);
    if (r > 0) {
        self->phase = OP_WAITING;
        return ret;
    }
    settle(self);
    enum op_step step = next_step(self, r < 0, &ret);
    PySendResult sent = go_on(self, step, &ret);
    return KevOp_AsIterator(sent, ret);
}

static PyObject *
op_throw(PyObject *op, PyObject *args)
{
    OpObject *self = (OpObject *)op;
    PyObject *type;
    PyObject *value = NULL;
    PyObject *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) {
        return NULL;
    }
    int phase = start_running(self);
    if (phase < 0) {
        return NULL;
    }
    KevOp_SetThrown(type, value, traceback);
    PyObject *ret = go_on_with_exception(self, phase);
    after_step(self);
    return ret;
}

static PyObject *
op_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    OpObject *self = (OpObject *)op;
    int phase = start_running(self);
    if (phase < 0) {
        if (KEV_PEEK(self->phase) != OP_FINISHED) {
            return NULL;
        }
        PyErr_Clear();  /* to close it again is nothing */
        Py_RETURN_NONE;
    }
    PyObject *res = Py_NewRef(Py_None);
    if (phase == OP_WAITING) {
        if (self->inner != NULL && self->waiter == NULL) {
            Py_SETREF(res, PyObject_CallMethod(self->inner, "close", NULL));
        }
        settle(self);
    }
    self->phase = OP_FINISHED;
    Py_CLEAR(self->arg);
    Py_CLEAR(self->value);
    after_step(self);
    return res;
}

/* ---- the type ------------------------------------------------------- */

static PyObject *
op_get_name(PyObject *op, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((OpObject *)op)->kind->name);
}

static PyObject *
op_get_qualname(PyObject *op, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((OpObject *)op)->kind->qualname);
}

static PyObject *
op_repr(PyObject *op)
{
    return PyUnicode_FromFormat("<coroutine object %s at %p>",
                                ((OpObject *)op)->kind->qualname, op);
}

static PyObject *
op_await(PyObject *op)
{
    if (KEV_PEEK(((OpObject *)op)->phase) == OP_WAITING) {
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(op);
}

static int
op_traverse(PyObject *op, visitproc visit, void *arg)
{
    OpObject *self = (OpObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->loop);
    Py_VISIT(self->owner);
    Py_VISIT(self->inner);
    Py_VISIT(self->waiter);
    Py_VISIT(self->value);
    Py_VISIT(self->arg);
    return 0;
}

static int
op_clear(PyObject *op)
{
    OpObject *self = (OpObject *)op;
    Py_CLEAR(self->inner);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->value);
    Py_CLEAR(self->arg);
    Py_CLEAR(self->owner);
    LoopObject *loop = self->loop;
    self->loop = NULL;
    Py_XDECREF((PyObject *)loop);
    return 0;
}

static void
op_finalize(PyObject *op)
{
    OpObject *self = (OpObject *)op;
    self->finalized = 1;
    if (self->phase == OP_FINISHED) {
        return;
    }
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    if (self->phase == OP_NEW) {
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                             "coroutine '%s' was never awaited",
                             self->kind->qualname) < 0) {
            PyErr_WriteUnraisable(op);
        }
        self->phase = OP_FINISHED;
    }
    else {
        PyObject *res = op_close(op, NULL);
        if (res == NULL) {
            PyErr_WriteUnraisable(op);
        }
        Py_XDECREF(res);
    }
    KevErr_SetRaised(exc);
}

static void
op_dealloc(PyObject *op)
{
    if (((OpObject *)op)->phase != OP_FINISHED
        && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;  /* brought back to life */
    }
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)op_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef op_methods[] = {
    {"send", op_send, METH_O, NULL},
    {"throw", op_throw, METH_VARARGS, NULL},
    {"close", op_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef op_getset[] = {
    {"__name__", op_get_name, NULL, NULL, NULL},
    {"__qualname__", op_get_qualname, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot op_slots[] = {
    {Py_tp_doc, "What a method of a stream returns to be awaited."},
    {Py_tp_repr, op_repr},
    {Py_tp_methods, op_methods},
    {Py_tp_getset, op_getset},
    {Py_tp_iter, PyObject_SelfIter},  /* of what __await__() gives */
    {Py_tp_iternext, op_iternext},
    {Py_am_await, op_await},
    {Py_am_send, op_am_send},
    {Py_tp_traverse, op_traverse},
    {Py_tp_clear, op_clear},
    {Py_tp_finalize, op_finalize},
    {Py_tp_dealloc, op_dealloc},
    {0, NULL},
};

static PyType_Spec op_spec = {
    .name = "kevent._core.StreamOperation",
    .basicsize = sizeof(OpObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = op_slots,
};

/* ---- what the stream types share ------------------------------------ */

int
KevStreams_Dereference(PyObject *reference, PyObject **ret)
{
    *ret = NULL;
    if (!KevStreams_IsSet(reference)) {
        return 0;
    }
    if (!PyWeakref_CheckRef(reference)) {
        *ret = PyObject_CallNoArgs(reference);
        if (*ret == Py_None) {
            Py_CLEAR(*ret);
            return 0;
        }
        return *ret == NULL ? -1 : 1;
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyWeakref_GetRef(reference, ret);
#else
    PyObject *found = PyWeakref_GetObject(reference);
    if (found == NULL) {
        return -1;
    }
    if (found == Py_None) {
        return 0;
    }
    *ret = Py_NewRef(found);
    return 1;
#endif
}

/* ---- setting up ----------------------------------------------------- */

static int
look_up_errors(ModState *state)
{
    PyObject *exceptions = PyImport_ImportModule("asyncio.exceptions");
    if (exceptions == NULL) {
        return -1;
    }
    int is_whole =
        (state->incomplete_read_error = PyObject_GetAttrString(
             exceptions, "IncompleteReadError")) != NULL
        && (state->limit_overrun_error = PyObject_GetAttrString(
                exceptions, "LimitOverrunError")) != NULL
        && (state->invalid_state_error = PyObject_GetAttrString(
                exceptions, "InvalidStateError")) != NULL;
    Py_DECREF(exceptions);
    return is_whole ? 0 : -1;
}

int
KevStreams_Setup(PyObject *module, ModState *state)
{
    if (look_up_errors(state) < 0) {
        return -1;
    }
    state->newline = PyBytes_FromStringAndSize("\n", 1);
    if (state->newline == NULL
        || KevModule_AddType(module, &op_spec, NULL, &state->op_type, 0) < 0
        || KevFeed_Setup(state) < 0
        || KevWaiter_Setup(module, state) < 0
        || KevReader_Setup(module, state) < 0
        || KevStreamProtocol_Setup(module, state) < 0) {
        return -1;
    }
    return KevWriter_Setup(module, state);
}
