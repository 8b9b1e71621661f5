/*
 * streams_wait.c - the future that a read waits for: made, awaited, done.
 *
 * A task that reads, and reads again in the same callback, is served by one
 * future and one handle (struct waiting).  The future is set, and initialised
 * again for the next wait; the handle calls what the task has given to the
 * future to be woken by, which is taken away from there and queued by
 * ourselves, where set_result() would call call_soon().  All that only while
 * nobody else has a part in it: a reference, a weak one, an attribute, another
 * callback, a method of the loop that is not ours.  A program sees what it
 * sees on asyncio: the same states of the future at the same times, the same
 * handle in the queue; whoever takes a wait's future has it for himself.
 *
 * Without the GIL nobody can say that nobody else has a thing: then, and in
 * debug mode, each wait has a future of its own.
 */
#include "aio/streams.h"

#include <string.h>

#include "aio/compat.h"
#include "aio/guard.h"
#include "aio/loop.h"

PyObject *
KevStreams_NewFuture(ModState *state, PyObject *loop)
{
    if (!KevStreams_IsSet(loop)) {
        PyErr_SetString(PyExc_AttributeError, "the stream has no _loop");
        return NULL;
    }
    return PyObject_CallMethodNoArgs(loop, state->str_create_future);
}

/* ---- awaiting it ------------------------------------------------------ */

static PyGetSetDef *
blocking_of(ModState *state)
{
    return ((PyGetSetDescrObject *)state->future_blocking)->d_getset;
}

int
KevWait_Begin(ModState *state, PyObject *future)
{
    PyGetSetDef *blocking = blocking_of(state);
    return blocking->set(future, Py_True, blocking->closure);
}

/* InvalidStateError of result(): the future's own, or that it is not done.
   Then it waits on if a task has taken it. */
static PySendResult
not_done(ModState *state, PyObject *future, PyObject **ret)
{
    PyGetSetDef *blocking = blocking_of(state);
    PyObject *exc = KevErr_GetRaised();
    PyObject *done = PyObject_CallMethodNoArgs(future, state->str_done);
    if (done != Py_False) {
        Py_XDECREF(done);
        KevErr_SetRaised(exc);
        return PYGEN_ERROR;
    }
    Py_DECREF(done);
    Py_DECREF(exc);
    PyObject *is_blocking = blocking->get(future, blocking->closure);
    if (is_blocking == NULL) {
        return PYGEN_ERROR;
    }
    Py_DECREF(is_blocking);
    if (is_blocking == Py_True) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return PYGEN_ERROR;
    }
    if (KevWait_Begin(state, future) < 0) {
        return PYGEN_ERROR;
    }
    *ret = Py_NewRef(future);
    return PYGEN_NEXT;
}

PySendResult
KevWait_End(ModState *state, PyObject *future, PyObject **ret)
{
    PyObject *stack[1] = {future};
    *ret = PyObject_Vectorcall(state->future_result, stack, 1, NULL);
    if (*ret != NULL) {
        return PYGEN_RETURN;
    }
    return PyErr_ExceptionMatches(state->invalid_state_error)
        ? not_done(state, future, ret) : PYGEN_ERROR;
}

/* ---- waking ----------------------------------------------------------- */

/* A future that is done already: 0 if it was cancelled, otherwise -1 with the
   exception that is set. */
static int
forgive_cancelled(ModState *state, PyObject *future)
{
    if (!PyErr_ExceptionMatches(state->invalid_state_error)) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *cancelled = PyObject_CallMethodNoArgs(future,
                                                    state->str_cancelled);
    int is_cancelled = cancelled == NULL ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (is_cancelled == 0) {
        KevErr_SetRaised(exc);
        return -1;
    }
    Py_DECREF(exc);
    return is_cancelled < 0 ? -1 : 0;
}

/* The same, asked before, as asyncio does: of a future that is not in C. */
static int
wake_any(ModState *state, PyObject *future)
{
    PyObject *cancelled = PyObject_CallMethodNoArgs(future,
                                                    state->str_cancelled);
    int is_cancelled = cancelled == NULL ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (is_cancelled != 0) {
        return is_cancelled < 0 ? -1 : 0;
    }
    PyObject *res = PyObject_CallMethodOneArg(future, state->str_set_result,
                                              Py_None);
    Py_XDECREF(res);
    return res == NULL ? -1 : 1;
}

/* 1: it is done now; 0: it was cancelled before; -1. */
static int
wake_up(ModState *state, PyObject *future)
{
    if ((PyObject *)Py_TYPE(future) != state->future_type) {
        return wake_any(state, future);
    }
    PyObject *stack[2] = {future, Py_None};
    PyObject *res = PyObject_Vectorcall(state->future_set_result, stack, 2,
                                        NULL);
    if (res == NULL) {
        return forgive_cancelled(state, future);
    }
    Py_DECREF(res);
    return 1;
}

int
KevStreams_WakeUp(ModState *state, PyObject *future)
{
    return wake_up(state, future) < 0 ? -1 : 0;
}

/* ---- one future for many waits ---------------------------------------- */

void
KevWait_Clear(struct waiting *self)
{
    struct waiting old = *self;
    if (old.loop != NULL && old.loop->warm == self) {
        old.loop->warm = NULL;
    }
    *self = (struct waiting){.future = NULL};
    /* Any of them may run a program, which may wait here again. */
    Py_XDECREF(old.handle);
    Py_XDECREF(old.future);
    Py_XDECREF((PyObject *)old.loop);
}

#ifdef Py_GIL_DISABLED

PyObject *
KevWait_New(ModState *state, struct waiting *Py_UNUSED(self), PyObject *loop)
{
    return KevStreams_NewFuture(state, loop);
}

int
KevWait_WakeUp(ModState *state, struct waiting *Py_UNUSED(self),
               PyObject *future)
{
    return KevStreams_WakeUp(state, future);
}

void
KevWait_Settle(struct waiting *Py_UNUSED(self), PyObject *Py_UNUSED(future))
{
}

#else

static inline int
has_weakrefs(PyObject *object)
{
    return *PyObject_GET_WEAKREFS_LISTPTR(object) != NULL;
}

/* Does nobody else know future and handle?  The handle has the future, and so
   has who runs it. */
static int
is_alone(const struct waiting *self)
{
    int handles = self->handle != NULL;
    int runs = handles && self->loop->running == self->handle;
    return Py_REFCNT(self->future) == 1 + handles + runs
        && !has_weakrefs(self->future)
        && (!handles || (Py_REFCNT(self->handle) == 1 + runs
                         && !has_weakrefs(self->handle)));
}

/* Would the loop make a future of this class?  Looked up once in a pass.  1, 0
   or -1. */
static int
is_usual(ModState *state, LoopObject *loop)
{
    if (loop->usual_pass == loop->pass) {
        return 1;
    }
    PyObject *future_class = KevLoop_FutureClass(state);
    Py_XDECREF(future_class);
    if (future_class != state->future_type) {
        return future_class == NULL ? -1 : 0;
    }
    loop->usual_pass = loop->pass;
    return 1;
}

/* The future as __init__() makes it of the running loop.  1; 0 if that is
   another; -1. */
static int
renew(ModState *state, PyObject *future, PyObject *loop)
{
    PyGetSetDef *getset =
        ((PyGetSetDescrObject *)state->future_loop)->d_getset;
    if (Py_TYPE(future)->tp_init(future, state->no_args, NULL) < 0) {
        return -1;
    }
    PyObject *its_loop = getset->get(future, getset->closure);
    Py_XDECREF(its_loop);
    return its_loop == NULL ? -1 : its_loop == loop;
}

/* A new one, to be kept if it may be. */
static PyObject *
begin(ModState *state, struct waiting *self, PyObject *loop)
{
    KevWait_Clear(self);
    PyObject *future = KevStreams_NewFuture(state, loop);
    if (future != NULL && self->future == NULL
        && (PyObject *)Py_TYPE(future) == state->future_type
        && PyObject_TypeCheck(loop, (PyTypeObject *)state->loop_type)) {
        self->future = Py_NewRef(future);
        self->loop = (LoopObject *)Py_NewRef(loop);
    }
    return future;
}

/* loop is held, and the one that we know. */
static PyObject *
begin_again(ModState *state, struct waiting *self, PyObject *loop)
{
    LoopObject *ours = (LoopObject *)loop;
    /* First what may run a program, as its metaclass may. */
    int may = KevLoop_Owns(ours, LOOP_CREATE_FUTURE)
        && KevLoop_Owns(ours, LOOP_GET_DEBUG) ? is_usual(state, ours) : 0;
    if (may < 0) {
        return NULL;
    }
    if (!may || self->loop != ours || ours->debug || !is_alone(self)) {
        return begin(state, self, loop);
    }
    PyObject *future = Py_NewRef(self->future);
    int r = renew(state, future, loop);
    if (r > 0 && self->future == future) {
        if (ours->warm == self) {
            ours->warm = NULL;
        }
        return future;
    }
    Py_DECREF(future);
    if (r == 0) {
        return begin(state, self, loop);
    }
    KevWait_Clear(self);
    return NULL;
}

PyObject *
KevWait_New(ModState *state, struct waiting *self, PyObject *loop)
{
    if (loop == NULL || (PyObject *)self->loop != loop) {
        return begin(state, self, loop);
    }
    Py_INCREF(loop);
    PyObject *future = begin_again(state, self, loop);
    Py_DECREF(loop);
    return future;
}

/* What a future has that only a task of asyncio's in C waits for.  All
   borrowed. */
struct look {
    const struct waiting *waiting;
    PyObject *callback;
    PyObject *context;
    PyObject *task;           /* that it tells the debugger of, from 3.14 on */
};

static int
look_at(PyObject *object, void *arg)
{
    struct look *look = arg;
    const struct waiting *waiting = look->waiting;
    PyObject **place;
    if (object == (PyObject *)waiting->loop
        || object == (PyObject *)Py_TYPE(waiting->future)) {
        return 0;
    }
    if (PyCFunction_CheckExact(object)) {
        place = &look->callback;
    }
    else if (PyContext_CheckExact(object)) {
        place = &look->context;
    }
    else {
        place = &look->task;
    }
    if (*place != NULL) {
        return 1;
    }
    *place = object;
    return 0;
}

/* Is it what a task in C is woken by? */
static int
is_wakeup(ModState *state, PyObject *callback)
{
    PyMethodDef *method = ((PyCFunctionObject *)callback)->m_ml;
    PyObject *task = PyCFunction_GET_SELF(callback);
    if (task == NULL || !PyType_Check(state->task_type)
        || !PyObject_TypeCheck(task, (PyTypeObject *)state->task_type)) {
        return 0;
    }
    if (method != state->aio.task_wakeup) {
        if (strcmp(method->ml_name, "task_wakeup") != 0) {
            return 0;
        }
        state->aio.task_wakeup = method;
    }
    return 1;
}

/* Has the future one callback, a task's, and nothing of a program's? */
static int
is_plain(ModState *state, struct look *look)
{
    PyObject *future = look->waiting->future;
    return Py_TYPE(future)->tp_traverse(future, look_at, look) == 0
        && look->callback != NULL && look->context != NULL
        && is_wakeup(state, look->callback)
        && (look->task == NULL
            || look->task == PyCFunction_GET_SELF(look->callback));
}

/* Has no program changed the handle? */
static int
is_whole(const struct waiting *self)
{
    const HandleObject *handle = (const HandleObject *)self->handle;
    return handle != NULL && Py_REFCNT(handle) == 1
        && handle->arg == self->future && handle->args == NULL
        && handle->loop == (PyObject *)self->loop
        && handle->cancelled == Py_False && handle->repr == Py_None
        && handle->source_traceback == Py_None
        && !has_weakrefs(self->handle);
}

/* A handle for the future; it may run the collector.  0 or -1. */
static int
make_handle(ModState *state, struct waiting *self)
{
    PyObject *before = self->handle;
    self->handle = KevHandle_New(state, self->loop, Py_None, &self->future, 1,
                                 state->no_args);
    int r = self->handle == NULL ? -1 : 0;
    Py_XDECREF(before);
    return r;
}

/*
 * Does for the future's only callback what set_result() would: the handle is
 * queued, the callback taken away.  No program runs meanwhile.  1 or -1.  What
 * the handle had before is handed over in old.
 */
static int
queue_handle(ModState *state, struct waiting *self, const struct look *found,
             PyObject *old[2])
{
    struct look look = *found;
    HandleObject *handle = (HandleObject *)self->handle;
    if (KevReady_Reserve(self->loop->ready) < 0) {
        return -1;
    }
    PyObject *stack[2] = {self->future, look.callback};
    Py_INCREF(look.callback);
    Py_INCREF(look.context);
    PyObject *count = PyObject_Vectorcall(state->future_uncall, stack, 2,
                                          NULL);
    if (count == NULL) {
        Py_DECREF(look.callback);
        Py_DECREF(look.context);
        return -1;
    }
    Py_DECREF(count);
    old[0] = handle->callback;
    old[1] = handle->context;
    handle->callback = look.callback;
    handle->context = look.context;
    return KevReady_Push(self->loop->ready, self->handle) < 0 ? -1 : 1;
}

/* KevWait_WakeUp() with a loop that is held. */
static int
wake_again(ModState *state, struct waiting *self, LoopObject *loop,
           PyObject *future)
{
    if (!KevLoop_Owns(loop, LOOP_CALL_SOON) || self->loop != loop
        || self->future != future || loop->debug || KEV_PEEK(loop->closed)) {
        return KevStreams_WakeUp(state, future);
    }
    struct look look = {.waiting = self};
    PyObject *old[2] = {NULL, NULL};
    int r = is_plain(state, &look);
    if (r > 0 && !is_whole(self)) {
        if (make_handle(state, self) < 0) {
            return -1;
        }
        look = (struct look){.waiting = self};
        r = self->loop == loop && self->future == future && is_whole(self)
            && is_plain(state, &look);
    }
    if (r > 0) {
        r = queue_handle(state, self, &look, old);
    }
    int is_queued = r > 0;
    if (r >= 0) {
        r = wake_up(state, future);
    }
    if (self->future == future) {
        self->woken = r > 0;
        if (!is_queued) {
            KevWait_Clear(self);  /* somebody has had a part in it */
        }
    }
    Py_XDECREF(old[0]);
    Py_XDECREF(old[1]);
    return r < 0 ? -1 : 0;
}

int
KevWait_WakeUp(ModState *state, struct waiting *self, PyObject *future)
{
    LoopObject *loop = self->loop;
    if (loop == NULL || self->future != future) {
        return KevStreams_WakeUp(state, future);
    }
    Py_INCREF(loop);
    int r = wake_again(state, self, loop, future);
    Py_DECREF(loop);
    return r;
}

void
KevWait_Settle(struct waiting *self, PyObject *future)
{
    if (self->future != future) {
        return;
    }
    LoopObject *loop = self->loop;
    if (!self->woken || loop->running != self->handle || loop->warm != NULL) {
        KevWait_Clear(self);
        return;
    }
    self->woken = 0;
    loop->warm = self;
}

#endif

void
KevWait_Cool(LoopObject *loop)
{
    struct waiting *warm = loop->warm;
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    loop->warm = NULL;
    KevWait_Clear(warm);
    KevErr_SetRaised(exc);
}
