/*
 * datagram_type.c - the datagram transport as Python sees it.
 */
#include "aio/datagram.h"

#include "aio/callargs.h"
#include "aio/compat.h"

/* ---- making one --------------------------------------------------------- */

/* What is known of the socket, which decides how datagrams are sent. */
static int
describe(DatagramObject *self, PyObject *sock, PyObject *extra)
{
    PyObject *dict = PyObject_CallMethod((PyObject *)self, "_describe", "OO",
                                         sock, extra);
    if (dict == NULL) {
        return -1;
    }
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "_describe() must return a dict");
        Py_DECREF(dict);
        return -1;
    }
    Py_XSETREF(self->extra, dict);
    PyObject *peer = PyMapping_GetItemString(dict, "peername");
    int has_peer = peer == NULL ? -1 : PyObject_IsTrue(peer);
    Py_XDECREF(peer);
    self->has_peer = has_peer > 0;
    return has_peer < 0 ? -1 : 0;
}

/* The only address that it may send to, if there is one. */
static int
set_address(DatagramObject *self, PyObject *address)
{
    int given = PyObject_IsTrue(address);
    if (given <= 0) {
        return given;
    }
    self->address = Py_NewRef(address);
    if (!KevPeers_Parse(address, self->family, &self->name)) {
        self->name.length = 0;
    }
    return 0;
}

/* connection_made() first, then it reads, then whoever waits goes on; all of
   that or nothing. */
static int
queue_birth(DatagramObject *self, LoopObject *loop, PyObject *protocol,
            PyObject *waiter)
{
    ModState *state = loop->state;
    PyObject *myself = (PyObject *)self;
    PyObject *waiting[2] = {waiter, Py_None};
    PyObject *made = PyObject_GetAttr(protocol, state->str_connection_made);
    PyObject *start = PyObject_GetAttrString(myself, "_start");
    PyObject *first = NULL;
    PyObject *second = NULL;
    PyObject *third = NULL;
    if (made != NULL && start != NULL) {
        first = KevLoop_CallSoon(loop, made, &myself, 1, NULL);
    }
    if (first != NULL) {
        second = KevLoop_CallSoon(loop, start, NULL, 0, NULL);
    }
    if (second != NULL) {
        third = waiter == Py_None ? Py_NewRef(Py_None) : KevLoop_CallSoon(
            loop, state->set_result_unless_cancelled, waiting, 2, NULL);
    }
    int r = third == NULL ? -1 : 0;
    if (r < 0 && first != NULL) {
        PyObject *exc = KevErr_GetRaised();
        if (KevHandle_Cancel(state, first) < 0
            || (second != NULL && KevHandle_Cancel(state, second) < 0)) {
            PyErr_Clear();
        }
        KevErr_SetRaised(exc);
    }
    Py_XDECREF(made);
    Py_XDECREF(start);
    Py_XDECREF(first);
    Py_XDECREF(second);
    Py_XDECREF(third);
    return r;
}

/* Takes loop and socket and what comes with them.  0 or -1. */
static int
build(DatagramObject *self, LoopObject *loop, PyObject *sock, int fd,
      PyObject *protocol, PyObject *address, PyObject *extra)
{
    PyObject *family = PyObject_GetAttrString(sock, "family");
    if (family == NULL) {
        return -1;
    }
    long number = PyLong_AsLong(family);
    Py_DECREF(family);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    self->family = (short)number;
    if (KevLoop_CheckOpen(loop) < 0 || describe(self, sock, extra) < 0
        || set_address(self, address) < 0) {
        return -1;
    }
    if (KevDatagram_SetProtocol(self, protocol) < 0) {
        return -1;
    }
    int r;
    KEV_GUARD(self->monitor);
    r = KevLoop_DatagramClaim(loop, fd, (TransportObject *)self);
    if (r == 0) {
        self->attached = 1;
        self->sock = Py_NewRef(sock);
        self->fd = fd;
    }
    KEV_UNGUARD();
    return r;
}

static PyObject *
datagram_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"loop", "sock", "protocol", "address", "waiter",
                            "extra", NULL};
    PyObject *loop;
    PyObject *sock;
    PyObject *protocol;
    PyObject *address = Py_None;
    PyObject *waiter = Py_None;
    PyObject *extra = Py_None;
    ModState *state = KevState_OfType(type);
    if (state == NULL
        || !PyArg_ParseTupleAndKeywords(
               args, kwds, "O!OO|OOO:DatagramTransport", names,
               (PyTypeObject *)state->loop_type, &loop, &sock, &protocol,
               &address, &waiter, &extra)) {
        return NULL;
    }
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0) {
        return NULL;
    }
    DatagramObject *self = (DatagramObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    KevTransport_SetLoop((TransportObject *)self, (LoopObject *)loop);
    self->kind = TRANSPORT_DATAGRAM;
    self->fd = -1;
    self->fd_number = fd;
    self->high_water = DATAGRAM_HIGH_WATER;
    self->low_water = DATAGRAM_HIGH_WATER / 4;
    if (build(self, (LoopObject *)loop, sock, fd, protocol, address, extra)
            == 0
        && queue_birth(self, (LoopObject *)loop, protocol, waiter) == 0) {
        return (PyObject *)self;
    }
    /* It never came to be: the socket is still its maker's. */
    PyObject *exc = KevErr_GetRaised();
    KEV_GUARD(self->monitor);
    if (self->loop != NULL) {
        KevDatagram_Detach(self);
    }
    self->fd = -1;
    self->closing = 1;
    Py_CLEAR(self->sock);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->loop);
    KEV_UNGUARD();
    Py_DECREF(self);
    KevErr_SetRaised(exc);
    return NULL;
}

/* asyncio's __init__ takes only `extra`; all was done in __new__. */
static int
datagram_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args),
              PyObject *Py_UNUSED(kwds))
{
    return 0;
}

/* ---- methods -------------------------------------------------------- */

static PyObject *
none_or_null(int r)
{
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
datagram_start(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(KevDatagram_Start((DatagramObject *)self));
}

static PyObject *
datagram_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(KevDatagram_Close((DatagramObject *)self));
}

static PyObject *
datagram_abort(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    DatagramObject *self = (DatagramObject *)op;
    int r;
    KEV_GUARD(self->monitor);
    r = KevDatagram_SendHeld(self);
    KEV_UNGUARD();
    return r < 0 ? NULL
        : none_or_null(KevDatagram_ForceClose(self, Py_None));
}

static PyObject *
datagram_force_close(PyObject *self, PyObject *exc)
{
    return none_or_null(KevDatagram_ForceClose((DatagramObject *)self, exc));
}

static PyObject *
datagram_connection_lost(PyObject *self, PyObject *exc)
{
    return none_or_null(
        KevDatagram_ConnectionLost((DatagramObject *)self, exc));
}

static PyObject *
datagram_is_closing(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((DatagramObject *)self)->closing);
}

static PyObject *
datagram_is_reading(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(KevDatagram_IsReading((DatagramObject *)self));
}

static PyObject *
datagram_pause_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    DatagramObject *self = (DatagramObject *)op;
    if (self->closing || self->paused) {
        Py_RETURN_NONE;
    }
    Py_INCREF(self);  /* nobody else may want it any more */
    KEV_GUARD(self->monitor);
    self->paused = 1;
    KevDatagram_Anchor(self);
    KEV_UNGUARD();
    PyObject *res = self->loop != NULL && self->loop->debug
        ? PyObject_CallMethod(op, "_debug", "s", "pauses reading")
        : Py_NewRef(Py_None);
    Py_DECREF(self);
    return res;
}

static PyObject *
datagram_resume_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    DatagramObject *self = (DatagramObject *)op;
    if (self->closing || !self->paused) {
        Py_RETURN_NONE;
    }
    self->paused = 0;
    if (KevDatagram_Start(self) < 0) {
        return NULL;
    }
    if (self->loop != NULL && self->loop->debug) {
        return PyObject_CallMethod(op, "_debug", "s", "resumes reading");
    }
    Py_RETURN_NONE;
}

static PyObject *
datagram_set_protocol(PyObject *op, PyObject *protocol)
{
    return none_or_null(
        KevDatagram_SetProtocol((DatagramObject *)op, protocol));
}

static PyObject *
datagram_get_protocol(PyObject *op, PyObject *arg)
{
    PyObject *protocol = ((DatagramObject *)op)->protocol;
    return Py_NewRef(protocol != NULL ? protocol : Py_None);
}

static PyObject *
datagram_get_write_buffer_size(PyObject *op, PyObject *arg)
{
    if (KevDatagram_SendHeld((DatagramObject *)op) < 0) {
        return NULL;
    }
    return PyLong_FromSize_t(((DatagramObject *)op)->out_bytes);
}

static PyObject *
datagram_get_write_buffer_limits(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    DatagramObject *self = (DatagramObject *)op;
    return Py_BuildValue("nn", (Py_ssize_t)self->low_water,
                         (Py_ssize_t)self->high_water);
}

static PyObject *
datagram_set_limits(PyObject *op, PyObject *args)
{
    DatagramObject *self = (DatagramObject *)op;
    Py_ssize_t high;
    Py_ssize_t low;
    if (!PyArg_ParseTuple(args, "nn:_set_limits", &high, &low)) {
        return NULL;
    }
    if (KevDatagram_SendHeld(self) < 0) {
        return NULL;
    }
    self->high_water = (size_t)high;
    self->low_water = (size_t)low;
    return none_or_null(KevDatagram_MaybePauseProtocol(self));
}

KEV_GUARD_FAST(KevDatagram_SendTo, KevTransport_Monitor)
KEV_GUARD_METHOD(datagram_get_protocol, KevTransport_Monitor)
KEV_GUARD_METHOD(datagram_get_write_buffer_size, KevTransport_Monitor)
KEV_GUARD_METHOD(datagram_set_limits, KevTransport_Monitor)

KEV_ONE_ARGUMENT(datagram_set_protocol_named, datagram_set_protocol,
                 "DatagramTransport.set_protocol", "protocol")

static PyMethodDef datagram_methods[] = {
    {"sendto", (PyCFunction)(void (*)(void))KEV_GUARDED(KevDatagram_SendTo),
     METH_FASTCALL | METH_KEYWORDS,
     "sendto($self, data, addr=None)\n--\n\n"
     "Send a datagram: at once, or together with what the callbacks of one\n"
     "batch of received datagrams send."},
    {"close", datagram_close, METH_NOARGS,
     "close($self)\n--\n\nClose, after what is buffered has been sent."},
    {"abort", datagram_abort, METH_NOARGS,
     "abort($self)\n--\n\nClose at once; what is buffered is lost."},
    {"is_closing", datagram_is_closing, METH_NOARGS, NULL},
    {"is_reading", datagram_is_reading, METH_NOARGS, NULL},
    {"pause_reading", datagram_pause_reading, METH_NOARGS,
     "pause_reading($self)\n--\n\nNo datagram_received() until resumed."},
    {"resume_reading", datagram_resume_reading, METH_NOARGS,
     "resume_reading($self)\n--\n\nUndo pause_reading()."},
    {"set_protocol", KEYWORD_METHOD(datagram_set_protocol_named),
     KEYWORD_FLAGS,
     "set_protocol($self, protocol)\n--\n\nGive the data to another."},
    {"get_protocol", KEV_GUARDED(datagram_get_protocol), METH_NOARGS, NULL},
    {"get_write_buffer_size", KEV_GUARDED(datagram_get_write_buffer_size),
     METH_NOARGS,
     "get_write_buffer_size($self)\n--\n\nBytes not sent yet."},
    {"get_write_buffer_limits", datagram_get_write_buffer_limits,
     METH_NOARGS, "get_write_buffer_limits($self)\n--\n\n(low, high) in "
     "bytes."},
    {"_start", datagram_start, METH_NOARGS, NULL},
    {"_set_limits", KEV_GUARDED(datagram_set_limits), METH_VARARGS, NULL},
    {"_force_close", datagram_force_close, METH_O, NULL},
    {"_call_connection_lost", datagram_connection_lost, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- attributes ----------------------------------------------------- */

static PyObject *
get_sock(PyObject *op, void *closure)
{
    DatagramObject *self = (DatagramObject *)op;
    if (KevDatagram_SendHeld(self) < 0) {
        return NULL;  /* who takes the socket may send on it */
    }
    return Py_NewRef(self->sock != NULL ? self->sock : Py_None);
}

static PyObject *
get_object(PyObject *op, void *offset)
{
    PyObject *value = *(PyObject **)((char *)op + (size_t)offset);
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
get_conn_lost(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(((DatagramObject *)op)->conn_lost);
}

static PyObject *
get_fd_number(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((DatagramObject *)op)->fd_number);
}

static PyObject *
get_char(PyObject *op, void *offset)
{
    return PyBool_FromLong(*((char *)op + (size_t)offset));
}

#define OBJECT(name, field)                                               \
    {name, KEV_GUARDED(get_object), NULL, NULL,                           \
     (void *)offsetof(DatagramObject, field)}
#define FLAG(name, field)                                                 \
    {name, get_char, NULL, NULL, (void *)offsetof(DatagramObject, field)}

KEV_GUARD_GET(get_object, KevTransport_Monitor)
KEV_GUARD_GET(get_sock, KevTransport_Monitor)

static PyGetSetDef datagram_getset[] = {
    OBJECT("_loop", loop),
    OBJECT("_protocol", protocol),
    OBJECT("_address", address),
    FLAG("_closing", closing),
    FLAG("_paused", paused),
    FLAG("_protocol_paused", protocol_paused),
    FLAG("_want_write", want_write),
    {"_sock", KEV_GUARDED(get_sock), NULL, NULL, NULL},
    {"_sock_fd", get_fd_number, NULL, NULL, NULL},
    {"_conn_lost", get_conn_lost, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- life and death ------------------------------------------------- */

static int
datagram_traverse(PyObject *op, visitproc visit, void *arg)
{
    DatagramObject *self = (DatagramObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->extra);
    Py_VISIT(self->high_slot);
    Py_VISIT(self->loop_slot);
    Py_VISIT(self->low_slot);
    Py_VISIT(self->paused_slot);
    Py_VISIT((PyObject *)self->loop);
#ifdef Py_GIL_DISABLED
    Py_VISIT(self->monitor);
#endif
    Py_VISIT(self->sock);
    Py_VISIT(self->protocol);
    Py_VISIT(self->address);
    Py_VISIT(self->read_context);
    Py_VISIT(self->write_context);
    for (uint32_t i = 0; i < self->in_count; i++) {
        Py_VISIT(self->inbox[self->in_first + i].data);
        Py_VISIT(self->inbox[self->in_first + i].address);
    }
    for (uint32_t i = 0; i < self->out_count; i++) {
        uint32_t at = (self->out_first + i) & (self->out_capacity - 1);
        Py_VISIT(self->outbox[at].data);
        Py_VISIT(self->outbox[at].address);
    }
    return 0;
}

static int
datagram_clear(PyObject *op)
{
    DatagramObject *self = (DatagramObject *)op;
    KEV_GUARD(self->monitor);
    if (self->loop != NULL) {
        KevDatagram_Detach(self);
    }
    KEV_UNGUARD();
    KevDatagram_ClearInbox(self);
    KevDatagram_ClearOutbox(self);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->high_slot);
    Py_CLEAR(self->loop_slot);
    Py_CLEAR(self->low_slot);
    Py_CLEAR(self->paused_slot);
    self->fd = -1;
    Py_CLEAR(self->sock);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->address);
    Py_CLEAR(self->read_context);
    Py_CLEAR(self->write_context);
    Py_CLEAR(self->loop);
    return 0;
}

static void
datagram_finalize(PyObject *op)
{
    DatagramObject *self = (DatagramObject *)op;
    if (self->sock == NULL) {
        return;
    }
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    KEV_GUARD(self->monitor);
    if (self->loop != NULL) {
        KevDatagram_Detach(self);  /* while the number is still ours */
    }
    KEV_UNGUARD();
    if (KevDatagram_CloseSocket(self) < 0) {
        PyErr_WriteUnraisable(op);
    }
    KevErr_SetRaised(exc);
}

static void
datagram_dealloc(PyObject *op)
{
    DatagramObject *self = (DatagramObject *)op;
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;  /* brought back to life */
    }
    PyObject_GC_UnTrack(self);
    (void)datagram_clear(op);
    PyMem_Free(self->inbox);
    PyMem_Free(self->outbox);
#ifdef Py_GIL_DISABLED
    Py_XDECREF(self->monitor);
#endif
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot datagram_slots[] = {
    {Py_tp_doc, "The part of a datagram transport that runs per packet."},
    {Py_tp_new, datagram_new},
    {Py_tp_init, datagram_init},
    {Py_tp_methods, datagram_methods},
    {Py_tp_getset, datagram_getset},
    {Py_tp_traverse, datagram_traverse},
    {Py_tp_clear, datagram_clear},
    {Py_tp_finalize, datagram_finalize},
    {Py_tp_dealloc, datagram_dealloc},
    {0, NULL},
};

static PyType_Spec datagram_spec = {
    .name = "kevent._core.DatagramTransport",
    .basicsize = sizeof(DatagramObject),
    /* Not immutable: 3.14 allows that only where the bases are. */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = datagram_slots,
};

/* Like the stream's, of which it is checked that the base is laid out so. */
int
KevDatagram_Setup(PyObject *module, ModState *state)
{
    PyObject *base = Py_NewRef(
        (PyObject *)((PyTypeObject *)state->stream_type)->tp_base);
    int r = KevModule_AddType(module, &datagram_spec, base,
                              &state->datagram_type, 1);
    Py_DECREF(base);
    return r;
}
