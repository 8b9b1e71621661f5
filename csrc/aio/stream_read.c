/*
 * stream_read.c - from the socket to the protocol.
 *
 * The loop reports edges, so each stream remembers whether there may be
 * something to read; pausing and resuming reading is a matter of flags.  One
 * recv() per pass, as asyncio does it: what is left waits for the next pass,
 * so that one busy peer cannot starve the others.
 *
 * A short read means that the socket is empty (and that the next segment will
 * be an edge), unless the event told of more than data: then we read on until
 * the kernel says EAGAIN or the end.
 */
#include "aio/compat.h"
#include "aio/netio.h"
#include "aio/stream.h"

#define DATA_RECEIVED_FAILED                                              \
    "Fatal error: protocol.data_received() call failed."
#define GET_BUFFER_FAILED "Fatal error: protocol.get_buffer() call failed."
#define BUFFER_UPDATED_FAILED                                             \
    "Fatal error: protocol.buffer_updated() call failed."
#define EOF_RECEIVED_FAILED                                               \
    "Fatal error: protocol.eof_received() call failed."
#define READ_FAILED "Fatal read error on socket transport"

static inline int
is_reading(const StreamObject *self)
{
    return !self->closing && !self->paused && !self->read_eof
        && self->conn_lost == 0;
}

/* Receives, and settles what is known of the socket: `more` if the next pass
   should read again. */
static ssize_t
receive(StreamObject *self, char *buffer, size_t size, int *ret_more)
{
    ssize_t n;
    if (self->family == AF_UNIX) {
        /* A message with descriptors ends the read early. */
        int flags = 0;
        n = net_recvmsg(self->fd, buffer, size, &flags);
        if (n > 0 && (flags & MSG_CTRUNC) != 0) {
            self->drain = 1;
        }
    }
    else {
        n = net_recv(self->fd, buffer, size);
    }
    *ret_more = 0;
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == 0) {
        self->readable = 0;
        self->drain = 0;
    }
    else if (n > 0) {
        *ret_more = (size_t)n == size || self->drain;
        self->readable = (char)*ret_more;
    }
    return n;
}

/* Letting go of the protocol's buffer may run Python. */
static int
was_lost(const StreamObject *self)
{
    return self->loop == NULL || self->protocol == NULL;
}

static int
on_eof(StreamObject *self)
{
    PyObject *res = PyObject_CallMethodNoArgs(
        self->protocol, self->loop->state->str_eof_received);
    int keep_open = res == NULL ? -1 : PyObject_IsTrue(res);
    Py_XDECREF(res);
    if (keep_open < 0) {
        return KevStream_Fatal(self, EOF_RECEIVED_FAILED);
    }
    self->read_eof = 1;
    if (keep_open) {
        KevStream_Anchor(self);
        return 0;
    }
    return KevStream_Close(self);
}

/* 1: something was received and more may follow; 0: that was all; -1. */
static int
read_plain(StreamObject *self)
{
    LoopObject *loop = self->loop;
    if (loop->receive_buffer == NULL) {
        loop->receive_buffer = PyMem_Malloc(LOOP_RECEIVE_SIZE);
        if (loop->receive_buffer == NULL) {
            PyErr_NoMemory();
            return KevStream_Fatal(self, READ_FAILED);
        }
    }
    int more;
    ssize_t n = receive(self, loop->receive_buffer, LOOP_RECEIVE_SIZE, &more);
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return 0;
    }
    if (n < 0) {
        return KevStream_FatalErrno(self, (int)-n, READ_FAILED);
    }
    if (n == 0) {
        return on_eof(self);
    }
    PyObject *data = PyBytes_FromStringAndSize(loop->receive_buffer, n);
    if (data == NULL) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    PyObject *res = PyObject_CallMethodOneArg(
        self->protocol, loop->state->str_data_received, data);
    Py_DECREF(data);
    if (res == NULL) {
        return KevStream_Fatal(self, DATA_RECEIVED_FAILED);
    }
    Py_DECREF(res);
    return more;
}

/* The protocol's buffer: 0 with *ret_view to release, or -1. */
static int
get_buffer(StreamObject *self, Py_buffer *ret_view)
{
    ModState *state = self->loop->state;
    PyObject *hint = PyLong_FromLong(-1);
    if (hint == NULL) {
        return -1;
    }
    PyObject *buffer = PyObject_CallMethodOneArg(
        self->protocol, state->str_get_buffer, hint);
    Py_DECREF(hint);
    if (buffer == NULL) {
        return -1;
    }
    int r = PyObject_GetBuffer(buffer, ret_view, PyBUF_WRITABLE);
    Py_DECREF(buffer);
    if (r == 0 && ret_view->len == 0) {
        PyBuffer_Release(ret_view);
        PyErr_SetString(PyExc_RuntimeError,
                        "get_buffer() returned an empty buffer");
        r = -1;
    }
    return r;
}

static int
read_buffered(StreamObject *self)
{
    ModState *state = self->loop->state;
    Py_buffer view;
    if (get_buffer(self, &view) < 0) {
        return KevStream_Fatal(self, GET_BUFFER_FAILED);
    }
    if (self->fd < 0 || !is_reading(self)) {
        PyBuffer_Release(&view);  /* get_buffer() closed us */
        return 0;
    }
    int more;
    ssize_t n = receive(self, view.buf, (size_t)view.len, &more);
    PyBuffer_Release(&view);
    if (n == -EAGAIN || n == -EWOULDBLOCK || was_lost(self)) {
        return 0;
    }
    if (n < 0) {
        return KevStream_FatalErrno(self, (int)-n, READ_FAILED);
    }
    if (n == 0) {
        return on_eof(self);
    }
    PyObject *count = PyLong_FromSsize_t(n);
    PyObject *res = count == NULL ? NULL : PyObject_CallMethodOneArg(
        self->protocol, state->str_buffer_updated, count);
    Py_XDECREF(count);
    if (res == NULL) {
        return KevStream_Fatal(self, BUFFER_UPDATED_FAILED);
    }
    Py_DECREF(res);
    return more;
}

int
KevStream_ReadReady(StreamObject *self)
{
    if (!is_reading(self) || self->fd < 0 || self->protocol == NULL) {
        return 0;
    }
    /* The callback may let go of the protocol under itself. */
    PyObject *protocol = Py_NewRef(self->protocol);
    int r = self->buffered ? read_buffered(self) : read_plain(self);
    Py_DECREF(protocol);
    if (r > 0) {
        r = KevTransport_QueueAgain((TransportObject *)self);
    }
    return r;
}

int
KevStream_ResumeReading(StreamObject *self)
{
    return self->readable
        ? KevTransport_QueueAgain((TransportObject *)self) : 0;
}
