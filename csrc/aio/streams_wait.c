/*
 * streams_wait.c - the future that a read waits for: made, awaited, done.
 *
 * What is awaited over and over is served by one future and one handle, which
 * a reader keeps between its waits (struct waiting).  The future is set and
 * initialised again; nobody else may have it, and nobody does who does not
 * ask a reader or a task for its private attributes.  The handle calls what
 * the task has given to the future to be woken by: it is taken away from
 * there and queued by ourselves, where set_result() would call call_soon().
 * A program sees what it sees on asyncio: the same states of the future at
 * the same times, the same handle in the queue.
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

/* result() says that it is not done: it waits on if a task has taken it. */
static PySendResult
not_done(ModState *state, PyObject *future, PyObject **ret)
{
    PyGetSetDef *blocking = blocking_of(state);
    PyErr_Clear();
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
    return res == NULL ? -1 : 0;
}

int
KevStreams_WakeUp(ModState *state, PyObject *future)
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
    return 0;
}

/* ---- one future for many waits ---------------------------------------- */

void
KevWait_Clear(struct waiting *self)
{
    LoopObject *loop = self->loop;
    if (loop != NULL && loop->warm == self) {
        loop->warm = NULL;
    }
    self->woken = 0;
    self->loop = NULL;
    Py_CLEAR(self->handle);
    Py_CLEAR(self->future);
    Py_XDECREF((PyObject *)loop);
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

/* Has nobody else the future?  The handle has it, and who runs the handle. */
static int
is_alone(const struct waiting *self)
{
    if (self->handle == NULL) {
        return Py_REFCNT(self->future) == 1;
    }
    int running = self->loop->running == self->handle;
    return Py_REFCNT(self->handle) == 1 + running
        && Py_REFCNT(self->future) == 2 + running;
}

/* The future as it was when it was made.  0 or -1. */
static int
renew(ModState *state, struct waiting *self)
{
    return Py_TYPE(self->future)->tp_init(self->future, state->no_args,
                                          NULL);
}

/* Is this the loop whose future __init__() would make?  1, 0 or -1. */
static int
is_running(ModState *state, PyObject *loop)
{
    PyObject *running = PyObject_CallNoArgs(state->get_running_loop);
    if (running == NULL) {
        return -1;
    }
    Py_DECREF(running);
    return running == loop;
}

/* A new one, to be kept if it may be. */
static PyObject *
begin(ModState *state, struct waiting *self, PyObject *loop)
{
    KevWait_Clear(self);
    PyObject *future = KevStreams_NewFuture(state, loop);
    if (future != NULL
        && (PyObject *)Py_TYPE(future) == state->future_type
        && PyObject_TypeCheck(loop, (PyTypeObject *)state->loop_type)) {
        self->future = Py_NewRef(future);
        self->loop = (LoopObject *)Py_NewRef(loop);
    }
    return future;
}

PyObject *
KevWait_New(ModState *state, struct waiting *self, PyObject *loop)
{
    LoopObject *ours = self->loop;
    if (ours == NULL || (PyObject *)ours != loop || ours->debug
        || !is_alone(self) || !KevLoop_Owns(ours, LOOP_CREATE_FUTURE)) {
        return begin(state, self, loop);
    }
    int r = is_running(state, loop);
    if (r == 0) {
        return begin(state, self, loop);
    }
    if (r < 0 || renew(state, self) < 0) {
        KevWait_Clear(self);
        return NULL;
    }
    if (ours->warm == self) {
        ours->warm = NULL;
    }
    return Py_NewRef(self->future);
}

/* Is it what a task of asyncio's in C is woken by? */
static int
is_wakeup(ModState *state, PyObject *callback)
{
    if (!PyCFunction_CheckExact(callback)
        || strcmp(((PyCFunctionObject *)callback)->m_ml->ml_name,
                  "task_wakeup") != 0) {
        return 0;
    }
    PyObject *task = PyCFunction_GetSelf(callback);
    return task != NULL && PyType_Check(state->task_type)
        && PyObject_TypeCheck(task, (PyTypeObject *)state->task_type);
}

/* A handle that does what the future's only callback asks for.  1; 0 if that
   is not a task's; -1. */
static int
learn(ModState *state, struct waiting *self)
{
    PyGetSetDef *getset =
        ((PyGetSetDescrObject *)state->future_callbacks)->d_getset;
    PyObject *callbacks = getset->get(self->future, getset->closure);
    if (callbacks == NULL) {
        return -1;
    }
    int r = 0;
    if (PyList_CheckExact(callbacks) && PyList_GET_SIZE(callbacks) == 1) {
        PyObject *entry = PyList_GET_ITEM(callbacks, 0);
        PyObject *callback = PyTuple_GET_ITEM(entry, 0);
        PyObject *context = PyTuple_GET_ITEM(entry, 1);
        if (is_wakeup(state, callback) && PyContext_CheckExact(context)) {
            self->handle = KevHandle_New(state, self->loop, callback,
                                         &self->future, 1, context);
            r = self->handle == NULL ? -1 : 1;
        }
    }
    Py_DECREF(callbacks);
    return r;
}

/* Takes the handle's callback away from the future.  1; 0 if it is not there;
   -1. */
static int
take_callback(ModState *state, struct waiting *self)
{
    HandleObject *handle = (HandleObject *)self->handle;
    PyObject *stack[2] = {self->future, handle->callback};
    PyObject *count = PyObject_Vectorcall(state->future_uncall, stack, 2,
                                          NULL);
    if (count == NULL) {
        return -1;
    }
    long taken = PyLong_AsLong(count);
    Py_DECREF(count);
    return taken > 0;
}

/* The handle is right for the one who waits now, and his callback is taken.
   1, 0 or -1. */
static int
take_handle(ModState *state, struct waiting *self)
{
    if (self->handle != NULL) {
        HandleObject *handle = (HandleObject *)self->handle;
        int r = 0;
        if (Py_REFCNT(handle) == 1 && handle->cancelled == Py_False
            && handle->arg == self->future && handle->callback != NULL) {
            r = take_callback(state, self);
        }
        if (r != 0) {
            return r;
        }
        Py_CLEAR(self->handle);
    }
    int r = learn(state, self);
    return r <= 0 ? r : take_callback(state, self);
}

int
KevWait_WakeUp(ModState *state, struct waiting *self, PyObject *future)
{
    LoopObject *loop = self->loop;
    if (future != self->future || loop->debug || KEV_PEEK(loop->closed)
        || !KevLoop_Owns(loop, LOOP_CALL_SOON)) {
        return KevStreams_WakeUp(state, future);
    }
    int r = take_handle(state, self);
    if (r > 0) {
        r = KevReady_Push(loop->ready, self->handle);
    }
    if (r < 0 || KevStreams_WakeUp(state, future) < 0) {
        return -1;
    }
    self->woken = 1;
    return 0;
}

void
KevWait_Settle(struct waiting *self, PyObject *future)
{
    if (future != self->future) {
        return;
    }
    if (!self->woken) {
        KevWait_Clear(self);
        return;
    }
    self->woken = 0;
    if (self->handle != NULL && self->loop->warm != self) {
        if (self->loop->warm != NULL) {
            KevWait_Cool(self->loop);
        }
        self->loop->warm = self;
    }
}

#endif

void
KevWait_Cool(LoopObject *loop)
{
    struct waiting *warm = loop->warm;
    loop->warm = NULL;
    Py_CLEAR(warm->handle);
}
