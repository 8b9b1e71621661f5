/*
 * streams_wait.c - the future that a read or a drain() waits for: made, given
 * to the task, done.
 *
 * What `await future` does is done here for asyncio's future in C, without an
 * iterator of its own for each wait.
 */
#include "aio/streams.h"

#include "aio/compat.h"
#include "aio/waiter.h"

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
    if (KevWaiter_Is(state, future)) {
        return KevWaiter_End((WaiterObject *)future, ret);
    }
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

int
KevStreams_WakeAny(ModState *state, PyObject *future)
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
    if (KevWaiter_Is(state, future)) {
        return KevWaiter_Wake((WaiterObject *)future);
    }
    if ((PyObject *)Py_TYPE(future) != state->future_type) {
        return KevStreams_WakeAny(state, future);
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
