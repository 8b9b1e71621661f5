/*
 * stream_type.c - the stream transport as Python sees it.
 */
#include "aio/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "aio/callargs.h"
#include "aio/compat.h"

/* ---- making one --------------------------------------------------------- */

static PyObject *
stream_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"loop", "sock", "protocol", "waiter", "extra",
                            "server", "context", NULL};
    PyObject *loop;
    PyObject *sock;
    PyObject *protocol;
    PyObject *waiter = NULL;
    PyObject *extra = NULL;
    PyObject *server = NULL;
    PyObject *context = NULL;
    ModState *state = KevState_OfType(type);
    if (state == NULL
        || !PyArg_ParseTupleAndKeywords(
               args, kwds, "O!OO|OOOO:StreamTransport", names,
               (PyTypeObject *)state->loop_type, &loop, &sock, &protocol,
               &waiter, &extra, &server, &context)) {
        return NULL;
    }
    if (extra != NULL && extra != Py_None && !PyDict_Check(extra)) {
        PyErr_SetString(PyExc_TypeError,
                        "StreamTransport(): extra must be a dict or None");
        return NULL;
    }
    if (context != NULL && context != Py_None
        && !PyContext_CheckExact(context)) {
        PyErr_SetString(PyExc_TypeError,
                        "StreamTransport(): context must be a "
                        "contextvars.Context or None");
        return NULL;
    }
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0) {
        return NULL;
    }
    PyObject *family = PyObject_GetAttrString(sock, "family");
    if (family == NULL) {
        return NULL;
    }
    long family_number = PyLong_AsLong(family);
    Py_DECREF(family);
    if (family_number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (family_number == AF_INET || family_number == AF_INET6) {
        int on = 1;  /* fails on what is not TCP: then there is no delay */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return KevStream_New(type, (LoopObject *)loop, fd, (int)family_number,
                         NULL, sock, protocol, waiter, extra, server, context);
}

/* asyncio's __init__ takes only `extra`; all was done in __new__. */
static int
stream_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args),
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
stream_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(KevStream_Close((StreamObject *)self));
}

static PyObject *
stream_abort(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    int r;
    KEV_GUARD(((StreamObject *)self)->monitor);
    r = KevStream_SendHeld((StreamObject *)self);
    KEV_UNGUARD();
    if (r < 0) {
        return NULL;
    }
    return none_or_null(KevStream_ForceClose((StreamObject *)self, Py_None));
}

static PyObject *
stream_force_close(PyObject *self, PyObject *exc)
{
    return none_or_null(KevStream_ForceClose((StreamObject *)self, exc));
}

static PyObject *
stream_connection_lost(PyObject *self, PyObject *exc)
{
    return none_or_null(KevStream_ConnectionLost((StreamObject *)self, exc));
}

static PyObject *
stream_is_closing(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((StreamObject *)self)->closing);
}

static PyObject *
stream_is_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    return PyBool_FromLong(!self->closing && !self->paused);
}

static PyObject *
stream_pause_reading(PyObject *op, PyObject *arg)
{
    StreamObject *self = (StreamObject *)op;
    if (self->closing || self->paused) {
        Py_RETURN_NONE;
    }
    self->paused = 1;
    KevStream_Anchor(self);
    if (self->loop != NULL && self->loop->debug) {
        return PyObject_CallMethod(op, "_debug", "s", "pauses reading");
    }
    Py_RETURN_NONE;
}

static PyObject *
stream_resume_reading(PyObject *op, PyObject *arg)
{
    StreamObject *self = (StreamObject *)op;
    if (self->closing || !self->paused) {
        Py_RETURN_NONE;
    }
    self->paused = 0;
    KevStream_Anchor(self);
    if (self->loop == NULL || KevStream_ResumeReading(self) < 0) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    if (self->loop->debug) {
        return PyObject_CallMethod(op, "_debug", "s", "resumes reading");
    }
    Py_RETURN_NONE;
}

static PyObject *
stream_set_protocol(PyObject *op, PyObject *protocol)
{
    return none_or_null(KevStream_SetProtocol((StreamObject *)op, protocol));
}

static PyObject *
stream_get_protocol(PyObject *op, PyObject *arg)
{
    PyObject *protocol = ((StreamObject *)op)->protocol;
    return Py_NewRef(protocol != NULL ? protocol : Py_None);
}

static PyObject *
stream_get_extra_info(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    static const char *const names[] = {"name", "default"};
    StreamObject *self = (StreamObject *)op;
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
        PyErr_SetString(PyExc_TypeError,
                        "get_extra_info() takes name and default=None");
        return NULL;
    }
    if (!self->extra_filled) {
        PyObject *res = PyObject_CallMethod(op, "_fill_extra", NULL);
        if (res == NULL) {
            return NULL;
        }
        Py_DECREF(res);
    }
    /* Held: comparing the name may run Python.  asyncio's descriptor can put
       there what is no dict. */
    PyObject *extra;
    KEV_GUARD(op);  /* as that descriptor does */
    extra = Py_XNewRef(self->extra);
    KEV_UNGUARD();
    PyObject *value = NULL;
    if (extra != NULL && !PyDict_Check(extra)) {
        PyErr_Format(PyExc_TypeError, "_extra is %s, not a dict",
                     Py_TYPE(extra)->tp_name);
    }
    else if (extra != NULL) {
        (void)KevDict_Get(extra, given[0], &value);
    }
    Py_XDECREF(extra);
    if (value == NULL && !PyErr_Occurred()) {
        value = Py_NewRef(given[1] != NULL ? given[1] : Py_None);
    }
    return value;
}

static PyObject *
stream_get_write_buffer_size(PyObject *op, PyObject *arg)
{
    if (KevStream_SendHeld((StreamObject *)op) < 0) {
        return NULL;
    }
    return PyLong_FromSize_t(((StreamObject *)op)->wbuf.size);
}

static PyObject *
stream_get_write_buffer_limits(PyObject *op, PyObject *arg)
{
    StreamObject *self = (StreamObject *)op;
    return Py_BuildValue("nn", (Py_ssize_t)self->low_water,
                         (Py_ssize_t)self->high_water);
}

static PyObject *
stream_set_limits(PyObject *op, PyObject *args)
{
    StreamObject *self = (StreamObject *)op;
    Py_ssize_t high;
    Py_ssize_t low;
    if (!PyArg_ParseTuple(args, "nn:_set_limits", &high, &low)) {
        return NULL;
    }
    if (KevStream_SendHeld(self) < 0) {
        return NULL;
    }
    self->high_water = (size_t)high;
    self->low_water = (size_t)low;
    return none_or_null(self->loop == NULL
                        ? 0 : KevStream_MaybePauseProtocol(self));
}

static PyObject *
stream_can_write_eof(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_TRUE;
}

/* The loop lets go of the socket while somebody else works on it. */
static PyObject *
stream_release_fd(PyObject *op, PyObject *arg)
{
    StreamObject *self = (StreamObject *)op;
    if (KevStream_SendHeld(self) < 0) {
        return NULL;
    }
    if (self->loop != NULL) {
        KevStream_Detach(self);
        self->want_write = 0;
    }
    Py_RETURN_NONE;
}

static PyObject *
stream_reclaim_fd(PyObject *op, PyObject *arg)
{
    StreamObject *self = (StreamObject *)op;
    if (self->loop == NULL || self->attached || self->conn_lost > 0
        || self->fd < 0) {
        Py_RETURN_NONE;
    }
    if (KevLoop_StreamAttach(self->loop, self->fd, self) < 0) {
        return NULL;
    }
    self->attached = 1;
    if (self->wbuf.count > 0
        && KevLoop_StreamWantWrite(self->loop, self->fd, 1) < 0) {
        return NULL;
    }
    self->want_write = self->wbuf.count > 0;
    KevStream_Anchor(self);
    Py_RETURN_NONE;
}

/* Both ends' names, as they were at the beginning, or None. */
static PyObject *
stream_names(PyObject *op, PyObject *Py_UNUSED(arg))
{
    const struct sock_names *names = ((StreamObject *)op)->names;
    if (names == NULL) {
        Py_RETURN_NONE;
    }
    return KevSockname_BothToPython(names);
}

KEV_GUARD_METHOD(stream_pause_reading, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_resume_reading, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_get_protocol, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_get_write_buffer_size, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_get_write_buffer_limits, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_set_limits, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_release_fd, KevTransport_Monitor)
KEV_GUARD_METHOD(stream_reclaim_fd, KevTransport_Monitor)
KEV_GUARD_METHOD(KevStream_Write, KevTransport_Monitor)
KEV_GUARD_METHOD(KevStream_Writelines, KevTransport_Monitor)
KEV_GUARD_METHOD(KevStream_WriteEof, KevTransport_Monitor)

KEV_ONE_ARGUMENT(stream_write, KEV_GUARDED(KevStream_Write),
                 "StreamTransport.write", "data")
KEV_ONE_ARGUMENT(stream_writelines, KEV_GUARDED(KevStream_Writelines),
                 "StreamTransport.writelines", "list_of_data")
KEV_ONE_ARGUMENT(stream_set_protocol_named, stream_set_protocol,
                 "StreamTransport.set_protocol", "protocol")

static PyMethodDef stream_methods[] = {
    {"write", KEYWORD_METHOD(stream_write), KEYWORD_FLAGS,
     "write($self, data)\n--\n\n"
     "Send bytes: at once what the socket takes, the rest when it can."},
    {"writelines", KEYWORD_METHOD(stream_writelines), KEYWORD_FLAGS,
     "writelines($self, list_of_data)\n--\n\n"
     "Send several bytes objects with one system call."},
    {"write_eof", KEV_GUARDED(KevStream_WriteEof), METH_NOARGS,
     "write_eof($self)\n--\n\nEnd sending, after what is buffered."},
    {"can_write_eof", stream_can_write_eof, METH_NOARGS, NULL},
    {"close", stream_close, METH_NOARGS,
     "close($self)\n--\n\nClose, after what is buffered has been sent."},
    {"abort", stream_abort, METH_NOARGS,
     "abort($self)\n--\n\nClose at once; what is buffered is lost."},
    {"is_closing", stream_is_closing, METH_NOARGS, NULL},
    {"is_reading", stream_is_reading, METH_NOARGS, NULL},
    {"pause_reading", KEV_GUARDED(stream_pause_reading), METH_NOARGS,
     "pause_reading($self)\n--\n\nNo data_received() until resumed."},
    {"resume_reading", KEV_GUARDED(stream_resume_reading), METH_NOARGS,
     "resume_reading($self)\n--\n\nUndo pause_reading()."},
    {"set_protocol", KEYWORD_METHOD(stream_set_protocol_named),
     KEYWORD_FLAGS,
     "set_protocol($self, protocol)\n--\n\nGive the data to another."},
    {"get_protocol", KEV_GUARDED(stream_get_protocol), METH_NOARGS, NULL},
    {"get_extra_info", (PyCFunction)(void (*)(void))stream_get_extra_info,
     METH_FASTCALL | METH_KEYWORDS,
     "get_extra_info($self, name, default=None)\n--\n\n"
     "What is known of the connection: 'socket', 'sockname', 'peername'..."},
    {"get_write_buffer_size", KEV_GUARDED(stream_get_write_buffer_size),
     METH_NOARGS,
     "get_write_buffer_size($self)\n--\n\nBytes not sent yet."},
    {"get_write_buffer_limits", KEV_GUARDED(stream_get_write_buffer_limits),
     METH_NOARGS,
     "get_write_buffer_limits($self)\n--\n\n(low, high) in bytes."},
    {"_set_limits", KEV_GUARDED(stream_set_limits), METH_VARARGS, NULL},
    {"_force_close", stream_force_close, METH_O, NULL},
    {"_call_connection_lost", stream_connection_lost, METH_O, NULL},
    {"_release_fd", KEV_GUARDED(stream_release_fd), METH_NOARGS, NULL},
    {"_reclaim_fd", KEV_GUARDED(stream_reclaim_fd), METH_NOARGS, NULL},
    {"_names", stream_names, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- attributes ----------------------------------------------------- */

static PyObject *
make_socket(StreamObject *self)
{
    /* socket.socket(fileno=fd) finds family, type and protocol itself. */
    PyObject *name = PyUnicode_FromString("fileno");
    PyObject *fd = PyLong_FromLong(self->fd);
    PyObject *names = name == NULL ? NULL : PyTuple_Pack(1, name);
    PyObject *sock = NULL;
    if (fd != NULL && names != NULL) {
        sock = PyObject_Vectorcall(self->loop->state->socket_class, &fd, 0,
                                   names);
    }
    Py_XDECREF(name);
    Py_XDECREF(names);
    Py_XDECREF(fd);
    if (sock == NULL) {
        return NULL;
    }
    PyObject *res = PyObject_CallMethod(sock, "setblocking", "O", Py_False);
    if (res == NULL) {
        PyObject *exc = KevErr_GetRaised();
        res = PyObject_CallMethod(sock, "detach", NULL);
        Py_XDECREF(res);
        Py_DECREF(sock);
        KevErr_SetRaised(exc);
        return NULL;
    }
    Py_DECREF(res);
    return sock;
}

static PyObject *
get_sock(PyObject *op, void *closure)
{
    StreamObject *self = (StreamObject *)op;
    if (KevStream_SendHeld(self) < 0) {
        return NULL;  /* who takes the socket may send on it */
    }
    if (self->fd < 0) {
        Py_RETURN_NONE;
    }
    if (self->sock == NULL) {
        if (self->loop == NULL) {
            Py_RETURN_NONE;
        }
        PyObject *sock = make_socket(self);
        if (sock == NULL) {
            return NULL;
        }
        if (self->sock == NULL && self->fd >= 0) {
            self->sock = sock;
        }
        else {
            /* Making it ran somebody who made one, or closed us. */
            PyObject *res = PyObject_CallMethod(sock, "detach", NULL);
            Py_DECREF(sock);
            if (res == NULL) {
                return NULL;
            }
            Py_DECREF(res);
        }
    }
    return Py_NewRef(self->sock != NULL ? self->sock : Py_None);
}

static PyObject *
get_object(PyObject *op, void *offset)
{
    PyObject *value = *(PyObject **)((char *)op + (size_t)offset);
    return Py_NewRef(value != NULL ? value : Py_None);
}

static int
set_object(PyObject *op, PyObject *value, void *offset)
{
    PyObject **slot = (PyObject **)((char *)op + (size_t)offset);
    Py_XSETREF(*slot, value == NULL || value == Py_None
                   ? NULL : Py_NewRef(value));
    return 0;
}

/* It has the guard of asyncio's descriptor of the same slot. */
static PyObject *
get_extra(PyObject *op, void *offset)
{
    PyObject *extra;
    KEV_GUARD(op);
    extra = get_object(op, offset);
    KEV_UNGUARD();
    return extra;
}

static int
set_extra(PyObject *op, PyObject *value, void *offset)
{
    if (value == NULL || !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_extra_dict must be a dict");
        return -1;
    }
    ((StreamObject *)op)->extra_filled = 1;
    int r;
    KEV_GUARD(op);
    r = set_object(op, value, offset);
    KEV_UNGUARD();
    return r;
}

static PyObject *
get_conn_lost(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(((StreamObject *)op)->conn_lost);
}

static PyObject *
get_fd_number(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((StreamObject *)op)->fd_number);
}

static PyObject *
get_char(PyObject *op, void *offset)
{
    return PyBool_FromLong(*((char *)op + (size_t)offset));
}

static PyObject *
get_family(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((StreamObject *)op)->family);
}

#define OBJECT(name, field, setter)                                       \
    {name, KEV_GUARDED(get_object), setter, NULL,                         \
     (void *)offsetof(StreamObject, field)}
#define FLAG(name, field)                                                 \
    {name, get_char, NULL, NULL, (void *)offsetof(StreamObject, field)}

KEV_GUARD_GET(get_object, KevTransport_Monitor)
KEV_GUARD_SET(set_object, KevTransport_Monitor)
KEV_GUARD_GET(get_sock, KevTransport_Monitor)

static PyGetSetDef stream_getset[] = {
    OBJECT("_loop", loop, NULL),
    OBJECT("_protocol", protocol, NULL),
    OBJECT("_server", server, NULL),
    OBJECT("_context", context, NULL),
    {"_extra_dict", get_extra, set_extra, NULL,
     (void *)offsetof(StreamObject, extra)},
    OBJECT("_empty_waiter", empty_waiter, KEV_GUARDED(set_object)),
    FLAG("_closing", closing),
    FLAG("_paused", paused),
    FLAG("_eof", write_eof),
    FLAG("_protocol_paused", protocol_paused),
    FLAG("_extra_filled", extra_filled),
    {"_sock", KEV_GUARDED(get_sock), NULL, NULL, NULL},
    {"_sock_fd", get_fd_number, NULL, NULL, NULL},
    {"_family", get_family, NULL, NULL, NULL},
    {"_conn_lost", get_conn_lost, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- life and death ------------------------------------------------- */

static int
stream_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamObject *self = (StreamObject *)op;
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
    Py_VISIT(self->server);
    Py_VISIT(self->context);
    Py_VISIT(self->empty_waiter);
    return 0;
}

static int
stream_clear(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    KEV_GUARD(self->monitor);
    if (self->loop != NULL) {
        KevStream_Detach(self);
    }
    KEV_UNGUARD();
    Py_CLEAR(self->extra);
    Py_CLEAR(self->high_slot);
    Py_CLEAR(self->loop_slot);
    Py_CLEAR(self->low_slot);
    Py_CLEAR(self->paused_slot);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->server);
    Py_CLEAR(self->context);
    Py_CLEAR(self->empty_waiter);
    Py_CLEAR(self->loop);
    KevWbuf_Clear(&self->wbuf);
    return 0;
}

static void
stream_finalize(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    if (self->fd < 0) {
        return;
    }
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    KEV_GUARD(self->monitor);
    if (self->loop != NULL) {
        KevStream_Detach(self);  /* while the number is still ours */
    }
    KEV_UNGUARD();
    if (KevStream_CloseSocket(self) < 0) {
        PyErr_WriteUnraisable(op);
    }
    if (KevStream_DetachServer(self) < 0) {
        PyErr_WriteUnraisable(op);
    }
    KevErr_SetRaised(exc);
}

static void
stream_dealloc(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;  /* brought back to life */
    }
    PyObject_GC_UnTrack(self);
    (void)stream_clear(op);
    PyMem_Free(self->names);
#ifdef Py_GIL_DISABLED
    Py_XDECREF(self->monitor);
#endif
    type->tp_free(op);
    Py_DECREF(type);
}

const struct own_method KevStream_Own[STREAM_METHODS] = {
    [STREAM_WRITE] = OWN_METHOD(str_write, stream_write),
    [STREAM_IS_CLOSING] = OWN_METHOD(str_is_closing, stream_is_closing),
};

static int
stream_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    return KevOwn_SetAttr(&((StreamObject *)op)->own,
                          KevState_OfType(Py_TYPE(op)), op, KevStream_Own,
                          STREAM_METHODS, name, value);
}

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "The part of a stream transport that runs per packet."},
    {Py_tp_new, stream_new},
    {Py_tp_init, stream_init},
    {Py_tp_setattro, stream_setattro},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_getset},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_finalize, stream_finalize},
    {Py_tp_dealloc, stream_dealloc},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "kevent._core.StreamTransport",
    .basicsize = sizeof(StreamObject),
    /* Not immutable: 3.14 allows that only where the bases are. */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = stream_slots,
};

int
KevStream_Setup(PyObject *module, ModState *state)
{
    PyObject *transports = PyImport_ImportModule("asyncio.transports");
    if (transports == NULL) {
        return -1;
    }
    PyObject *base = PyObject_GetAttrString(transports,
                                            "_FlowControlMixin");
    Py_DECREF(transports);
    if (base == NULL) {
        return -1;
    }
    int r = -1;
    if (PyType_Check(base) && ((PyTypeObject *)base)->tp_basicsize
        != (Py_ssize_t)offsetof(StreamObject, state)) {
        PyErr_SetString(PyExc_ImportError,
                        "kevent does not know this asyncio: its transports "
                        "have another size");
    }
    else if (KevHandle_CheckSlot(base, "_extra",
                                 offsetof(StreamObject, extra)) == 0
             && KevHandle_CheckSlot(base, "_loop",
                                    offsetof(StreamObject, loop_slot)) == 0) {
        r = KevModule_AddType(module, &stream_spec, base,
                              &state->stream_type, 1);
    }
    Py_DECREF(base);
    return r;
}
