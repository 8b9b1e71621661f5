/*
 * datagram_read.c - from the socket to the protocol.
 *
 * A batch is taken from the socket into the arena, then made into objects in
 * the transport's inbox, then delivered.  A callback may pause or close the
 * transport, or run a pass of the loop: the inbox is whole before each
 * callback.  While reading is paused what it holds waits; close() and abort()
 * empty it.
 */
#include "aio/compat.h"
#include "aio/datagram.h"
#include "aio/netio.h"

#include <string.h>

#define READ_FAILED "Fatal read error on datagram transport"

/* No datagram of IP is longer; one over a Unix socket may be, and asyncio asks
   for so much. */
#define IP_BYTES ((size_t)64 * 1024)
#define LONGEST_BYTES ((size_t)256 * 1024)

/* Slots a power of two apart would all compete for the same cache lines. */
#define APART(bytes) ((bytes) + 17 * 64)
#define ARENA_BYTES (DATAGRAM_BATCH * APART(IP_BYTES))

struct datagram_arena {
    struct peers peers;
    struct mmsghdr heads[DATAGRAM_BATCH];
    struct iovec iov[DATAGRAM_BATCH];
    struct sockaddr_storage names[DATAGRAM_BATCH];
    size_t slot_bytes;          /* how it is divided at the moment */
    unsigned slots;
    char busy;                  /* objects are being made of what it holds */
    char no_recvmmsg;           /* the kernel has none, or hides it */
    char bytes[ARENA_BYTES];    /* touched only as far as datagrams reach */
};

void
KevDatagram_ArenaFree(LoopObject *loop)
{
    struct datagram_arena *arena = loop->datagrams;
    if (arena != NULL && !arena->busy) {
        loop->datagrams = NULL;
        KevPeers_Clear(&arena->peers);
        PyMem_Free(arena);
    }
}

int
KevDatagram_ArenaTraverse(const LoopObject *loop, visitproc visit, void *arg)
{
    return loop->datagrams == NULL ? 0
        : KevPeers_Traverse(&loop->datagrams->peers, visit, arg);
}

struct peers *
KevDatagram_Peers(const LoopObject *loop)
{
    return loop->datagrams == NULL ? NULL : &loop->datagrams->peers;
}

static void
divide(struct datagram_arena *arena, size_t slot_bytes)
{
    size_t fit = sizeof(arena->bytes) / APART(slot_bytes);
    arena->slot_bytes = slot_bytes;
    arena->slots = fit < DATAGRAM_BATCH ? (unsigned)fit : DATAGRAM_BATCH;
    for (unsigned i = 0; i < arena->slots; i++) {
        arena->iov[i] = (struct iovec){
            .iov_base = arena->bytes + i * APART(slot_bytes),
            .iov_len = slot_bytes,
        };
        arena->heads[i].msg_hdr = (struct msghdr){
            .msg_name = &arena->names[i],
            .msg_namelen = sizeof(arena->names[i]),
            .msg_iov = &arena->iov[i],
            .msg_iovlen = 1,
        };
    }
}

/* The loop's arena, divided for this socket; NULL with MemoryError. */
static struct datagram_arena *
arena_for(DatagramObject *self)
{
    LoopObject *loop = self->loop;
    size_t slot_bytes = self->family == AF_UNIX ? LONGEST_BYTES : IP_BYTES;
    if (loop->datagrams == NULL) {
        loop->datagrams = PyMem_Calloc(1, sizeof(*loop->datagrams));
        if (loop->datagrams == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    if (self->inbox == NULL) {
        self->inbox = PyMem_Malloc(DATAGRAM_BATCH * sizeof(*self->inbox));
        if (self->inbox == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    if (loop->datagrams->slot_bytes != slot_bytes) {
        divide(loop->datagrams, slot_bytes);
    }
    return loop->datagrams;
}

/* Takes up to count datagrams: how many, or -errno. */
static int
receive(struct datagram_arena *arena, int fd, unsigned count)
{
    if (!arena->no_recvmmsg) {
        int n = net_recvmmsg(fd, arena->heads, count);
        if (n != -ENOSYS && n != -EPERM) {
            return n;
        }
        arena->no_recvmmsg = 1;
    }
    ssize_t size = net_recvmsg_one(fd, &arena->heads[0].msg_hdr);
    if (size < 0) {
        return (int)size;
    }
    arena->heads[0].msg_len = (unsigned)size;
    return 1;
}

/* Makes objects of the first count slots.  0, or -1: those that could be made
   are in the inbox. */
static int
unpack(DatagramObject *self, struct datagram_arena *arena, unsigned count)
{
    int r = 0;
    arena->busy = 1;
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *head = &arena->heads[i].msg_hdr;
        socklen_t length = head->msg_namelen;
        head->msg_namelen = sizeof(arena->names[i]);
        if (r < 0) {
            continue;
        }
        PyObject *address = KevPeers_Address(&arena->peers, &arena->names[i],
                                             length);
        PyObject *data = address == NULL ? NULL : PyBytes_FromStringAndSize(
            arena->iov[i].iov_base, (Py_ssize_t)arena->heads[i].msg_len);
        if (data == NULL) {
            Py_XDECREF(address);
            r = -1;
            continue;
        }
        self->inbox[self->in_count++] = (struct datagram_in){
            .data = data, .address = address};
    }
    arena->busy = 0;
    return r;
}

/* Takes a batch into the empty inbox.  0, or -1 with an exception.  Guard
   held. */
static int
fill(DatagramObject *self)
{
    struct datagram_arena *arena = self->loop->datagrams;
    if (arena != NULL && arena->busy) {
        return 0;  /* a finalizer runs the loop: in its next pass */
    }
    arena = arena_for(self);
    if (arena == NULL) {
        return KevDatagram_Fatal(self, READ_FAILED);
    }
    /* The debug mode measures callbacks one by one. */
    unsigned count = self->loop->debug ? 1 : arena->slots;
    int n = receive(arena, self->fd, count);
    if (n == -EAGAIN || n == -EWOULDBLOCK || n == 0) {
        self->readable = 0;
        self->drain = 0;
        return 0;
    }
    if (n < 0) {
        return KevDatagram_ErrorReceived(self, -n);
    }
    if ((unsigned)n < count && !self->drain && !arena->no_recvmmsg) {
        self->readable = 0;  /* what comes next will be an edge */
    }
    self->in_first = 0;
    if (unpack(self, arena, (unsigned)n) < 0) {
        return KevDatagram_Fatal(self, READ_FAILED);
    }
    return 0;
}

/* ---- delivery ------------------------------------------------------- */

static struct datagram_in
pop(DatagramObject *self)
{
    self->in_count--;
    return self->inbox[self->in_first++];
}

void
KevDatagram_ClearInbox(DatagramObject *self)
{
    while (self->in_count > 0) {
        struct datagram_in one = pop(self);
        Py_DECREF(one.data);
        Py_DECREF(one.address);
    }
}

/* Steals the datagram. */
static PyObject *
call_one(PyObject *protocol, struct datagram_in one, ModState *state)
{
    PyObject *args[3] = {protocol, one.data, one.address};
    PyObject *res = PyObject_VectorcallMethod(
        state->str_datagram_received, args, 3, NULL);
    Py_DECREF(one.data);
    Py_DECREF(one.address);
    return res;
}

/* All that the inbox holds as a list of pairs: a new reference or NULL. */
static PyObject *
pop_all(DatagramObject *self)
{
    PyObject *list = PyList_New(0);
    while (list != NULL && self->in_count > 0) {
        struct datagram_in one = pop(self);
        PyObject *pair = PyTuple_Pack(2, one.data, one.address);
        Py_DECREF(one.data);
        Py_DECREF(one.address);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    return list;
}

/* Steals the list, which may be NULL: an exception is set. */
static PyObject *
call_list(PyObject *protocol, PyObject *list, ModState *state)
{
    if (list == NULL) {
        return NULL;
    }
    PyObject *res = PyObject_CallMethodOneArg(
        protocol, state->str_datagrams_received, list);
    Py_DECREF(list);
    return res;
}

/* Hands out what is in the inbox.  An exception of a callback concerns that
   datagram alone.  0, or -1 with one that must end the pass. */
static int
deliver(DatagramObject *self, LoopObject *loop)
{
    ModState *state = loop->state;
    int r = 0;
    while (r == 0) {
        PyObject *protocol = NULL;
        PyObject *list = NULL;
        struct datagram_in one = {NULL, NULL};
        KEV_GUARD(self->monitor);
        if (self->in_count > 0 && KevDatagram_IsReading(self)
            && self->protocol != NULL) {
            protocol = Py_NewRef(self->protocol);
            if (self->takes_lists) {
                list = pop_all(self);
            }
            else {
                one = pop(self);
            }
        }
        KEV_UNGUARD();
        if (protocol == NULL) {
            break;
        }
        PyObject *res = one.data == NULL
            ? call_list(protocol, list, state)
            : call_one(protocol, one, state);
        Py_DECREF(protocol);
        if (res == NULL) {
            r = KevDatagram_CallbackFailed(self, loop);
        }
        Py_XDECREF(res);
    }
    return r;
}

/* Has something in the inbox, if there is anything: the loop, a new reference;
   NULL: it does not read.  Guard held. */
static LoopObject *
begin_reading(DatagramObject *self, int *ret_r)
{
    if (self->conn_lost > 0 || self->fd < 0 || self->protocol == NULL
        || self->loop == NULL || !KevDatagram_IsReading(self)) {
        return NULL;
    }
    LoopObject *loop = (LoopObject *)Py_NewRef((PyObject *)self->loop);
    *ret_r = self->in_count > 0 ? 0 : fill(self);
    return loop;
}

/* What is left has its turn in the next pass. */
static int
read_on(DatagramObject *self)
{
    int r = 0;
    KEV_GUARD(self->monitor);
    if ((self->readable || self->in_count > 0) && KevDatagram_IsReading(self)
        && self->loop != NULL) {
        r = KevTransport_QueueAgain((TransportObject *)self);
    }
    KEV_UNGUARD();
    return r;
}

int
KevDatagram_ReadReady(DatagramObject *self)
{
    LoopObject *loop;
    int r = 0;
    KEV_GUARD(self->monitor);
    loop = begin_reading(self, &r);
    KEV_UNGUARD();
    if (loop == NULL) {
        return 0;
    }
    if (r == 0 && self->in_count > 0) {
        uint32_t outer = loop->single_delivery;
        loop->single_delivery = 0;
        if (self->in_count == 1) {
            loop->single_deliveries += 2;
            loop->single_delivery = loop->single_deliveries | 1;
        }
        loop->gathering++;
        r = deliver(self, loop);
        loop->gathering--;
        loop->single_delivery = outer;
    }
    if (loop->gathering == 0 && KevReady_Len(loop->held) > 0) {
        r = KevTransport_AfterCallback(loop, r);
    }
    if (read_on(self) < 0 && r == 0) {
        r = -1;
    }
    Py_DECREF(loop);
    return r;
}

int
KevDatagram_ResumeReading(DatagramObject *self)
{
    return self->readable || self->in_count > 0
        ? KevTransport_QueueAgain((TransportObject *)self) : 0;
}
