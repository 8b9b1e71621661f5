/*
 * stream_read.c - from the socket to the protocol.
 *
 * The loop reports edges, so each stream remembers whether there may be
 * something to read; pausing and resuming reading is a matter of flags.  What
 * is left after a full read waits for the next pass, as on asyncio's loop, so
 * that one busy peer cannot starve the others.  Only if the protocol has
 * queued no callback a few more reads follow at once, while the memory is
 * still in the cache; never so the end of the data, which asyncio's loop tells
 * in a later pass than the last of them.
 *
 * A short read means that the socket is empty (and that the next segment will
 * be an edge), unless the event told of more than data: then we read on until
 * the kernel says EAGAIN or the end.
 */
#include "aio/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "aio/compat.h"
#include "aio/netio.h"
#include "aio/streams.h"

#define READS_IN_A_ROW 4
#define STEADY_READS 4   /* after so many that were not larger than before */

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

/* Settles what is known of the socket after a read of up to `size` bytes:
   `more` if the next read may bring something, too. */
static inline ssize_t
settle(StreamObject *self, ssize_t n, size_t size, int *ret_more)
{
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

/* Receives into one buffer or two. */
static ssize_t
receive(StreamObject *self, struct iovec *iov, size_t count, int *ret_more)
{
    size_t size = iov[0].iov_len + (count > 1 ? iov[1].iov_len : 0);
    if (count == 1 && self->family != AF_UNIX) {
        return settle(self, net_recv(self->fd, iov[0].iov_base, size), size,
                      ret_more);
    }
    /* On a Unix socket a message with descriptors ends the read early. */
    int flags = 0;
    ssize_t n = net_recvmsg(self->fd, iov, count, &flags);
    if (n > 0 && (flags & MSG_CTRUNC) != 0) {
        self->drain = 1;
    }
    return settle(self, n, size, ret_more);
}

static int
on_eof(StreamObject *self, PyObject *protocol)
{
    PyObject *res = PyObject_CallMethodNoArgs(
        protocol, self->state->str_eof_received);
    int keep_open = res == NULL ? -1 : PyObject_IsTrue(res);
    Py_XDECREF(res);
    if (keep_open < 0) {
        int r = KevStream_Fatal(self, EOF_RECEIVED_FAILED);
        if (r < 0) {
            self->readable = 1;  /* it is told again in the next pass */
        }
        return r;
    }
    KEV_GUARD(self->monitor);
    self->read_eof = 1;
    if (keep_open) {
        KevStream_Anchor(self);
    }
    KEV_UNGUARD();
    if (keep_open) {
        return 0;
    }
    return KevStream_Close(self);
}

/* Where a message is being received: in `direct`, as far as its room goes, and
   beyond that in the loop's buffer. */
struct reception {
    PyObject *direct;      // strong, or NULL: all of it is in the buffer
    Py_ssize_t room;       /* of direct; later of the message, 0: exact */
    ssize_t n;             /* bytes received, 0 at the end, or -errno */
    int more;
};

/* What was received, in one piece: a new reference, or NULL.  Takes direct,
   whatever happens. */
static PyObject *
in_one_piece(LoopObject *loop, struct reception *got)
{
    PyObject *direct = got->direct;
    Py_ssize_t room = got->room;
    Py_ssize_t n = got->n;
    if (direct != NULL && n <= room && room - n <= room / 8) {
        KevSpare_SetSize(direct, n);
        return direct;
    }
    /* It would waste memory if somebody keeps it, or it is too small. */
    Py_ssize_t first = direct == NULL ? 0 : n < room ? n : room;
    PyObject *data;
    if (n < SPARE_SMALLEST) {
        got->room = 0;
        data = PyBytes_FromStringAndSize(
            first > 0 ? PyBytes_AS_STRING(direct) : loop->receive_buffer, n);
    }
    else {
        data = KevSpare_Take(&loop->spares, n, &got->room);
        if (data != NULL) {
            char *to = PyBytes_AS_STRING(data);
            if (first > 0) {
                memcpy(to, PyBytes_AS_STRING(direct), (size_t)first);
            }
            memcpy(to + first, loop->receive_buffer, (size_t)(n - first));
            KevSpare_SetSize(data, n);
        }
    }
    if (direct != NULL) {
        KevSpare_Return(&loop->spares, direct, room);
    }
    return data;
}

/* A message filled direct: the rest of it, if there is one.  Only if there is
   do we ask for it: an error or the end stays for the next read. */
static void
receive_rest(StreamObject *self, struct reception *got)
{
    int left = 0;
    if (got->room == LOOP_RECEIVE_SIZE
        || ioctl(self->fd, FIONREAD, &left) < 0 || left <= 0) {
        return;
    }
    struct iovec iov = {
        .iov_base = self->loop->receive_buffer,
        .iov_len = (size_t)(LOOP_RECEIVE_SIZE - got->room),
    };
    ssize_t n = receive(self, &iov, 1, &got->more);
    if (n > 0) {
        got->n += n;
        self->last_read = (uint32_t)got->n;
    }
}

/* n bytes came where fewer than `last` were expected. */
static inline void
note_size(StreamObject *self, ssize_t n, Py_ssize_t last)
{
    if (n >= last) {
        self->steady = 0;
    }
    else if (self->steady < STEADY_READS) {
        self->steady++;
    }
}

/* Into direct, if there is one, and what is beyond its room into the loop's
   buffer. */
static ssize_t
receive_anywhere(StreamObject *self, struct reception *got)
{
    struct iovec iov[2];
    size_t count = 0;
    if (got->direct != NULL) {
        iov[count].iov_base = PyBytes_AS_STRING(got->direct);
        iov[count++].iov_len = (size_t)got->room;
    }
    if (got->room < LOOP_RECEIVE_SIZE) {
        iov[count].iov_base = self->loop->receive_buffer;
        iov[count++].iov_len = (size_t)(LOOP_RECEIVE_SIZE - got->room);
    }
    return receive(self, iov, count, &got->more);
}

/*
 * Receives a message.  Messages that follow each other are mostly of one size:
 * a stream whose last ones were is read straight into an object of that size,
 * which the program will read.  If a large message has not proved that yet,
 * what is beyond the size of the last one goes into the loop's buffer by the
 * same call.  0 or -1 with an exception.  Guard held.
 */
static int
receive_message(StreamObject *self, struct reception *got)
{
    LoopObject *loop = self->loop;
    if (loop == NULL || self->fd < 0) {
        got->n = -EAGAIN;
        return 0;
    }
    Py_ssize_t last = self->last_read < LOOP_RECEIVE_SIZE
        ? (Py_ssize_t)self->last_read + 1 : LOOP_RECEIVE_SIZE;
    int steady = self->steady >= STEADY_READS && last > SPARE_SMALLEST;
    if (steady || last > SPARE_LARGE) {
        got->direct = KevSpare_Take(&loop->spares, last, &got->room);
        if (got->direct == NULL) {
            return -1;
        }
    }
    if (steady) {
        struct iovec iov = {.iov_base = PyBytes_AS_STRING(got->direct),
                            .iov_len = (size_t)got->room};
        got->n = receive(self, &iov, 1, &got->more);
    }
    else {
        got->n = receive_anywhere(self, got);
    }
    if (got->n <= 0) {
        if (got->direct != NULL) {
            KevSpare_Return(&loop->spares, got->direct, got->room);
        }
    }
    else {
        note_size(self, got->n, last);
        if (steady && got->n == got->room) {
            receive_rest(self, got);
        }
    }
    return 0;
}

/* What came instead of data. */
static int
read_nothing(StreamObject *self, PyObject *protocol, ssize_t n)
{
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return 0;
    }
    if (n < 0) {
        return KevStream_FatalErrno(self, (int)-n, READ_FAILED);
    }
    if (self->follows) {
        /* The end has a pass of its own, which asks for it once more. */
        self->readable = 1;
        self->drain = 1;
        return 1;
    }
    return on_eof(self, protocol);
}

/* The first part: how many bytes came (or -errno), and how many of them are in
   the reader already.  Both guards held. */
static ssize_t
receive_to_reader(StreamObject *self, LoopObject *loop, ReaderObject *reader,
                  Py_ssize_t *ret_in_place, int *ret_more)
{
    struct iovec iov[2];
    size_t count = 0;
    Py_ssize_t room = 0;
    if (self->fd < 0) {
        return -EAGAIN;
    }
    char *place = KevReader_Reserve(reader, &room);
    if (place != NULL) {
        iov[count].iov_base = place;
        iov[count++].iov_len = (size_t)room;
    }
    iov[count].iov_base = loop->receive_buffer;
    iov[count++].iov_len = LOOP_RECEIVE_SIZE;
    ssize_t n = receive(self, iov, count, ret_more);
    *ret_in_place = n <= 0 ? 0 : n < room ? n : room;
    if (place != NULL) {
        KevReader_Commit(reader, *ret_in_place);
    }
    return n;
}

/* Gives the reader what was received: the object itself, unless that would
   waste memory.  0 or -1. */
static int
feed_reception(LoopObject *loop, ReaderObject *reader,
               const struct reception *got)
{
    Py_ssize_t first = got->n < got->room ? got->n : got->room;
    if (got->room - first > got->room / 8) {
        return KevReader_FeedBytes(reader, PyBytes_AS_STRING(got->direct),
                                   first);
    }
    KevSpare_SetSize(got->direct, first);
    /* The loop's buffer is only used in a pass, and this is one. */
    return KevReader_FeedWhole(reader, got->direct, loop->receive_buffer,
                               got->n - first);
}

/* Into a reader of ours whose messages are of one size: straight into the
   object that it will give to the program. */
static int
read_whole(StreamObject *self, LoopObject *loop, PyObject *protocol,
           ReaderObject *reader, Py_ssize_t last)
{
    struct reception got = {.n = -EAGAIN};
    got.direct = KevSpare_Lend(&loop->spares, last, &got.room);
    if (got.direct == NULL) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    char *bytes = PyBytes_AS_STRING(got.direct);
    struct iovec iov = {.iov_base = bytes, .iov_len = (size_t)got.room};
    KEV_GUARD(self->monitor);
    if (self->fd >= 0) {
        got.n = receive(self, &iov, 1, &got.more);
        if (got.n > 0) {
            note_size(self, got.n, last);
        }
        if (got.n == got.room) {
            receive_rest(self, &got);
        }
    }
    KEV_UNGUARD();
    int r;
    if (got.n <= 0) {
        r = read_nothing(self, protocol, got.n);
    }
    else {
        r = feed_reception(loop, reader, &got) < 0
            ? KevStream_Fatal(self, DATA_RECEIVED_FAILED) : got.more;
    }
    Py_DECREF(got.direct);
    return r;
}

/* Into a reader of ours: what it waits for straight into its place. */
static int
read_to_reader(StreamObject *self, LoopObject *loop, PyObject *protocol,
               ReaderObject *reader)
{
    Py_ssize_t last = (Py_ssize_t)self->last_read + 1;
    if (self->steady >= STEADY_READS && last > SPARE_SMALLEST
        && last <= SPARE_LARGEST_LENT
        && KevReader_TakesWhole(reader, last - 1)) {
        return read_whole(self, loop, protocol, reader, last);
    }
    int more = 0;
    Py_ssize_t in_place = 0;
    ssize_t n;
    KEV_GUARD2(reader, self->monitor);
    n = receive_to_reader(self, loop, reader, &in_place, &more);
    if (n > 0) {
        note_size(self, n, last);
    }
    KEV_UNGUARD2();
    if (n <= 0) {
        return read_nothing(self, protocol, n);
    }
    /* The loop's buffer is only used in a pass, and this is one. */
    return KevReader_FeedBytes(reader, loop->receive_buffer, n - in_place) < 0
        ? KevStream_Fatal(self, DATA_RECEIVED_FAILED) : more;
}

/* Into a reader of asyncio's; as read_plain(). */
static int
read_to_standard(StreamObject *self, LoopObject *loop, PyObject *protocol)
{
    char *buffer = loop->receive_buffer;
    struct iovec iov = {.iov_base = buffer, .iov_len = LOOP_RECEIVE_SIZE};
    int more = 0;
    ssize_t n;
    KEV_GUARD(self->monitor);
    n = self->fd < 0 ? -EAGAIN : receive(self, &iov, 1, &more);
    KEV_UNGUARD();
    if (n <= 0) {
        return read_nothing(self, protocol, n);
    }
    int r = KevFeed_Standard(loop->state, protocol, buffer, n);
    if (r == 0) {
        PyObject *data = PyBytes_FromStringAndSize(buffer, n);
        PyObject *res = data == NULL ? NULL : PyObject_CallMethodOneArg(
            protocol, loop->state->str_data_received, data);
        Py_XDECREF(data);
        Py_XDECREF(res);
        r = res == NULL ? -1 : 1;
    }
    return r < 0 ? KevStream_Fatal(self, DATA_RECEIVED_FAILED) : more;
}

int
KevLoop_MakeReceiveBuffer(LoopObject *loop)
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

/* 1: something was received and more may follow; 0: that was all; -1.  The
   caller holds loop and protocol. */
static int
read_plain(StreamObject *self, LoopObject *loop, PyObject *protocol)
{
    if (KevLoop_MakeReceiveBuffer(loop) < 0) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    if (self->feed == FEED_OURS) {
        ReaderObject *reader = KevFeed_Reader(loop->state, protocol);
        if (reader != NULL) {
            int r = read_to_reader(self, loop, protocol, reader);
            Py_DECREF(reader);
            return r;
        }
    }
    if (self->feed == FEED_STANDARD) {
        return read_to_standard(self, loop, protocol);
    }
    struct reception got = {.direct = NULL};
    int r;
    KEV_GUARD(self->monitor);
    r = receive_message(self, &got);
    KEV_UNGUARD();
    if (r < 0) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    if (got.n <= 0) {
        return read_nothing(self, protocol, got.n);
    }
    PyObject *data = in_one_piece(loop, &got);
    if (data == NULL) {
        return KevStream_Fatal(self, READ_FAILED);
    }
    PyObject *res = PyObject_CallMethodOneArg(
        protocol, loop->state->str_data_received, data);
    if (got.room > 0) {
        KevSpare_Return(&loop->spares, data, got.room);
    }
    else {
        Py_DECREF(data);
    }
    if (res == NULL) {
        return KevStream_Fatal(self, DATA_RECEIVED_FAILED);
    }
    Py_DECREF(res);
    return got.more;
}

/* The protocol's buffer: 0 with *ret_view to release, or -1. */
static int
get_buffer(StreamObject *self, PyObject *protocol, Py_buffer *ret_view)
{
    PyObject *hint = PyLong_FromLong(-1);
    if (hint == NULL) {
        return -1;
    }
    PyObject *buffer = PyObject_CallMethodOneArg(
        protocol, self->state->str_get_buffer, hint);
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

/* Receives to the protocol's buffer, which it may have closed us to give. */
static ssize_t
receive_view(StreamObject *self, const Py_buffer *view, int *ret_more)
{
    ssize_t n = -EAGAIN;
    struct iovec iov = {.iov_base = view->buf, .iov_len = (size_t)view->len};
    KEV_GUARD(self->monitor);
    if (self->fd >= 0 && is_reading(self)) {
        n = receive(self, &iov, 1, ret_more);
    }
    KEV_UNGUARD();
    return n;
}

/* Who is to be told now, a new reference; NULL: the connection is lost. */
static PyObject *
protocol_now(StreamObject *self)
{
    PyObject *protocol;
    KEV_GUARD(self->monitor);
    protocol = self->loop == NULL ? NULL : Py_XNewRef(self->protocol);
    KEV_UNGUARD();
    return protocol;
}

static int
tell_updated(StreamObject *self, PyObject *protocol, ssize_t n)
{
    PyObject *count = PyLong_FromSsize_t(n);
    PyObject *res = count == NULL ? NULL : PyObject_CallMethodOneArg(
        protocol, self->state->str_buffer_updated, count);
    Py_XDECREF(count);
    if (res == NULL) {
        return KevStream_Fatal(self, BUFFER_UPDATED_FAILED);
    }
    Py_DECREF(res);
    return 0;
}

static int
read_buffered(StreamObject *self, PyObject *given)
{
    Py_buffer view;
    if (get_buffer(self, given, &view) < 0) {
        return KevStream_Fatal(self, GET_BUFFER_FAILED);
    }
    int more = 0;
    ssize_t n = receive_view(self, &view, &more);
    PyBuffer_Release(&view);
    /* Letting go of the buffer may run Python, too. */
    PyObject *protocol = protocol_now(self);
    if (n == -EAGAIN || n == -EWOULDBLOCK || protocol == NULL) {
        Py_XDECREF(protocol);
        return 0;
    }
    int r;
    if (n < 0) {
        r = KevStream_FatalErrno(self, (int)-n, READ_FAILED);
    }
    else if (n == 0) {
        r = on_eof(self, protocol);
    }
    else {
        r = tell_updated(self, protocol, n) < 0 ? -1 : more;
    }
    Py_DECREF(protocol);
    return r;
}

/* The loop and the protocol, new references, if it is to read now.  1 or 0. */
static int
may_read(StreamObject *self, LoopObject **ret_loop, PyObject **ret_protocol)
{
    int may;
    KEV_GUARD(self->monitor);
    may = is_reading(self) && self->fd >= 0 && self->loop != NULL
        && self->protocol != NULL;
    if (may) {
        *ret_loop = (LoopObject *)Py_NewRef((PyObject *)self->loop);
        *ret_protocol = Py_NewRef(self->protocol);
    }
    KEV_UNGUARD();
    return may;
}

static inline uint32_t
queued_now(const LoopObject *loop, const ReadyObject *queue)
{
    uint32_t count;
    KEV_GUARD(loop->ready);
    count = KevReady_Len(queue);
    KEV_UNGUARD();
    return count;
}

int
KevStream_ReadReady(StreamObject *self)
{
    /* Held: the callback may let go of them under itself. */
    LoopObject *loop;
    PyObject *protocol;
    if (!may_read(self, &loop, &protocol)) {
        return 0;
    }
    uint32_t queued = queued_now(loop, loop->ready);
    int r;
    int reads = 0;
    do {
        loop->turn++;
        self->follows = reads > 0;
        r = self->buffered ? read_buffered(self, protocol)
                           : read_plain(self, loop, protocol);
    } while (r > 0 && !self->drain && ++reads < READS_IN_A_ROW
             && is_reading(self)
             && self->fd >= 0 && self->protocol == protocol
             && queued_now(loop, loop->ready) == queued
             && queued_now(loop, loop->held) == 0);
    Py_DECREF(protocol);
    Py_DECREF((PyObject *)loop);
    if (r > 0) {
        KEV_GUARD(self->monitor);
        r = KevTransport_QueueAgain((TransportObject *)self);
        KEV_UNGUARD();
    }
    return r;
}

int
KevStream_ResumeReading(StreamObject *self)
{
    return self->readable
        ? KevTransport_QueueAgain((TransportObject *)self) : 0;
}
