/*
 * stream_read.c - from the socket to the protocol.
 *
 * The loop reports edges, so each stream remembers whether there may be
 * something to read; pausing and resuming reading is a matter of flags.  What
 * is left after a full read waits for the next pass, as on asyncio's loop, so
 * that one busy peer cannot starve the others.  Only if the protocol has
 * queued no callback a few more reads follow at once: nobody can tell them
 * from reads in passes of their own, and the memory is still in the cache.
 *
 * A short read means that the socket is empty (and that the next segment will
 * be an edge), unless the event told of more than data: then we read on until
 * the kernel says EAGAIN or the end.
 */
#include "aio/stream.h"

#include <string.h>

#include "aio/compat.h"
#include "aio/netio.h"
#include "aio/streams.h"

#define READS_IN_A_ROW 4

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

/* Receives into one buffer or two, and settles what is known of the socket:
   `more` if the next read may bring something, too. */
static ssize_t
receive(StreamObject *self, struct iovec *iov, size_t count, int *ret_more)
{
    ssize_t n;
    size_t size = iov[0].iov_len + (count > 1 ? iov[1].iov_len : 0);
    if (count == 1 && self->family != AF_UNIX) {
        n = net_recv(self->fd, iov[0].iov_base, size);
    }
    else {
        /* On a Unix socket a message with descriptors ends the read early. */
        int flags = 0;
        n = net_recvmsg(self->fd, iov, count, &flags);
        if (n > 0 && (flags & MSG_CTRUNC) != 0) {
            self->drain = 1;
        }
    }
    *ret_more = 0;
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == 0) {
        self->readable = 0;
        self->drain = 0;
    }
    else if (n > 0) {
        *ret_more = (size_t)n == size || self->drain;
        self->readable = (char)*ret_more;
        self->last_read = (uint32_t)n;
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

/*
 * What was received, in one piece: a new reference and its room, or NULL.
 * Nothing of it is in `direct`, or its first `room` bytes are; what did not
 * fit is in the loop's buffer.  Steals direct.
 */
static PyObject *
joined(LoopObject *loop, PyObject *direct, Py_ssize_t room, Py_ssize_t n,
       Py_ssize_t *ret_room)
{
    Py_ssize_t first = direct == NULL ? 0 : n < room ? n : room;
    if (n < SPARE_SMALLEST && direct == NULL) {
        *ret_room = 0;
        return PyBytes_FromStringAndSize(loop->receive_buffer, n);
    }
    if (direct != NULL && n <= room && room - n <= room / 8) {
        KevSpare_SetSize(direct, n);
        *ret_room = room;
        return direct;
    }
    /* It would waste memory if somebody keeps it, or it is too small. */
    PyObject *data = KevSpare_Take(&loop->spares, n, ret_room);
    if (data != NULL) {
        char *to = PyBytes_AS_STRING(data);
        if (first > 0) {
            memcpy(to, PyBytes_AS_STRING(direct), (size_t)first);
        }
        if (n > first) {
            memcpy(to + first, loop->receive_buffer, (size_t)(n - first));
        }
        KevSpare_SetSize(data, n);
    }
    if (direct != NULL) {
        KevSpare_Return(&loop->spares, direct, room);
    }
    return data;
}

/*
 * What data_received() is to be called with: a new reference and its room.
 * NULL if there is nothing (*ret_n <= 0 says why), or with an exception.
 *
 * Large messages are received where the program will read them: a stream that
 * had one is expected to have another of its size.
 */
static PyObject *
receive_bytes(StreamObject *self, ssize_t *ret_n, int *ret_more,
              Py_ssize_t *ret_room)
{
    LoopObject *loop = self->loop;
    struct iovec iov[2];
    size_t count = 0;
    Py_ssize_t room = 0;
    PyObject *direct = NULL;
    if (self->last_read >= SPARE_LARGE) {
        Py_ssize_t expected = self->last_read < LOOP_RECEIVE_SIZE
            ? (Py_ssize_t)self->last_read : LOOP_RECEIVE_SIZE;
        direct = KevSpare_Take(&loop->spares, expected, &room);
        if (direct == NULL) {
            return NULL;
        }
        iov[count].iov_base = PyBytes_AS_STRING(direct);
        iov[count++].iov_len = (size_t)room;
    }
    if (room < LOOP_RECEIVE_SIZE) {
        iov[count].iov_base = loop->receive_buffer;
        iov[count++].iov_len = (size_t)(LOOP_RECEIVE_SIZE - room);
    }
    *ret_n = receive(self, iov, count, ret_more);
    if (*ret_n <= 0) {
        if (direct != NULL) {
            KevSpare_Return(&loop->spares, direct, room);
        }
        return NULL;
    }
    return joined(loop, direct, room, *ret_n, ret_room);
}

/* What came instead of data. */
static int
read_nothing(StreamObject *self, ssize_t n)
{
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return 0;
    }
    if (n < 0) {
        return KevStream_FatalErrno(self, (int)-n, READ_FAILED);
    }
    return on_eof(self);
}

/* Into a reader of ours: what it waits for straight into its place. */
static int
read_to_reader(StreamObject *self, ReaderObject *reader)
{
    char *buffer = self->loop->receive_buffer;
    struct iovec iov[2];
    size_t count = 0;
    Py_ssize_t room = 0;
    char *place = KevReader_Reserve(reader, &room);
    if (place != NULL) {
        iov[count].iov_base = place;
        iov[count++].iov_len = (size_t)room;
    }
    iov[count].iov_base = buffer;
    iov[count++].iov_len = LOOP_RECEIVE_SIZE;
    int more;
    ssize_t n = receive(self, iov, count, &more);
    Py_ssize_t in_place = n <= 0 ? 0 : n < room ? n : room;
    if (place != NULL) {
        KevReader_Commit(reader, in_place);
    }
    if (n <= 0) {
        return read_nothing(self, n);
    }
    return KevReader_FeedBytes(reader, buffer, n - in_place) < 0
        ? KevStream_Fatal(self, DATA_RECEIVED_FAILED) : more;
}

/* Into a reader of asyncio's; as read_plain(). */
static int
read_to_standard(StreamObject *self)
{
    char *buffer = self->loop->receive_buffer;
    struct iovec iov = {.iov_base = buffer, .iov_len = LOOP_RECEIVE_SIZE};
    int more;
    ssize_t n = receive(self, &iov, 1, &more);
    if (n <= 0) {
        return read_nothing(self, n);
    }
    int r = KevFeed_Standard(self->loop->state, self->protocol, buffer, n);
    if (r == 0) {
        PyObject *data = PyBytes_FromStringAndSize(buffer, n);
        PyObject *res = data == NULL ? NULL : PyObject_CallMethodOneArg(
            self->protocol, self->loop->state->str_data_received, data);
        Py_XDECREF(data);
        Py_XDECREF(res);
        r = res == NULL ? -1 : 1;
    }
    return r < 0 ? KevStream_Fatal(self, DATA_RECEIVED_FAILED) : more;
}

/* The loop's buffer is there.  0 or -1 with MemoryError. */
static int
make_buffer(LoopObject *loop)
{
    if (loop->receive_buffer == NULL) {
        /* Given back at once: from that malloc learns to keep such blocks
           for the next message instead of returning them to the kernel,
           which costs a message of 100 KiB its 25 pages every time. */
        PyMem_RawFree(PyMem_RawMalloc(LOOP_LARGEST_MESSAGE));
        loop->receive_buffer = PyMem_RawMalloc(LOOP_RECEIVE_SIZE);
        if (loop->receive_buffer == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

/* 1: something was received and more may follow; 0: that was all; -1. */
static int
read_plain(StreamObject *self)
{
    LoopObject *loop = self->loop;
    if (make_buffer(loop) < 0) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    if (self->feed == FEED_OURS) {
        ReaderObject *reader = KevFeed_Reader(loop->state, self->protocol);
        if (reader != NULL) {
            int r = read_to_reader(self, reader);
            Py_DECREF(reader);
            return r;
        }
    }
    if (self->feed == FEED_STANDARD) {
        return read_to_standard(self);
    }
    int more = 0;
    ssize_t n = 1;
    Py_ssize_t room = 0;
    PyObject *data = receive_bytes(self, &n, &more, &room);
    if (n <= 0) {
        return read_nothing(self, n);
    }
    if (data == NULL) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    PyObject *res = PyObject_CallMethodOneArg(
        self->protocol, loop->state->str_data_received, data);
    if (room > 0) {
        KevSpare_Return(&loop->spares, data, room);
    }
    else {
        Py_DECREF(data);
    }
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
    struct iovec iov = {.iov_base = view.buf, .iov_len = (size_t)view.len};
    ssize_t n = receive(self, &iov, 1, &more);
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
    LoopObject *loop = self->loop;
    PyObject *protocol = Py_NewRef(self->protocol);
    uint32_t queued = KevReady_Len(loop->ready);
    int r;
    int reads = 0;
    do {
        loop->turn++;
        r = self->buffered ? read_buffered(self) : read_plain(self);
    } while (r > 0 && ++reads < READS_IN_A_ROW && is_reading(self)
             && self->fd >= 0 && self->protocol == protocol
             && KevReady_Len(loop->ready) == queued
             && KevReady_Len(loop->held) == 0);
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
