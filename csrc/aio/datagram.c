/*
 * datagram.c - the life of a datagram transport: birth, events, the end.
 *
 * The contexts are asyncio's: reading goes on in a copy of the one in which it
 * began or was resumed, waiting to send in a copy of the one that had to wait,
 * connection_made() and connection_lost() in those of whoever scheduled them.
 */
#include "aio/datagram.h"

#include <errno.h>

#include "aio/compat.h"

/* ---- errors --------------------------------------------------------- */

static int
must_end_pass(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit)
        || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

/* Calls self.<method>(exc, message), or the other way round. */
static int
tell(DatagramObject *self, const char *method, const char *message,
     int exception_first)
{
    if (must_end_pass() || self->loop == NULL) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = exception_first
        ? PyObject_CallMethod((PyObject *)self, method, "Os", exc, message)
        : PyObject_CallMethod((PyObject *)self, method, "sO", message, exc);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
KevDatagram_Report(DatagramObject *self, const char *message)
{
    return tell(self, "_report", message, 0);
}

int
KevDatagram_Fatal(DatagramObject *self, const char *message)
{
    return tell(self, "_fatal_error", message, 1);
}

PyObject *
KevDatagram_Protocol(DatagramObject *self)
{
    PyObject *protocol;
    KEV_GUARD(self->monitor);
    protocol = self->loop == NULL ? NULL : Py_XNewRef(self->protocol);
    KEV_UNGUARD();
    return protocol;
}

int
KevDatagram_ErrorReceived(DatagramObject *self, int err)
{
    PyObject *protocol = KevDatagram_Protocol(self);
    if (protocol == NULL) {
        return 0;
    }
    errno = err;
    (void)PyErr_SetFromErrno(PyExc_OSError);
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodOneArg(
        protocol, self->state->str_error_received, exc);
    Py_DECREF(protocol);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
KevDatagram_CallbackFailed(DatagramObject *self, LoopObject *loop)
{
    if (must_end_pass()) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodObjArgs(
        (PyObject *)loop, loop->state->str_stream_failed, self, exc, NULL);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* ---- the end -------------------------------------------------------- */

void
KevDatagram_Detach(DatagramObject *self)
{
    if (self->attached) {
        self->attached = 0;
        KevLoop_TransportDetach(self->loop, self->fd,
                                (TransportObject *)self);
    }
}

void
KevDatagram_Anchor(DatagramObject *self)
{
    if (self->attached) {
        int reads = KevDatagram_IsReading(self) && self->read_context != NULL;
        KevLoop_TransportAnchor((TransportObject *)self,
                                reads || self->out_count > 0);
    }
}

/* connection_lost(exc) in the next iteration. */
static int
schedule_lost(DatagramObject *self, PyObject *exc)
{
    LoopObject *loop;
    KEV_GUARD(self->monitor);
    loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    KEV_UNGUARD();
    if (loop == NULL) {
        return 0;
    }
    PyObject *handle = NULL;
    PyObject *method = PyObject_GetAttr((PyObject *)self,
                                        loop->state->str_connection_lost_own);
    if (method != NULL && KevLoop_CheckOpen(loop) == 0) {
        handle = KevLoop_CallSoon(loop, method, &exc, 1, NULL);
    }
    Py_XDECREF(method);
    Py_DECREF(loop);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* 1: connection_lost() is to be scheduled; 0: not, or not yet; -1. */
static int
begin_close(DatagramObject *self)
{
    if (self->closing || self->loop == NULL) {
        return 0;
    }
    if (self->held && KevDatagram_SendHeld(self) < 0) {
        return -1;
    }
    if (self->closing || self->loop == NULL) {
        return 0;  /* the sending failed, and that has closed us */
    }
    self->closing = 1;
    KevDatagram_ClearInbox(self);
    if (self->out_count > 0) {
        return 0;  /* what is buffered goes first */
    }
    self->conn_lost++;
    KevDatagram_Detach(self);
    return 1;
}

int
KevDatagram_Close(DatagramObject *self)
{
    int r;
    Py_INCREF(self);  /* detaching lets go of us */
    KEV_GUARD(self->monitor);
    r = begin_close(self);
    KEV_UNGUARD();
    if (r > 0) {
        r = schedule_lost(self, Py_None);
    }
    Py_DECREF(self);
    return r;
}

int
KevDatagram_ForceClose(DatagramObject *self, PyObject *exc)
{
    int r = 0;
    Py_INCREF(self);
    KEV_GUARD(self->monitor);
    if (self->conn_lost == 0 && self->loop != NULL) {
        self->closing = 1;
        self->conn_lost++;
        KevDatagram_ClearInbox(self);
        KevDatagram_ClearOutbox(self);
        KevDatagram_Detach(self);
        r = 1;
    }
    KEV_UNGUARD();
    if (r > 0) {
        r = schedule_lost(self, exc);
    }
    Py_DECREF(self);
    return r;
}

/* May set an exception. */
int
KevDatagram_CloseSocket(DatagramObject *self)
{
    PyObject *sock;
    KEV_GUARD(self->monitor);
    sock = self->sock;
    self->fd = -1;
    self->sock = NULL;
    KEV_UNGUARD();
    if (sock == NULL) {
        return 0;
    }
    PyObject *res = PyObject_CallMethod(sock, "close", NULL);
    Py_DECREF(sock);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* The first step of the end: NULL if it was lost before; else the loop, and
   the protocol to tell or NULL, new references.  Guard held. */
static LoopObject *
begin_lost(DatagramObject *self, PyObject **ret_protocol)
{
    if (self->loop == NULL) {
        return NULL;
    }
    KevDatagram_Detach(self);
    if (self->protocol_connected && self->protocol != NULL) {
        self->protocol_connected = 0;  /* once, whoever calls us from there */
        *ret_protocol = Py_NewRef(self->protocol);
    }
    return (LoopObject *)Py_NewRef((PyObject *)self->loop);
}

/* The last: let go of everything. */
static void
end_lost(DatagramObject *self)
{
    PyObject *protocol;
    PyObject *read_context;
    PyObject *write_context;
    PyObject *loop;
    KEV_GUARD(self->monitor);
    KevDatagram_ClearInbox(self);
    KevDatagram_ClearOutbox(self);
    protocol = self->protocol;
    read_context = self->read_context;
    write_context = self->write_context;
    loop = (PyObject *)self->loop;
    self->protocol = NULL;
    self->read_context = NULL;
    self->write_context = NULL;
    self->loop = NULL;
    KEV_UNGUARD();
    Py_XDECREF(protocol);
    Py_XDECREF(read_context);
    Py_XDECREF(write_context);
    Py_XDECREF(loop);
}

int
KevDatagram_ConnectionLost(DatagramObject *self, PyObject *exc)
{
    PyObject *raised = NULL;
    PyObject *protocol = NULL;
    LoopObject *loop;
    Py_INCREF(self);
    KEV_GUARD(self->monitor);
    loop = begin_lost(self, &protocol);
    KEV_UNGUARD();
    if (loop == NULL) {
        Py_DECREF(self);
        return 0;
    }
    if (protocol != NULL) {
        PyObject *res = PyObject_CallMethodOneArg(
            protocol, loop->state->str_connection_lost, exc);
        Py_DECREF(protocol);
        if (res == NULL) {
            raised = KevErr_GetRaised();
        }
        Py_XDECREF(res);
    }
    if (KevDatagram_CloseSocket(self) < 0) {
        PyObject *second = KevErr_GetRaised();
        if (raised == NULL) {
            raised = second;
        }
        else {
            Py_DECREF(second);
        }
    }
    end_lost(self);
    Py_DECREF((PyObject *)loop);
    Py_DECREF(self);
    if (raised == NULL) {
        return 0;
    }
    KevErr_SetRaised(raised);
    return -1;
}

/* ---- events --------------------------------------------------------- */

/*
 * An exception left the work in the middle, and its edge is told only once:
 * read on in the next pass, and have the room to send told again.  The
 * exception stays set.
 */
static void
keep_event(DatagramObject *self)
{
    PyObject *exc = KevErr_GetRaised();
    KEV_GUARD(self->monitor);
    if (self->loop != NULL && KevDatagram_IsReading(self)
        && KevDatagram_ResumeReading(self) < 0) {
        PyErr_Clear();
    }
    if (self->attached && self->want_write
        && KevLoop_DatagramWantWrite(self->loop, self->fd, 1) < 0) {
        PyErr_Clear();
    }
    KEV_UNGUARD();
    KevErr_SetRaised(exc);
}

/* Steals loop and context. */
static int
in_context(DatagramObject *self, LoopObject *loop, PyObject *context,
           int (*work)(DatagramObject *))
{
    double started = loop->debug ? (double)KevLoop_Now() / 1e9 : 0;
    int r = PyContext_Enter(context);
    if (r == 0) {
        r = work(self);
        if (r < 0) {
            PyObject *exc = KevErr_GetRaised();
            (void)PyContext_Exit(context);
            KevErr_SetRaised(exc);
        }
        else if (PyContext_Exit(context) < 0) {
            r = -1;
        }
    }
    if (r < 0) {
        keep_event(self);
        r = KevDatagram_CallbackFailed(self, loop);
    }
    if (r == 0 && loop->debug) {
        PyObject *res = PyObject_CallMethod(
            (PyObject *)loop, "_log_slow_stream", "Od", self, started);
        Py_XDECREF(res);
        r = res == NULL ? -1 : 0;
    }
    Py_DECREF(context);
    Py_DECREF(loop);
    return r;
}

static int
read_in_context(DatagramObject *self)
{
    LoopObject *loop = NULL;
    PyObject *context = NULL;
    KEV_GUARD(self->monitor);
    if (self->loop != NULL && self->read_context != NULL
        && KevDatagram_IsReading(self)
        && (self->readable || self->in_count > 0)) {
        loop = (LoopObject *)Py_NewRef((PyObject *)self->loop);
        context = Py_NewRef(self->read_context);
    }
    KEV_UNGUARD();
    return loop == NULL ? 0
        : in_context(self, loop, context, KevDatagram_ReadReady);
}

static int
write_in_context(DatagramObject *self)
{
    LoopObject *loop = NULL;
    PyObject *context = NULL;
    KEV_GUARD(self->monitor);
    if (self->want_write && self->loop != NULL
        && self->write_context != NULL) {
        loop = (LoopObject *)Py_NewRef((PyObject *)self->loop);
        context = Py_NewRef(self->write_context);
    }
    KEV_UNGUARD();
    return loop == NULL ? 0
        : in_context(self, loop, context, KevDatagram_WriteReady);
}

int
KevDatagram_OnEvents(DatagramObject *self, uint32_t events)
{
    KEV_GUARD(self->monitor);
    if ((events & ~KEVENT_POLL_POLLOUT) != 0) {
        self->readable = 1;
        if ((events & ~(KEVENT_POLL_POLLOUT | KEVENT_POLL_POLLIN)) != 0) {
            self->drain = 1;
        }
    }
    KEV_UNGUARD();
    int r = read_in_context(self);
    if (r == 0 && (events & ~KEVENT_POLL_POLLIN) != 0) {
        r = write_in_context(self);
    }
    return r;
}

int
KevDatagram_Again(DatagramObject *self)
{
    return read_in_context(self);
}

int
KevDatagram_Polling(const DatagramObject *self)
{
    int reads = KevDatagram_IsReading(self) && self->read_context != NULL;
    return (reads ? 1 : 0) | (self->want_write ? 2 : 0);
}

/* ---- birth ---------------------------------------------------------- */

int
KevDatagram_SetProtocol(DatagramObject *self, PyObject *protocol)
{
    /* Of its class: an object may claim to have any attribute. */
    LoopObject *loop;
    KEV_GUARD(self->monitor);
    loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    KEV_UNGUARD();
    PyObject *method = loop == NULL ? Py_NewRef(Py_None) : PyObject_GetAttr(
        (PyObject *)Py_TYPE(protocol), loop->state->str_datagrams_received);
    int is_lost = loop == NULL;
    Py_XDECREF((PyObject *)loop);
    if (method == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
    }
    PyObject *before;
    KEV_GUARD(self->monitor);
    before = self->protocol;
    self->protocol = Py_NewRef(protocol);
    self->takes_lists = method != NULL && method != Py_None;
    self->protocol_connected = !is_lost;
    KEV_UNGUARD();
    Py_XDECREF(method);
    Py_XDECREF(before);
    return 0;
}

/* Steals context; guard held. */
static int
start(DatagramObject *self, PyObject *context)
{
    if (self->loop == NULL || !KevDatagram_IsReading(self)) {
        Py_DECREF(context);
        return 0;
    }
    Py_XSETREF(self->read_context, context);
    if (self->attached && !self->watched) {
        if (KevLoop_DatagramWatch(self->loop, self->fd) < 0) {
            return -1;
        }
        self->watched = 1;
    }
    KevDatagram_Anchor(self);
    return KevDatagram_ResumeReading(self);
}

int
KevDatagram_Start(DatagramObject *self)
{
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return -1;
    }
    int r;
    KEV_GUARD(self->monitor);
    r = start(self, context);
    KEV_UNGUARD();
    return r;
}
