/*
 * stream_write.c - from the program to the socket.
 *
 * write() sends at once.  But a transport whose callbacks write more than once
 * (head and body of a response) learns to hold what a callback writes until it
 * returns, and then sends it with one system call; it unlearns that when a
 * callback writes but once.  What is held goes out at once when it grows
 * large, when somebody asks how much is buffered or for the socket, at close()
 * and abort(); nothing is held when no callback runs.
 *
 * bytes are kept as they are, anything that could change under us is copied.
 */
#include "aio/stream.h"

#include <string.h>

#include "aio/compat.h"
#include "aio/netio.h"

#define IOV_COUNT 64
#define JOIN_MAX 2048
#define HELD_MAX ((size_t)64 * 1024)
#define LOST_WRITES_BEFORE_WARNING 5
#define WRITE_FAILED "Fatal write error on socket transport"

/* ---- flow control --------------------------------------------------- */

/* Steals protocol. */
static int
call_flow_control(StreamObject *self, PyObject *protocol, PyObject *name,
                  const char *failed)
{
    PyObject *res = PyObject_CallMethodNoArgs(protocol, name);
    Py_DECREF(protocol);
    if (res == NULL) {
        return KevStream_Report(self, failed);
    }
    Py_DECREF(res);
    return 0;
}

int
KevStream_MaybePauseProtocol(StreamObject *self)
{
    if (self->wbuf.size <= self->high_water || self->protocol_paused
        || self->protocol == NULL) {
        return 0;
    }
    self->protocol_paused = 1;
    return call_flow_control(self, Py_NewRef(self->protocol),
                             self->loop->state->str_pause_writing,
                             "protocol.pause_writing() failed");
}

/* The protocol to tell that it may write on, a new reference, or NULL.  Guard
   held, not so when it is told: whoever waits for that is woken then. */
static PyObject *
protocol_to_resume(StreamObject *self)
{
    if (!self->protocol_paused || self->wbuf.size > self->low_water
        || self->protocol == NULL) {
        return NULL;
    }
    self->protocol_paused = 0;
    return Py_NewRef(self->protocol);
}

/* ---- sending -------------------------------------------------------- */

/* The socket did not take all: hear when it can take more. */
static int
want_write(StreamObject *self)
{
    if (!self->attached) {
        return 0;
    }
    KevLoop_TransportAnchor((TransportObject *)self, 1);
    if (self->want_write) {
        return 0;
    }
    if (KevLoop_StreamWantWrite(self->loop, self->fd, 1) < 0) {
        return -1;
    }
    self->want_write = 1;
    return 0;
}

/* All is sent.  A TCP socket reports writability only after it has refused
   data, so it may stay armed; others tell of every read of the peer. */
static int
unwant_write(StreamObject *self)
{
    if (!self->want_write || !self->attached || self->family == AF_INET
        || self->family == AF_INET6) {
        return 0;
    }
    self->want_write = 0;
    return KevLoop_StreamWantWrite(self->loop, self->fd, 0);
}

/* A few small pieces are cheaper to copy than to list for the kernel. */
static ssize_t
send_pieces(int fd, struct iovec *iov, size_t count, size_t size)
{
    char joined[JOIN_MAX];
    if (count == 1) {
        return net_send(fd, iov[0].iov_base, iov[0].iov_len);
    }
    if (size > sizeof(joined)) {
        return net_sendv(fd, iov, count);
    }
    char *end = joined;
    for (size_t i = 0; i < count; i++) {
        memcpy(end, iov[i].iov_base, iov[i].iov_len);
        end += iov[i].iov_len;
    }
    return net_send(fd, joined, size);
}

/* Sends from the buffer.  1: it is empty, 0: the socket is full, -errno. */
static int
flush(StreamObject *self)
{
    struct iovec iov[IOV_COUNT];
    while (self->wbuf.count > 0) {
        size_t count = KevWbuf_Peek(&self->wbuf, iov, IOV_COUNT);
        size_t asked = 0;
        for (size_t i = 0; i < count; i++) {
            asked += iov[i].iov_len;
        }
        ssize_t n = send_pieces(self->fd, iov, count, asked);
        if (n == -EAGAIN || n == -EWOULDBLOCK) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        KevWbuf_Advance(&self->wbuf, (size_t)n);
        if ((size_t)n < asked) {
            return 0;
        }
    }
    return 1;
}

/* Tells who waits for an empty buffer, if anybody does. */
static int
call_waiter(StreamObject *self, PyObject *name, PyObject *value)
{
    PyObject *waiter;
    KEV_GUARD(self->monitor);
    waiter = Py_XNewRef(self->empty_waiter);
    KEV_UNGUARD();
    if (waiter == NULL) {
        return 0;
    }
    PyObject *res = PyObject_CallMethodOneArg(waiter, name, value);
    Py_DECREF(waiter);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static int
write_failed(StreamObject *self, int err)
{
    PyObject *waiter;
    KEV_GUARD(self->monitor);
    KevWbuf_Clear(&self->wbuf);
    waiter = Py_XNewRef(self->empty_waiter);
    KEV_UNGUARD();
    PyObject *exc = NULL;
    if (waiter != NULL) {
        exc = PyObject_CallFunction(PyExc_OSError, "is", err, strerror(err));
    }
    int r = KevStream_FatalErrno(self, err, WRITE_FAILED);
    if (r == 0 && exc != NULL && self->empty_waiter == waiter
        && self->loop != NULL) {
        r = call_waiter(self, self->state->str_set_exception, exc);
    }
    Py_XDECREF(exc);
    Py_XDECREF(waiter);
    return r;
}

/* All that was to be written is on its way: 1 if that is the end of the
   connection, else 0.  Guard held. */
static int
end_writing(StreamObject *self)
{
    if (self->closing) {
        if (self->conn_lost == 0) {
            self->conn_lost++;
            return 1;
        }
    }
    else if (self->write_eof) {
        (void)shutdown(self->fd, SHUT_WR);
    }
    KevStream_Anchor(self);
    return 0;
}

/* The buffer has run empty: whoever waited for that goes on. */
static int
write_done(StreamObject *self)
{
    int r;
    KEV_GUARD(self->monitor);
    r = unwant_write(self);
    KEV_UNGUARD();
    if (r < 0) {
        return KevStream_Fatal(self, WRITE_FAILED);
    }
    if (call_waiter(self, self->state->str_set_result, Py_None) < 0) {
        return -1;
    }
    KEV_GUARD(self->monitor);
    r = end_writing(self);
    KEV_UNGUARD();
    return r > 0 ? KevStream_ConnectionLost(self, Py_None) : 0;
}

/* As much as the socket takes: whether there was anything (1, 0), or -errno;
   and the protocol that may write on, or NULL.  Guard held. */
static int
write_some(StreamObject *self, PyObject **ret_protocol)
{
    if ((self->wbuf.count == 0 && !self->flushed) || self->conn_lost > 0
        || self->fd < 0) {
        return 0;
    }
    int r = flush(self);
    if (r < 0) {
        return r;
    }
    self->flushed = 1;
    *ret_protocol = protocol_to_resume(self);
    return 1;
}

int
KevStream_WriteReady(StreamObject *self)
{
    PyObject *protocol = NULL;
    int r;
    KEV_GUARD(self->monitor);
    r = write_some(self, &protocol);
    KEV_UNGUARD();
    if (r <= 0) {
        return r == 0 ? 0 : write_failed(self, -r);
    }
    if (protocol != NULL
        && call_flow_control(self, protocol, self->state->str_resume_writing,
                             "protocol.resume_writing() failed") < 0) {
        return -1;
    }
    self->flushed = 0;
    /* It may have written more, or lost the connection. */
    if (self->wbuf.count == 0 && self->fd >= 0 && self->loop != NULL) {
        return write_done(self);
    }
    return 0;
}

/* ---- the methods ---------------------------------------------------- */

/* May the program write now?  1 yes; 0 no, silently; -1 with an exception. */
static int
may_write(StreamObject *self, const char *method)
{
    if (self->write_eof) {
        PyErr_Format(PyExc_RuntimeError,
                     "Cannot call %s() after write_eof()", method);
        return -1;
    }
    if (self->empty_waiter != NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "unable to %s; sendfile is in progress", method);
        return -1;
    }
    return 1;
}

/* The connection is lost: the first few writes pass in silence. */
static int
lost_write(StreamObject *self)
{
    if (self->conn_lost >= LOST_WRITES_BEFORE_WARNING) {
        PyObject *res = PyObject_CallMethod(
            (PyObject *)self, "_log", "s",
            "socket.send() raised exception.");
        if (res == NULL) {
            return -1;
        }
        Py_DECREF(res);
    }
    self->conn_lost++;
    return 0;
}

static int
is_bytes_like(PyObject *data)
{
    return PyBytes_Check(data) || PyByteArray_Check(data)
        || PyMemoryView_Check(data);
}

/* Appends what is left of data after `sent` bytes. */
static int
keep_rest(StreamObject *self, PyObject *data, const char *start, size_t size,
          size_t sent)
{
    if (PyBytes_CheckExact(data)) {
        return KevWbuf_Push(&self->wbuf, data,
                            self->wbuf.count == 0 ? sent : 0);
    }
    PyObject *copy = PyBytes_FromStringAndSize(start + sent,
                                               (Py_ssize_t)(size - sent));
    if (copy == NULL) {
        return -1;
    }
    int r = KevWbuf_Push(&self->wbuf, copy, 0);
    Py_DECREF(copy);
    return r;
}

/* Sends from the buffer and sees to the rest.  0 or -1. */
static int
send_now(StreamObject *self)
{
    self->held = 0;
    int r = flush(self);
    if (r < 0) {
        return write_failed(self, -r);
    }
    if (r == 0 && want_write(self) < 0) {
        return KevStream_Fatal(self, WRITE_FAILED);
    }
    return 0;
}

int
KevStream_SendHeld(StreamObject *self)
{
    if (!self->held) {
        return 0;
    }
    if (self->loop == NULL || self->fd < 0 || self->conn_lost > 0) {
        self->held = 0;
        return 0;
    }
    return send_now(self);
}

int
KevStream_AfterCallback(StreamObject *self)
{
    if (!self->wrote_more) {
        self->gathers = 0;
    }
    return KevStream_SendHeld(self);
}

/* Is this write to be held for the end of the callback? */
static int
may_hold(StreamObject *self, size_t size)
{
    LoopObject *loop = self->loop;
    if (!KevLoop_IsPassThread(loop) || !loop->dispatching || size > HELD_MAX
        || size > self->high_water) {
        return 0;
    }
    self->wrote_more = self->last_turn == loop->turn;
    self->gathers |= self->wrote_more;
    self->last_turn = loop->turn;
    return self->gathers && self->wbuf.count == 0;
}

/* Adds to what is held.  0 or -1. */
static int
hold(StreamObject *self, PyObject *data, const char *start, size_t size)
{
    self->wrote_more |= self->held;
    self->held = 1;
    if (keep_rest(self, data, start, size, 0) < 0) {
        return -1;
    }
    if (self->wbuf.size <= HELD_MAX && self->wbuf.size <= self->high_water) {
        return 0;
    }
    if (send_now(self) < 0) {
        return -1;
    }
    return self->loop == NULL ? 0 : KevStream_MaybePauseProtocol(self);
}

static int
write_bytes(StreamObject *self, PyObject *data, const char *start,
            size_t size)
{
    size_t sent = 0;
    if (self->held) {
        return hold(self, data, start, size);
    }
    if (may_hold(self, size)) {
        return KevReady_Push(self->loop->held, (PyObject *)self) < 0
            ? -1 : hold(self, data, start, size);
    }
    if (self->wbuf.count == 0) {
        ssize_t n = net_send(self->fd, start, size);
        if (n < 0 && n != -EAGAIN && n != -EWOULDBLOCK) {
            return KevStream_FatalErrno(self, (int)-n, WRITE_FAILED);
        }
        sent = n > 0 ? (size_t)n : 0;
        if (sent == size) {
            return 0;
        }
        if (want_write(self) < 0) {
            return KevStream_Fatal(self, WRITE_FAILED);
        }
    }
    if (keep_rest(self, data, start, size, sent) < 0) {
        /* Half of it on the way: what came after would be taken for the
           other half. */
        return sent > 0 ? KevStream_Fatal(self, WRITE_FAILED) : -1;
    }
    return KevStream_MaybePauseProtocol(self);
}

PyObject *
KevStream_Write(PyObject *op, PyObject *data)
{
    StreamObject *self = (StreamObject *)op;
    if (!is_bytes_like(data)) {
        PyErr_Format(PyExc_TypeError,
                     "data argument must be a bytes-like object, not '%s' "
                     "(bytes, bytearray, or memoryview object)",
                     Py_TYPE(data)->tp_name);
        return NULL;
    }
    if (may_write(self, "write") < 0) {
        return NULL;
    }
    int r;
    Py_buffer view = {0};
    const char *start;
    size_t size;
    if (PyBytes_CheckExact(data)) {
        start = PyBytes_AS_STRING(data);
        size = (size_t)PyBytes_GET_SIZE(data);
    }
    else {
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            return NULL;
        }
        start = view.buf;
        size = (size_t)view.len;
    }
    if (size == 0) {
        r = 0;
    }
    else if (self->conn_lost > 0 || self->fd < 0) {
        r = lost_write(self);
    }
    else {
        r = write_bytes(self, data, start, size);
    }
    if (view.obj != NULL) {
        PyBuffer_Release(&view);
    }
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* An element of writelines() as bytes: what could change is copied. */
static PyObject *
line_bytes(PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return Py_NewRef(data);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(view.buf, view.len);
    PyBuffer_Release(&view);
    return bytes;
}

/* All elements as bytes, before anything is done with the first of them: any
   may be none, or run Python that does things to the transport. */
static PyObject *
lines_bytes(PyObject *given)
{
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    PyObject *lines = PyTuple_New(count);
    for (Py_ssize_t i = 0; lines != NULL && i < count; i++) {
        PyObject *bytes = line_bytes(PyTuple_GET_ITEM(given, i));
        if (bytes == NULL) {
            Py_CLEAR(lines);
            break;
        }
        PyTuple_SET_ITEM(lines, i, bytes);
    }
    return lines;
}

/* All lines into the buffer, or none.  0 or -1. */
static int
keep_lines(StreamObject *self, PyObject *lines)
{
    uint32_t before = self->wbuf.count;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lines); i++) {
        PyObject *bytes = PyTuple_GET_ITEM(lines, i);
        if (PyBytes_GET_SIZE(bytes) > 0
            && KevWbuf_Push(&self->wbuf, bytes, 0) < 0) {
            KevWbuf_Truncate(&self->wbuf, before);
            return -1;
        }
    }
    return 0;
}

static inline int
is_lost(const StreamObject *self)
{
    return self->conn_lost > 0 || self->fd < 0;
}

PyObject *
KevStream_Writelines(PyObject *op, PyObject *list)
{
    StreamObject *self = (StreamObject *)op;
    if (may_write(self, "writelines") < 0) {
        return NULL;
    }
    PyObject *given = PySequence_Tuple(list);
    if (given == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    if (count == 0 || is_lost(self)) {
        Py_DECREF(given);
        if (count > 0 && lost_write(self) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    PyObject *lines = lines_bytes(given);
    Py_DECREF(given);
    if (lines == NULL || KevStream_SendHeld(self) < 0) {
        Py_XDECREF(lines);
        return NULL;
    }
    if (is_lost(self)) {
        Py_DECREF(lines);  /* a buffer closed it, or the sending failed */
        Py_RETURN_NONE;
    }
    int was_empty = self->wbuf.count == 0;
    int r = keep_lines(self, lines);
    Py_DECREF(lines);
    if (r == 0 && was_empty && self->wbuf.count > 0) {
        r = send_now(self);
    }
    if (r < 0 || (self->loop != NULL
                  && KevStream_MaybePauseProtocol(self) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
KevStream_WriteEof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (!self->closing && !self->write_eof) {
        if (KevStream_SendHeld(self) < 0) {
            return NULL;
        }
        self->write_eof = 1;
        if (self->wbuf.count == 0 && self->fd >= 0
            && shutdown(self->fd, SHUT_WR) < 0) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
    Py_RETURN_NONE;
}
