/*
 * datagram_write.c - from the program to the socket.
 *
 * sendto() sends at once, but while received datagrams are being delivered
 * (loop->gathering): then what several of them send, and all but the first of
 * what a single one sends, waits for the end of the delivery.  A datagram that
 * cannot be sent is reported by itself, and those behind it follow.
 *
 * bytes are kept as they are, anything that could change under us is copied.
 */
#include "aio/compat.h"
#include "aio/datagram.h"
#include "aio/netio.h"

#include <string.h>

#define SEND_BATCH 64u

/* The payload of a full packet on any path without tunnels, and what one call
   may hand over to be cut. */
#define SEGMENT_BYTES 1452u
#define SEGMENTS_BYTES 65000u
#define LOST_WRITES_BEFORE_WARNING 5
#define WRITE_FAILED "Fatal write error on datagram transport"

/* ---- flow control --------------------------------------------------- */

static int
call_flow_control(DatagramObject *self, PyObject *name, const char *failed)
{
    PyObject *protocol = KevDatagram_Protocol(self);
    if (protocol == NULL) {
        return 0;
    }
    PyObject *res = PyObject_CallMethodNoArgs(protocol, name);
    Py_DECREF(protocol);
    if (res == NULL) {
        return KevDatagram_Report(self, failed);
    }
    Py_DECREF(res);
    return 0;
}

int
KevDatagram_MaybePauseProtocol(DatagramObject *self)
{
    if (self->out_bytes <= self->high_water || self->protocol_paused
        || self->protocol == NULL || self->loop == NULL) {
        return 0;
    }
    self->protocol_paused = 1;
    return call_flow_control(self, self->loop->state->str_pause_writing,
                             "protocol.pause_writing() failed");
}

/* The guard is not held when it is told: whoever waits is woken then. */
static int
maybe_resume_protocol(DatagramObject *self)
{
    int resumes;
    KEV_GUARD(self->monitor);
    resumes = self->protocol_paused && self->out_bytes <= self->low_water
        && self->protocol != NULL && self->loop != NULL;
    if (resumes) {
        self->protocol_paused = 0;
    }
    KEV_UNGUARD();
    return !resumes ? 0
        : call_flow_control(self, self->state->str_resume_writing,
                            "protocol.resume_writing() failed");
}

/* ---- the outbox ----------------------------------------------------- */

static inline struct datagram_out *
out_at(const DatagramObject *self, uint32_t index)
{
    return &self->outbox[(self->out_first + index)
                         & (self->out_capacity - 1)];
}

static int
grow(DatagramObject *self)
{
    uint32_t capacity = self->out_capacity == 0 ? 16
        : self->out_capacity * 2;
    struct datagram_out *outbox = capacity == 0 ? NULL
        : PyMem_Malloc((size_t)capacity * sizeof(*outbox));
    if (outbox == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < self->out_count; i++) {
        outbox[i] = *out_at(self, i);
    }
    PyMem_Free(self->outbox);
    self->outbox = outbox;
    self->out_capacity = capacity;
    self->out_first = 0;
    return 0;
}

static inline size_t
counts_for(const struct datagram_out *one)
{
    return (size_t)PyBytes_GET_SIZE(one->data) + DATAGRAM_HEADER;
}

/* The first leaves the outbox: its references are the caller's. */
static struct datagram_out
pop(DatagramObject *self)
{
    struct datagram_out one = *out_at(self, 0);
    self->out_first = (self->out_first + 1) & (self->out_capacity - 1);
    self->out_count--;
    self->out_bytes -= counts_for(&one);
    return one;
}

static void
drop(DatagramObject *self)
{
    struct datagram_out one = pop(self);
    Py_DECREF(one.data);
    Py_XDECREF(one.address);
}

void
KevDatagram_ClearOutbox(DatagramObject *self)
{
    while (self->out_count > 0) {
        drop(self);
    }
    self->held = 0;
}

/* ---- sending -------------------------------------------------------- */

enum sent {
    SENT,
    BLOCKED,
    FAILED,       /* the protocol has been told, or the transport closed */
    RAISED,       /* an exception is set */
};

/* What asyncio makes of an exception of socket.sendto(). */
static enum sent
send_raised(DatagramObject *self)
{
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError)
        || PyErr_ExceptionMatches(PyExc_InterruptedError)) {
        PyErr_Clear();
        return BLOCKED;
    }
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return KevDatagram_Fatal(self, WRITE_FAILED) < 0 ? RAISED : FAILED;
    }
    PyObject *protocol = KevDatagram_Protocol(self);
    if (protocol == NULL) {
        PyErr_Clear();
        return FAILED;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodOneArg(
        protocol, self->state->str_error_received, exc);
    Py_DECREF(protocol);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? RAISED : FAILED;
}

static enum sent
send_result(DatagramObject *self, ssize_t n)
{
    if (n >= 0) {
        return SENT;
    }
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return BLOCKED;
    }
    return KevDatagram_ErrorReceived(self, (int)-n) < 0 ? RAISED : FAILED;
}

/* Only the socket module knows what the address means. */
static enum sent
send_by_socket(DatagramObject *self, PyObject *data, PyObject *address)
{
    PyObject *sock = Py_NewRef(self->sock);
    PyObject *res = PyObject_CallMethod(
        sock, "sendto", "OO", data, address == NULL ? Py_None : address);
    Py_DECREF(sock);
    if (res == NULL) {
        return send_raised(self);
    }
    Py_DECREF(res);
    return SENT;
}

/* The socket did not take it: hear when it can take more. */
static int
want_write(DatagramObject *self)
{
    if (!self->attached) {
        return 0;
    }
    /* A Unix socket is writable though the receiver's queue is full, and there
       is no edge when that has room: as good as level-triggered. */
    if (self->want_write && self->family != AF_UNIX) {
        return 0;
    }
    if (!self->watched) {
        if (KevLoop_DatagramWatch(self->loop, self->fd) < 0) {
            return -1;
        }
        self->watched = 1;
    }
    if (!self->want_write) {
        PyObject *context = PyContext_CopyCurrent();
        if (context == NULL) {
            return -1;
        }
        Py_XSETREF(self->write_context, context);
    }
    if (KevLoop_DatagramWantWrite(self->loop, self->fd, 1) < 0) {
        return -1;
    }
    self->want_write = 1;
    KevLoop_TransportAnchor((TransportObject *)self, 1);
    return 0;
}

/* All is sent: its going out is no news any more. */
static int
unwant_write(DatagramObject *self)
{
    if (!self->want_write || !self->attached) {
        return 0;
    }
    self->want_write = 0;
    return KevLoop_DatagramWantWrite(self->loop, self->fd, 0);
}

/* Sends the first of the outbox by itself, and takes it out unless BLOCKED. */
static enum sent
send_first(DatagramObject *self)
{
    struct datagram_out one = pop(self);
    enum sent sent;
    if (self->has_peer) {
        ssize_t n = net_send(self->fd, PyBytes_AS_STRING(one.data),
                             (size_t)PyBytes_GET_SIZE(one.data));
        sent = send_result(self, n);
    }
    else if (one.name.length > 0) {
        ssize_t n = net_sendto(self->fd, PyBytes_AS_STRING(one.data),
                               (size_t)PyBytes_GET_SIZE(one.data),
                               &one.name.any, one.name.length);
        sent = send_result(self, n);
    }
    else {
        sent = send_by_socket(self, one.data, one.address);
    }
    if (sent == BLOCKED && self->out_count < self->out_capacity
        && self->conn_lost == 0 && self->loop != NULL) {
        /* There it came from; nobody else has put anything before it. */
        self->out_first = (self->out_first - 1) & (self->out_capacity - 1);
        *out_at(self, 0) = one;
        self->out_count++;
        self->out_bytes += counts_for(&one);
        return BLOCKED;
    }
    Py_DECREF(one.data);
    Py_XDECREF(one.address);
    return sent;
}

/* ---- several at once ---- */

/*
 * Equal datagrams to one receiver can be handed to the kernel as one long one,
 * which it cuts (UDP_SEGMENT): it then walks through its layers once.  Only
 * what surely fits into a packet: no other datagram could be cut.
 */
static int
can_segment(DatagramObject *self)
{
    if (self->segments == SEGMENTS_UNKNOWN) {
        self->segments = self->family != AF_UNIX
                && net_has_segments(self->fd)
            ? SEGMENTS_CAN : SEGMENTS_NO;
    }
    return self->segments == SEGMENTS_CAN;
}

/* Has the first of the outbox a receiver that can be told to sendmsg()? */
static int
has_target(const DatagramObject *self, const struct datagram_out *one)
{
    return self->has_peer || one->name.length > 0;
}

/* How many from the one at `index` on can go as one. */
static unsigned
run_length(DatagramObject *self, uint32_t index, unsigned max)
{
    const struct datagram_out *first = out_at(self, index);
    size_t size = (size_t)PyBytes_GET_SIZE(first->data);
    unsigned count = 1;
    if (size == 0 || size > SEGMENT_BYTES || max < 2
        || index + 1 >= self->out_count || !can_segment(self)) {
        return 1;
    }
    if (max > SEGMENTS_BYTES / size) {
        max = (unsigned)(SEGMENTS_BYTES / size);
    }
    while (count < max && index + count < self->out_count) {
        const struct datagram_out *one = out_at(self, index + count);
        size_t next = (size_t)PyBytes_GET_SIZE(one->data);
        if (next > size || next == 0
            || (!self->has_peer
                && (one->name.length != first->name.length
                    || memcmp(&one->name.any, &first->name.any,
                              one->name.length) != 0))) {
            break;
        }
        count++;
        if (next < size) {
            break;  /* a shorter one can only be the last */
        }
    }
    return count;
}

/* What is on its way to the kernel: messages, and of how many datagrams each
   is made. */
struct mail {
    struct mmsghdr heads[SEND_BATCH];
    struct iovec iov[SEND_BATCH];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control[SEND_BATCH];
    unsigned made_of[SEND_BATCH];
    unsigned count;
};

/* Adds one message of `length` datagrams from `index` on, which is also how
   many iov are used so far. */
static void
add_message(DatagramObject *self, struct mail *mail, unsigned index,
            unsigned length)
{
    struct datagram_out *first = out_at(self, index);
    struct msghdr *head = &mail->heads[mail->count].msg_hdr;
    for (unsigned i = index; i < index + length; i++) {
        PyObject *data = out_at(self, i)->data;
        mail->iov[i] = (struct iovec){
            .iov_base = PyBytes_AS_STRING(data),
            .iov_len = (size_t)PyBytes_GET_SIZE(data),
        };
    }
    *head = (struct msghdr){
        .msg_name = self->has_peer ? NULL : &first->name.any,
        .msg_namelen = self->has_peer ? 0 : first->name.length,
        .msg_iov = &mail->iov[index],
        .msg_iovlen = length,
    };
    if (length > 1) {
        head->msg_control = mail->control[mail->count].bytes;
        head->msg_controllen = sizeof(mail->control[mail->count].bytes);
        net_set_segment(head, (uint16_t)mail->iov[index].iov_len);
    }
    mail->made_of[mail->count++] = length;
}

/* Several could not go as one: SENT if they are to be tried one by one. */
static enum sent
segments_failed(DatagramObject *self, int n)
{
    switch (-n) {
    case EINVAL: case EIO: case EMSGSIZE: case EOPNOTSUPP: case ENOPROTOOPT:
        self->segments = SEGMENTS_NO;  /* this route cannot */
        return SENT;
    }
    /* It is said once, and of the first: the others are tried again. */
    drop(self);
    return send_result(self, n);
}

/*
 * Sends as many from the outbox as one system call can.  On a connected socket
 * that is one message: there the kernel reports, once, that an earlier one was
 * refused, and sendmmsg() loses such an error when it comes in the middle.
 */
static enum sent
send_several(DatagramObject *self)
{
    struct mail mail;
    unsigned most = self->has_peer || self->loop->no_sendmmsg
        ? 1 : SEND_BATCH;
    unsigned index = 0;
    mail.count = 0;
    while (mail.count < most && index < SEND_BATCH && index < self->out_count
           && has_target(self, out_at(self, index))) {
        unsigned length = run_length(self, index, SEND_BATCH - index);
        add_message(self, &mail, index, length);
        index += length;
    }
    int n = mail.count == 1
        ? net_sendmsg_one(self->fd, &mail.heads[0].msg_hdr)
        : net_sendmmsg(self->fd, mail.heads, mail.count);
    if (n == -ENOSYS && mail.count > 1) {
        self->loop->no_sendmmsg = 1;
        return SENT;  /* nothing yet: message by message */
    }
    if (n == -EPERM && mail.count > 1) {
        return send_first(self);  /* it may be the call or the datagram */
    }
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return BLOCKED;
    }
    if (n < 0 && mail.made_of[0] > 1) {
        return segments_failed(self, n);
    }
    if (n < 0) {
        drop(self);
        return send_result(self, n);
    }
    for (int i = 0; i < n; i++) {
        for (unsigned left = mail.made_of[i]; left > 0; left--) {
            drop(self);
        }
    }
    return SENT;
}

/* Sends the outbox.  0: it is empty or the socket is full; -1. */
static int
flush(DatagramObject *self)
{
    while (self->out_count > 0 && self->fd >= 0 && self->loop != NULL) {
        int together = self->out_count > 1
            && has_target(self, out_at(self, 0));
        enum sent sent = together ? send_several(self) : send_first(self);
        if (sent == BLOCKED) {
            break;
        }
        if (sent == RAISED) {
            return -1;
        }
    }
    return 0;
}

/* Sends the outbox and sees to the rest.  0 or -1. */
static int
send_now(DatagramObject *self)
{
    self->held = 0;
    int r = flush(self);
    if (self->out_count == 0 || self->loop == NULL || self->conn_lost > 0) {
        return r;
    }
    PyObject *raised = r < 0 ? KevErr_GetRaised() : NULL;
    r = want_write(self) < 0 ? KevDatagram_Fatal(self, WRITE_FAILED)
        : KevDatagram_MaybePauseProtocol(self);
    if (raised != NULL) {
        PyErr_Clear();
        KevErr_SetRaised(raised);
        return -1;
    }
    return r;
}

int
KevDatagram_SendHeld(DatagramObject *self)
{
    return self->held ? send_now(self) : 0;
}

/* After the sending: 0; 1 if it was the last before the end; -1.  Guard
   held. */
static int
end_writing(DatagramObject *self)
{
    if (self->out_count > 0) {
        return want_write(self);
    }
    if (unwant_write(self) < 0) {
        return -1;
    }
    if (self->closing) {
        self->conn_lost++;
        return 1;
    }
    KevDatagram_Anchor(self);
    return 0;
}

int
KevDatagram_WriteReady(DatagramObject *self)
{
    int r;
    KEV_GUARD(self->monitor);
    self->held = 0;
    r = flush(self);
    KEV_UNGUARD();
    if (r == 0) {
        r = maybe_resume_protocol(self);  /* may send more */
    }
    if (self->loop == NULL || self->conn_lost > 0) {
        return r;
    }
    PyObject *raised = r < 0 ? KevErr_GetRaised() : NULL;
    KEV_GUARD(self->monitor);
    r = end_writing(self);
    KEV_UNGUARD();
    if (r != 0) {
        r = r < 0 ? KevDatagram_Fatal(self, WRITE_FAILED)
            : KevDatagram_ConnectionLost(self, Py_None);
    }
    if (raised != NULL) {
        PyErr_Clear();
        KevErr_SetRaised(raised);
        return -1;
    }
    return r;
}

/* ---- sendto() ------------------------------------------------------- */

/* One datagram on its way in: the buffer is the caller's to release. */
struct parcel {
    PyObject *data;             /* borrowed */
    PyObject *address;          /* borrowed, or NULL */
    const char *start;
    size_t size;
    struct inet_name name;      /* length 0: the socket module must read it */
};

/* Where it goes.  0, or -1 with ValueError. */
static int
direct(DatagramObject *self, struct parcel *parcel)
{
    parcel->name.length = 0;
    if (self->address != NULL) {
        int same = parcel->address == NULL ? 1
            : PyObject_RichCompareBool(parcel->address, self->address, Py_EQ);
        if (same == 0) {
            PyErr_Format(PyExc_ValueError,
                         "Invalid address: must be None or %S",
                         self->address);
        }
        if (same <= 0) {
            return -1;
        }
        parcel->address = self->address;
        parcel->name = self->name;
        return 0;
    }
    if (self->has_peer || parcel->address == NULL || self->loop == NULL
        || self->family == AF_UNIX) {
        return 0;
    }
    struct peers *peers = KevDatagram_Peers(self->loop);
    const struct inet_name *name = peers == NULL ? NULL
        : KevPeers_Find(peers, parcel->address);
    if (name != NULL && name->any.sa_family == self->family) {
        parcel->name = *name;
    }
    else if (!KevPeers_Parse(parcel->address, self->family, &parcel->name)) {
        parcel->name.length = 0;
    }
    return 0;
}

/* The first few on a lost transport pass in silence. */
static int
lost_write(DatagramObject *self)
{
    if (self->conn_lost >= LOST_WRITES_BEFORE_WARNING) {
        PyObject *res = PyObject_CallMethod(
            (PyObject *)self, "_log", "s", "socket.send() raised exception.");
        if (res == NULL) {
            return -1;
        }
        Py_DECREF(res);
    }
    self->conn_lost++;
    return 0;
}

static int
append(DatagramObject *self, const struct parcel *parcel)
{
    PyObject *data = PyBytes_CheckExact(parcel->data)
        ? Py_NewRef(parcel->data)
        : PyBytes_FromStringAndSize(parcel->start,
                                    (Py_ssize_t)parcel->size);
    if (data == NULL) {
        return -1;
    }
    if (self->out_count == self->out_capacity && grow(self) < 0) {
        Py_DECREF(data);
        return -1;
    }
    struct datagram_out *one = out_at(self, self->out_count);
    one->data = data;
    one->name = parcel->name;
    one->address = parcel->name.length > 0 ? NULL
        : Py_XNewRef(parcel->address);
    self->out_count++;
    self->out_bytes += counts_for(one);
    return 0;
}

static int
audit(DatagramObject *self, const struct parcel *parcel)
{
    return self->has_peer || parcel->name.length == 0 ? 0
        : PySys_Audit("socket.sendto", "OO", self->sock, parcel->address);
}

static int
send_at_once(DatagramObject *self, const struct parcel *parcel)
{
    enum sent sent;
    if (audit(self, parcel) < 0) {
        sent = send_raised(self);
    }
    else if (self->has_peer) {
        sent = send_result(self, net_send(self->fd, parcel->start,
                                          parcel->size));
    }
    else if (parcel->name.length > 0) {
        sent = send_result(self, net_sendto(
            self->fd, parcel->start, parcel->size, &parcel->name.any,
            parcel->name.length));
    }
    else {
        sent = send_by_socket(self, parcel->data, parcel->address);
    }
    if (sent != BLOCKED) {
        return sent == RAISED ? -1 : 0;
    }
    if (self->conn_lost > 0 || self->loop == NULL) {
        return 0;  /* close() has ended the sending */
    }
    if (append(self, parcel) < 0) {
        return -1;
    }
    if (want_write(self) < 0) {
        return KevDatagram_Fatal(self, WRITE_FAILED);
    }
    return KevDatagram_MaybePauseProtocol(self);
}

/* Adds to what the batch sends.  0 or -1. */
static int
hold(DatagramObject *self, const struct parcel *parcel)
{
    if (audit(self, parcel) < 0) {
        return send_raised(self) == RAISED ? -1 : 0;
    }
    if (self->loop == NULL || self->conn_lost > 0) {
        return 0;  /* a hook has closed us */
    }
    if (!self->held) {
        if (KevReady_Push(self->loop->held, (PyObject *)self) < 0) {
            return -1;
        }
        self->held = 1;
    }
    if (append(self, parcel) < 0) {
        return -1;
    }
    return self->out_count < SEND_BATCH && self->out_bytes <= self->high_water
        ? 0 : send_now(self);
}

/* Is what is sent now to be held?  While several datagrams are delivered, yes;
   of what one datagram has sent, the first leaves at once, as mostly there is
   no second. */
static int
gathers(DatagramObject *self)
{
    uint32_t single = self->loop->single_delivery;
    int again = single == 0 || self->last_delivery == single;
    self->last_delivery = single;
    return again;
}

static int
send_parcel(DatagramObject *self, struct parcel *parcel)
{
    if (direct(self, parcel) < 0) {
        return -1;
    }
    if (self->conn_lost > 0 && self->address != NULL) {
        return lost_write(self);
    }
    if (self->loop == NULL || self->fd < 0) {
        return 0;
    }
    int holds = self->loop->gathering > 0 && self->conn_lost == 0
        && gathers(self)
        && (self->has_peer ? can_segment(self) : parcel->name.length > 0)
        && KevLoop_IsPassThread(self->loop);
    if (self->held && !holds && KevDatagram_SendHeld(self) < 0) {
        return -1;
    }
    if (self->fd < 0 || self->loop == NULL) {
        return 0;  /* what was held has closed us */
    }
    if (holds && (self->held || self->out_count == 0)) {
        return hold(self, parcel);
    }
    if (self->out_count == 0) {
        return send_at_once(self, parcel);
    }
    return append(self, parcel) < 0 ? -1
        : KevDatagram_MaybePauseProtocol(self);
}

/* (data, addr=None) */
static int
parse_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                struct parcel *parcel)
{
    static const char *const names[] = {"data", "addr"};
    PyObject *given[2] = {NULL, NULL};
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < nargs && i < 2; i++) {
        given[i] = args[i];
    }
    for (Py_ssize_t k = 0; k < keywords; k++) {
        for (int i = 0; i < 2; i++) {
            if (given[i] == NULL
                && PyUnicode_CompareWithASCIIString(
                       PyTuple_GET_ITEM(kwnames, k), names[i]) == 0) {
                given[i] = args[nargs + k];
                break;
            }
        }
    }
    if (given[0] == NULL || nargs + keywords != 1 + (given[1] != NULL)) {
        PyErr_SetString(PyExc_TypeError, "sendto() takes data and addr=None");
        return -1;
    }
    parcel->data = given[0];
    parcel->address = given[1] == Py_None ? NULL : given[1];
    return 0;
}

PyObject *
KevDatagram_SendTo(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    DatagramObject *self = (DatagramObject *)op;
    struct parcel parcel;
    Py_buffer view = {0};
    if (parse_arguments(args, nargs, kwnames, &parcel) < 0) {
        return NULL;
    }
    PyObject *data = parcel.data;
    if (PyBytes_CheckExact(data)) {
        parcel.start = PyBytes_AS_STRING(data);
        parcel.size = (size_t)PyBytes_GET_SIZE(data);
    }
    else if (PyBytes_Check(data) || PyByteArray_Check(data)
             || PyMemoryView_Check(data)) {
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            /* asyncio finds out when it sends. */
            if (KevDatagram_Fatal(self, WRITE_FAILED) < 0) {
                return NULL;
            }
            Py_RETURN_NONE;
        }
        parcel.start = view.buf;
        parcel.size = (size_t)view.len;
    }
    else {
        PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(data),
                                                "__name__");
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like "
                         "object, not %R", name);
            Py_DECREF(name);
        }
        return NULL;
    }
    int r = 0;
    /* An empty datagram is one, from 3.13 on. */
    if (parcel.size > 0 || DATAGRAM_HEADER > 0) {
        r = send_parcel(self, &parcel);
    }
    if (view.obj != NULL) {
        PyBuffer_Release(&view);
    }
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
