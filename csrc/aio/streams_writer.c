/*
 * streams_writer.c - the StreamWriter: what runs per write and per drain.
 */
#include "aio/guard.h"
#include "aio/stream.h"
#include "aio/streams.h"

/* A new reference; NULL with AttributeError if there is none. */
static PyObject *
transport_of(WriterObject *self)
{
    PyObject *transport;
    KEV_GUARD(self);
    transport = Py_XNewRef(self->transport);
    KEV_UNGUARD();
    if (transport == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_transport");
    }
    return transport;
}

/* ---- writing -------------------------------------------------------- */

/* Whether it is a transport of ours with our method. */
static int
is_own(WriterObject *self, PyObject *transport, enum stream_method method)
{
    return KevStreams_Is(transport, self->state->stream_class,
                         self->state->stream_type)
        && KevStream_Owns((StreamObject *)transport, self->state, method);
}

/* transport.<name>(data), whose result does not matter. */
static PyObject *
pass_on(WriterObject *self, PyObject *name, PyObject *data)
{
    PyObject *transport = transport_of(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *res = PyObject_CallMethodOneArg(transport, name, data);
    Py_DECREF(transport);
    if (res == NULL) {
        return NULL;
    }
    Py_DECREF(res);
    Py_RETURN_NONE;
}

static PyObject *
writer_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    WriterObject *self = (WriterObject *)op;
    PyObject *data = NULL;
    if (KevCall_OneArgument("StreamWriter.write", "data", args, nargs,
                               kwnames, &data) < 0) {
        return NULL;
    }
    PyObject *transport = self->transport;
    if (transport == NULL || !is_own(self, transport, STREAM_WRITE)) {
        return pass_on(self, self->state->str_write, data);
    }
    PyObject *res;
    Py_INCREF(transport);
    KEV_GUARD(KevTransport_Monitor(transport));
    res = KevStream_Write(transport, data);
    KEV_UNGUARD();
    Py_DECREF(transport);
    return res;
}

static PyObject *
writer_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    WriterObject *self = (WriterObject *)op;
    PyObject *data = NULL;
    return KevCall_OneArgument("StreamWriter.writelines", "data", args,
                                  nargs, kwnames, &data) < 0
        ? NULL : pass_on(self, self->state->str_writelines, data);
}

static PyObject *
writer_is_closing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WriterObject *self = (WriterObject *)op;
    PyObject *transport = transport_of(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *res = PyObject_CallMethodNoArgs(transport,
                                              self->state->str_is_closing);
    Py_DECREF(transport);
    return res;
}

/* ---- drain(): the writer's guard is held ----------------------------- */

/* reader.exception(): a new reference, NULL or None if there is none; -1. */
static int
exception_of(WriterObject *self, PyObject *reader, PyObject **ret)
{
    if (KevStreams_IsReader(self->state, reader)
        && KevReader_Owns((ReaderObject *)reader, READER_EXCEPTION)) {
        KEV_GUARD(reader);
        *ret = Py_XNewRef(((ReaderObject *)reader)->exception);
        KEV_UNGUARD();
        return 0;
    }
    *ret = PyObject_CallMethodNoArgs(reader, self->state->str_exception);
    return *ret == NULL ? -1 : 0;
}

/* Raises what the reader was told.  OP_DONE if that was nothing. */
static enum op_step
check_reader(WriterObject *self)
{
    if (!KevStreams_IsSet(self->reader)) {
        return OP_DONE;
    }
    PyObject *reader = Py_NewRef(self->reader);
    PyObject *exc;
    int r = exception_of(self, reader, &exc);
    Py_DECREF(reader);
    if (r < 0) {
        return OP_ERROR;
    }
    enum op_step step = KevStreams_IsSet(exc) ? KevOp_Raise(exc) : OP_DONE;
    Py_XDECREF(exc);
    return step;
}

/* 1, 0, or -1 with an exception. */
static int
is_closing(WriterObject *self)
{
    PyObject *transport = Py_XNewRef(self->transport);
    if (transport == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_transport");
        return -1;
    }
    if (is_own(self, transport, STREAM_IS_CLOSING)) {
        int is_closing = ((StreamObject *)transport)->closing;
        Py_DECREF(transport);
        return is_closing;
    }
    PyObject *res = PyObject_CallMethodNoArgs(transport,
                                              self->state->str_is_closing);
    Py_DECREF(transport);
    int closing = res == NULL ? -1 : PyObject_IsTrue(res);
    Py_XDECREF(res);
    return closing;
}

/* Wait until the protocol says that the transport takes more. */
static enum op_step
await_protocol(OpObject *op)
{
    WriterObject *self = (WriterObject *)op->owner;
    PyObject *protocol = Py_XNewRef(self->protocol);
    if (protocol == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_protocol");
        return OP_ERROR;
    }
    if (KevStreams_IsProtocol(self->state, protocol)
        && KevStreamProtocol_Owns((StreamProtocolObject *)protocol,
                                  PROTOCOL_DRAIN_HELPER)) {
        enum op_step step =
            KevStreamProtocol_MayWrite((StreamProtocolObject *)protocol);
        if (step != OP_AWAIT) {
            Py_DECREF(protocol);
            return step;
        }
    }
    PyObject *awaitable = PyObject_CallMethodNoArgs(
        protocol, self->state->str_drain_helper);
    Py_DECREF(protocol);
    if (awaitable == NULL) {
        return OP_ERROR;
    }
    enum op_step step = KevOp_Await(op, awaitable);
    Py_DECREF(awaitable);
    return step;
}

enum drain_stage {
    DRAIN_BEGIN,
    DRAIN_YIELDED,
    DRAIN_WAITED,
};

static enum op_step
drain_step(OpObject *op, PyObject **ret)
{
    WriterObject *self = (WriterObject *)op->owner;
    if (op->stage == DRAIN_BEGIN) {
        op->stage = DRAIN_YIELDED;
        if (check_reader(self) == OP_ERROR) {
            return OP_ERROR;
        }
        int closing = is_closing(self);
        if (closing != 0) {
            /* connection_lost() has to run, so that one who writes in a loop
               hears of it. */
            return closing < 0 ? OP_ERROR : OP_YIELD;
        }
    }
    if (op->stage == DRAIN_YIELDED) {
        op->stage = DRAIN_WAITED;
        enum op_step step = await_protocol(op);
        if (step != OP_DONE) {
            return step;
        }
    }
    *ret = Py_NewRef(Py_None);
    return OP_DONE;
}

static int
drain_is_none(const OpObject *op)
{
    WriterObject *self = (WriterObject *)op->owner;
    PyObject *reader = self->reader;
    PyObject *transport = self->transport;
    PyObject *protocol = self->protocol;
    if (transport == NULL || protocol == NULL
        || !KevStreams_Is(transport, self->state->stream_class,
                          self->state->stream_type)
        || !KevOwn_Knows(&((StreamObject *)transport)->own,
                         Py_TYPE(transport), STREAM_IS_CLOSING)
        || ((StreamObject *)transport)->closing) {
        return 0;
    }
    if (KevStreams_IsSet(reader)
        && (!KevStreams_IsReader(self->state, reader)
            || !KevOwn_Knows(&((ReaderObject *)reader)->own, Py_TYPE(reader),
                             READER_EXCEPTION)
            || KevStreams_IsSet(((ReaderObject *)reader)->exception))) {
        return 0;
    }
    StreamProtocolObject *ours = (StreamProtocolObject *)protocol;
    return KevStreams_IsProtocol(self->state, protocol)
        && KevOwn_Knows(&ours->own, Py_TYPE(protocol), PROTOCOL_DRAIN_HELPER)
        && !ours->connection_lost && !ours->paused;
}

static const struct op_kind drain_kind = {
    .name = "drain",
    .qualname = "StreamWriter.drain",
    .step = drain_step,
    .is_none = drain_is_none,
};

static PyObject *
writer_drain(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WriterObject *self = (WriterObject *)op;
    return KevOp_New(self->state, &drain_kind, op, self->loop, NULL, 0);
}

/* ---- the type ------------------------------------------------------- */

static PyObject *
get_transport(PyObject *op, void *Py_UNUSED(closure))
{
    return transport_of((WriterObject *)op);
}

static PyMemberDef writer_members[] = {
    {"_transport", T_OBJECT_EX, offsetof(WriterObject, transport), 0, NULL},
    {"_protocol", T_OBJECT_EX, offsetof(WriterObject, protocol), 0, NULL},
    {"_reader", T_OBJECT_EX, offsetof(WriterObject, reader), 0, NULL},
    {"_loop", T_OBJECT_EX, offsetof(WriterObject, loop), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef writer_getset[] = {
    {"transport", get_transport, NULL, "The transport it writes to.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef writer_methods[] = {
    {"write", KEYWORD_METHOD(writer_write), KEYWORD_FLAGS,
     "write($self, /, data)\n--\n\n"
     "Send data now, or keep what cannot be sent: await drain() then."},
    {"writelines", KEYWORD_METHOD(writer_writelines), KEYWORD_FLAGS,
     "writelines($self, /, data)\n--\n\nWrite each of an iterable."},
    {"is_closing", writer_is_closing, METH_NOARGS,
     "is_closing($self, /)\n--\n\nWhether it is closed or being closed."},
    {"drain", writer_drain, METH_NOARGS,
     "drain($self, /)\n--\n\n"
     "Wait until the transport takes more; at once if it does already."},
    {NULL, NULL, 0, NULL},
};

static PyObject *
writer_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwds))
{
    ModState *state = KevState_OfType(type);
    if (state == NULL) {
        return NULL;
    }
    WriterObject *self = (WriterObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static int
writer_traverse(PyObject *op, visitproc visit, void *arg)
{
    WriterObject *self = (WriterObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->transport);
    Py_VISIT(self->protocol);
    Py_VISIT(self->reader);
    Py_VISIT(self->loop);
    return 0;
}

static int
writer_clear(PyObject *op)
{
    WriterObject *self = (WriterObject *)op;
    Py_CLEAR(self->transport);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->reader);
    Py_CLEAR(self->loop);
    return 0;
}

static void
writer_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)writer_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot writer_slots[] = {
    {Py_tp_doc, "The part of a StreamWriter that runs per write."},
    {Py_tp_new, writer_new},
    {Py_tp_methods, writer_methods},
    {Py_tp_members, writer_members},
    {Py_tp_getset, writer_getset},
    {Py_tp_traverse, writer_traverse},
    {Py_tp_clear, writer_clear},
    {Py_tp_dealloc, writer_dealloc},
    {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "kevent._core.StreamWriter",
    .basicsize = sizeof(WriterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = writer_slots,
};

int
KevWriter_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &writer_spec, NULL,
                             &state->writer_type, 1);
}
