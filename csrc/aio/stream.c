/*
 * stream.c - the life of a stream transport: birth, events, the end.
 */
#include "aio/stream.h"

#include <errno.h>
#include <unistd.h>

#include "aio/compat.h"
#include "aio/streams.h"

/* ---- errors --------------------------------------------------------- */

static int
must_end_pass(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit)
        || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

int
KevStream_Report(StreamObject *self, const char *message)
{
    if (must_end_pass() || self->loop == NULL) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethod((PyObject *)self, "_report", "sO",
                                        message, exc);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static int
fatal_with(StreamObject *self, PyObject *exc, const char *message)
{
    PyObject *res = PyObject_CallMethod((PyObject *)self, "_fatal_error",
                                        "Os", exc, message);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
KevStream_Fatal(StreamObject *self, const char *message)
{
    if (must_end_pass() || self->loop == NULL) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    int r = fatal_with(self, exc, message);
    Py_DECREF(exc);
    return r;
}

int
KevStream_FatalErrno(StreamObject *self, int err, const char *message)
{
    errno = err;
    (void)PyErr_SetFromErrno(PyExc_OSError);
    return KevStream_Fatal(self, message);
}

/* ---- the end -------------------------------------------------------- */

void
KevStream_Detach(StreamObject *self)
{
    if (self->attached) {
        self->attached = 0;
        KevLoop_TransportDetach(self->loop, self->fd,
                                (TransportObject *)self);
    }
}

void
KevStream_Anchor(StreamObject *self)
{
    if (self->attached) {
        KevLoop_TransportAnchor((TransportObject *)self,
                                (!self->paused && !self->read_eof)
                                    || self->wbuf.count > 0);
    }
}

/* connection_lost(exc) in the next iteration. */
static int
schedule_lost(StreamObject *self, PyObject *exc)
{
    /* Held: a subclass's attribute may lose the connection by itself. */
    LoopObject *loop;
    PyObject *context;
    KEV_GUARD(self->monitor);
    loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    context = Py_XNewRef(self->context);
    KEV_UNGUARD();
    if (loop == NULL) {
        Py_XDECREF(context);
        return 0;
    }
    PyObject *handle = NULL;
    PyObject *method = PyObject_GetAttr((PyObject *)self,
                                        loop->state->str_connection_lost_own);
    if (method != NULL && KevLoop_CheckOpen(loop) == 0) {
        handle = KevLoop_CallSoon(loop, method, &exc, 1, context);
    }
    Py_XDECREF(method);
    Py_XDECREF(context);
    Py_DECREF(loop);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* 1: connection_lost() is to be scheduled; 0: not, or not yet; -1. */
static int
begin_close(StreamObject *self)
{
    if (self->closing || self->loop == NULL) {
        return 0;
    }
    if (self->held && KevStream_SendHeld(self) < 0) {
        return -1;
    }
    if (self->closing || self->loop == NULL) {
        return 0;  /* the sending failed, and that has closed us */
    }
    self->closing = 1;
    if (self->wbuf.count > 0) {
        return 0;  /* what is buffered goes first */
    }
    self->conn_lost++;
    KevStream_Detach(self);
    return 1;
}

int
KevStream_Close(StreamObject *self)
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
KevStream_ForceClose(StreamObject *self, PyObject *exc)
{
    int r = 0;
    Py_INCREF(self);
    KEV_GUARD(self->monitor);
    if (self->conn_lost == 0 && self->loop != NULL) {
        KevWbuf_Clear(&self->wbuf);
        self->closing = 1;
        self->conn_lost++;
        KevStream_Detach(self);
        r = 1;
    }
    KEV_UNGUARD();
    if (r > 0) {
        r = schedule_lost(self, exc);
    }
    Py_DECREF(self);
    return r;
}

/* Closes the socket, by its object if there is one.  May set an exception. */
int
KevStream_CloseSocket(StreamObject *self)
{
    int fd;
    PyObject *sock;
    KEV_GUARD(self->monitor);
    fd = self->fd;
    self->fd = -1;
    sock = Py_XNewRef(self->sock);
    KEV_UNGUARD();
    if (sock != NULL) {
        PyObject *res = PyObject_CallMethod(sock, "close", NULL);
        Py_DECREF(sock);
        Py_XDECREF(res);
        return res == NULL ? -1 : 0;
    }
    if (fd >= 0) {
        (void)close(fd);  /* whatever it says, the descriptor is gone */
    }
    return 0;
}

int
KevStream_DetachServer(StreamObject *self)
{
    PyObject *server;
    KEV_GUARD(self->monitor);
    server = self->server;
    self->server = NULL;
    KEV_UNGUARD();
    if (server == NULL) {
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *res = PyObject_CallMethod(server, "_detach", "O", self);
#else
    PyObject *res = PyObject_CallMethod(server, "_detach", NULL);
#endif
    Py_DECREF(server);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* Each step of the end is taken; the first exception is the one that is told
   of, and the steps after it start without one. */
static void
first_error(PyObject **raised, int r)
{
    if (r >= 0) {
        return;
    }
    PyObject *exc = KevErr_GetRaised();
    if (*raised == NULL) {
        *raised = exc;
    }
    else {
        Py_XDECREF(exc);
    }
}

/* The first step of the end: NULL if it was lost before; else the loop, and
   the protocol to tell or NULL, new references.  Guard held. */
static LoopObject *
begin_lost(StreamObject *self, PyObject **ret_protocol)
{
    if (self->loop == NULL) {
        return NULL;
    }
    KevStream_Detach(self);
    if (self->protocol_connected && self->protocol != NULL) {
        self->protocol_connected = 0;  /* once, whoever calls us from there */
        *ret_protocol = Py_NewRef(self->protocol);
    }
    return (LoopObject *)Py_NewRef((PyObject *)self->loop);
}

/* The last: let go of everything. */
static void
end_lost(StreamObject *self)
{
    PyObject *protocol;
    PyObject *context;
    PyObject *loop;
    KEV_GUARD(self->monitor);
    protocol = self->protocol;
    context = self->context;
    loop = (PyObject *)self->loop;
    self->protocol = NULL;
    self->context = NULL;
    self->loop = NULL;
    KevWbuf_Clear(&self->wbuf);
    KEV_UNGUARD();
    Py_XDECREF(protocol);
    Py_XDECREF(context);
    Py_XDECREF(loop);
}

int
KevStream_ConnectionLost(StreamObject *self, PyObject *exc)
{
    PyObject *protocol = NULL;
    PyObject *raised = NULL;
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
        first_error(&raised, res == NULL ? -1 : 0);
        Py_XDECREF(res);
    }
    first_error(&raised, KevStream_CloseSocket(self));
    first_error(&raised, KevStream_DetachServer(self));
    if (self->empty_waiter != NULL) {
        PyObject *res = PyObject_CallMethod((PyObject *)self,
                                            "_fail_empty_waiter", NULL);
        first_error(&raised, res == NULL ? -1 : 0);
        Py_XDECREF(res);
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

/* An exception that escaped: report it, unless it must end the pass. */
static int
guard(StreamObject *self, LoopObject *loop, int r)
{
    if (r >= 0 || must_end_pass()) {
        return r;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodObjArgs(
        (PyObject *)loop, loop->state->str_stream_failed, self, exc, NULL);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/*
 * An exception left the work in the middle, and its edge is told only once:
 * read on in the next pass, and have the room to write told again.  The
 * exception stays set.
 */
static void
keep_event(StreamObject *self)
{
    PyObject *exc = KevErr_GetRaised();
    KEV_GUARD(self->monitor);
    if (self->loop != NULL && self->readable
        && KevStream_ResumeReading(self) < 0) {
        PyErr_Clear();
    }
    if (self->attached && self->want_write
        && KevLoop_StreamWantWrite(self->loop, self->fd, 1) < 0) {
        PyErr_Clear();
    }
    KEV_UNGUARD();
    KevErr_SetRaised(exc);
}

/* Loop and context are strong references that this takes over; either may be
   NULL, then there is nothing to do any more.  The caller holds self. */
static int
in_context(StreamObject *self, LoopObject *loop, PyObject *context,
           int (*work)(StreamObject *, uint32_t), uint32_t events)
{
    double started = 0;
    if (loop == NULL || context == NULL) {
        Py_XDECREF((PyObject *)loop);
        Py_XDECREF(context);
        return 0;
    }
    if (loop->debug) {
        started = (double)KevLoop_Now() / 1e9;
    }
    int r = PyContext_Enter(context);
    if (r == 0) {
        r = work(self, events);
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
        r = guard(self, loop, r);
    }
    if (r == 0 && loop->debug) {
        PyObject *res = PyObject_CallMethod(
            (PyObject *)loop, "_log_slow_stream", "Od", self, started);
        Py_XDECREF(res);
        r = res == NULL ? -1 : 0;
    }
    Py_DECREF(loop);
    Py_DECREF(context);
    return r;
}

/*
 * connection_made() runs in the pass after the one in which the transport was
 * made.  What it queues, and the task that waits for the connection, come
 * before the first data, as on asyncio's loop, which begins to watch the
 * descriptor only then.  1: so it has to wait for the next pass; 0; -1.
 */
static int
defer_newborn(StreamObject *self)
{
    int r = 0;
    KEV_GUARD(self->monitor);
    if (self->loop != NULL && self->loop->pass - self->birth_pass < 2) {
        r = KevTransport_QueueAgain((TransportObject *)self) < 0 ? -1 : 1;
    }
    KEV_UNGUARD();
    return r;
}

static int
handle_events(StreamObject *self, uint32_t events)
{
    int r = 0;
    if (self->readable) {
        r = defer_newborn(self);
        r = r == 0 ? KevStream_ReadReady(self) : r < 0 ? -1 : 0;
    }
    if (r == 0 && (events & ~(KEVENT_POLL_POLLIN | KEVENT_POLL_POLLRDHUP))
        != 0) {
        r = KevStream_WriteReady(self);
    }
    return r;
}

int
KevStream_OnEvents(StreamObject *self, uint32_t events)
{
    LoopObject *loop;
    PyObject *context;
    KEV_GUARD(self->monitor);
    if ((events & ~KEVENT_POLL_POLLOUT) != 0) {
        self->readable = 1;
        if ((events & ~(KEVENT_POLL_POLLOUT | KEVENT_POLL_POLLIN)) != 0) {
            self->drain = 1;
        }
    }
    loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    context = Py_XNewRef(self->context);
    KEV_UNGUARD();
    return in_context(self, loop, context, handle_events, events);
}

static int
handle_again(StreamObject *self, uint32_t Py_UNUSED(events))
{
    return KevStream_ReadReady(self);
}

int
KevStream_Again(StreamObject *self)
{
    LoopObject *loop = NULL;
    PyObject *context = NULL;
    KEV_GUARD(self->monitor);
    if (self->readable) {
        loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
        context = Py_XNewRef(self->context);
    }
    KEV_UNGUARD();
    return in_context(self, loop, context, handle_again, 0);
}

int
KevStream_Polling(const StreamObject *self)
{
    int reading = !self->closing && !self->paused && !self->read_eof;
    return (reading ? 1 : 0) | (self->wbuf.count > 0 ? 2 : 0);
}

/* ---- birth ---------------------------------------------------------- */

/* Is protocol a BufferedProtocol?  0 or -1. */
int
KevStream_SetProtocol(StreamObject *self, PyObject *protocol)
{
    LoopObject *loop;
    KEV_GUARD(self->monitor);
    loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    KEV_UNGUARD();
    int buffered = loop == NULL ? 0 : PyObject_IsInstance(
        protocol, loop->state->buffered_protocol);
    enum feed_way feed = loop == NULL
        ? FEED_CALL : KevFeed_Way(loop->state, protocol);
    PyObject *before = NULL;
    KEV_GUARD(self->monitor);
    if (buffered >= 0) {
        before = self->protocol;
        self->protocol = Py_NewRef(protocol);
        self->buffered = (char)buffered;
        self->feed = (char)feed;
        self->protocol_connected = loop != NULL;
    }
    KEV_UNGUARD();
    Py_XDECREF(before);
    Py_XDECREF((PyObject *)loop);
    return buffered < 0 ? -1 : 0;
}

static int
attach_server(StreamObject *self, PyObject *server)
{
    if (server == NULL || server == Py_None) {
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *res = PyObject_CallMethod(server, "_attach", "O", self);
#else
    PyObject *res = PyObject_CallMethod(server, "_attach", NULL);
#endif
    if (res == NULL) {
        return -1;
    }
    Py_DECREF(res);
    self->server = Py_NewRef(server);
    return 0;
}

/* connection_made() first, then whoever waits for the connection. */
static int
queue_birth(StreamObject *self, LoopObject *loop, PyObject *context,
            PyObject *waiter)
{
    ModState *state = self->state;
    PyObject *protocol;
    KEV_GUARD(self->monitor);
    protocol = self->loop == NULL ? NULL : Py_XNewRef(self->protocol);
    KEV_UNGUARD();
    if (protocol == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the server closed the transport as it was made");
        return -1;
    }
    PyObject *made = PyObject_GetAttr(protocol, state->str_connection_made);
    Py_DECREF(protocol);
    if (made == NULL) {
        return -1;
    }
    PyObject *arg = (PyObject *)self;
    PyObject *handle = KevLoop_CallSoon(loop, made, &arg, 1, context);
    Py_DECREF(made);
    if (handle == NULL) {
        return -1;
    }
    if (waiter != NULL && waiter != Py_None) {
        PyObject *args[2] = {waiter, Py_None};
        PyObject *told = KevLoop_CallSoon(
            loop, state->set_result_unless_cancelled, args, 2, context);
        if (told == NULL) {
            /* Then nobody hears of it at all. */
            PyObject *exc = KevErr_GetRaised();
            if (KevHandle_Cancel(state, handle) < 0) {
                PyErr_Clear();
            }
            KevErr_SetRaised(exc);
            Py_DECREF(handle);
            return -1;
        }
        Py_DECREF(told);
    }
    Py_DECREF(handle);
    return 0;
}

/* The loop reports events from now on. */
static int
attach_fd(StreamObject *self, LoopObject *loop, int fd)
{
    int r;
    KEV_GUARD(self->monitor);
    r = KevLoop_StreamAttach(loop, fd, self);
    self->attached = r == 0;
    KEV_UNGUARD();
    return r;
}

PyObject *
KevStream_New(PyTypeObject *type, LoopObject *loop, int fd, int family,
              const struct sock_peer *peer, PyObject *sock,
              PyObject *protocol, PyObject *waiter, PyObject *extra,
              PyObject *server, PyObject *context)
{
    StreamObject *self = (StreamObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        if (sock == NULL) {
            (void)close(fd);
        }
        return NULL;
    }
    KevTransport_SetLoop((TransportObject *)self, loop);
    self->fd = fd;
    self->fd_number = fd;
    self->birth_pass = loop->pass;
    self->family = (short)family;
    self->sock = Py_XNewRef(sock);
    self->high_water = STREAM_HIGH_WATER;
    self->low_water = STREAM_HIGH_WATER / 4;
    context = context != NULL && context != Py_None
        ? Py_NewRef(context) : PyContext_CopyCurrent();
    self->context = Py_XNewRef(context);
    if (self->context == NULL || KevLoop_CheckOpen(loop) < 0
        || KevStream_SetProtocol(self, protocol) < 0) {
        goto error;
    }
    if (KevSockname_Known(family)) {
        self->names = KevSockname_Both(fd, peer);
        if (self->names == NULL) {
            goto error;
        }
    }
    if (extra != NULL && extra != Py_None) {
        self->extra = PyDict_Copy(extra);
        if (self->extra == NULL) {
            goto error;
        }
    }
    if (attach_server(self, server) < 0 || attach_fd(self, loop, fd) < 0
        || queue_birth(self, loop, context, waiter) < 0) {
        goto error;
    }
    Py_DECREF(context);
    return (PyObject *)self;

error:
    {
        /* It never came to be: nobody is told, and the socket goes. */
        PyObject *exc = KevErr_GetRaised();
        Py_XDECREF(context);
        KEV_GUARD(self->monitor);
        KevStream_Detach(self);
        KEV_UNGUARD();
        if (KevStream_DetachServer(self) < 0) {
            PyErr_Clear();
        }
        if (KevStream_CloseSocket(self) < 0) {
            PyErr_Clear();
        }
        LoopObject *mine;
        KEV_GUARD(self->monitor);
        mine = self->loop;
        self->loop = NULL;
        KEV_UNGUARD();
        Py_XDECREF((PyObject *)mine);
        Py_DECREF(self);
        KevErr_SetRaised(exc);
    }
    return NULL;
}
