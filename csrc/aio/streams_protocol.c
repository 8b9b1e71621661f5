/*
 * streams_protocol.c - the StreamReaderProtocol: from the transport to the
 * reader, and who waits until the transport takes more.
 */
#include "aio/streams.h"

#include "aio/compat.h"
#include "aio/guard.h"

/* ---- data ----------------------------------------------------------- */

/* Feeds any kind of reader. */
static int
feed(ModState *state, PyObject *reader, PyObject *data)
{
    if (KevStreams_IsReader(state, reader)
        && KevReader_Owns((ReaderObject *)reader, READER_FEED_DATA)) {
        return KevReader_Feed((ReaderObject *)reader, data);
    }
    PyObject *res = PyObject_CallMethodOneArg(reader, state->str_feed_data,
                                              data);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static PyObject *
protocol_data_received(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    PyObject *reference;
    PyObject *reader;
    PyObject *data = NULL;
    if (KevCall_OneArgument("StreamReaderProtocol.data_received", "data",
                               args, nargs, kwnames, &data) < 0) {
        return NULL;
    }
    KEV_GUARD(op);
    reference = Py_XNewRef(self->reader_ref);
    KEV_UNGUARD();
    int r = KevStreams_Dereference(reference, &reader);
    Py_XDECREF(reference);
    if (r > 0) {
        r = feed(self->state, reader, data);
        Py_DECREF(reader);
    }
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- waiting for the transport -------------------------------------- */

enum op_step
KevStreamProtocol_MayWrite(StreamProtocolObject *self)
{
    if (self->connection_lost) {
        PyErr_SetString(PyExc_ConnectionResetError, "Connection lost");
        return OP_ERROR;
    }
    return self->paused ? OP_AWAIT : OP_DONE;
}

static enum op_step
drain_helper_step(OpObject *op, PyObject **ret)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op->owner;
    if (op->stage == 0) {
        op->stage = 1;
        enum op_step step = KevStreamProtocol_MayWrite(self);
        if (step == OP_ERROR) {
            return step;
        }
        if (step == OP_AWAIT) {
            PyObject *future = KevStreams_NewFuture(self->state, self->loop);
            if (future == NULL) {
                return OP_ERROR;
            }
            PyObject *res = PyObject_CallMethodOneArg(
                KevStreams_IsSet(self->drain_waiters) ? self->drain_waiters
                                                      : Py_None,
                self->state->str_append, future);
            step = res == NULL ? OP_ERROR : KevOp_AwaitFuture(op, future);
            Py_XDECREF(res);
            Py_DECREF(future);
            return step;
        }
    }
    *ret = Py_NewRef(Py_None);
    return OP_DONE;
}

/* Nobody waits any more; an exception that is set stays. */
static void
drain_helper_settle(OpObject *op)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op->owner;
    if (op->waiter == NULL || !KevStreams_IsSet(self->drain_waiters)) {
        return;
    }
    PyObject *exc = PyErr_Occurred() ? KevErr_GetRaised() : NULL;
    PyObject *res = PyObject_CallMethodOneArg(
        self->drain_waiters, self->state->str_remove, op->waiter);
    if (res == NULL) {
        PyErr_Clear();  /* somebody took it out before */
    }
    Py_XDECREF(res);
    KevErr_SetRaised(exc);
}

static const struct op_kind drain_helper_kind = {
    .name = "_drain_helper",
    .qualname = "FlowControlMixin._drain_helper",
    .step = drain_helper_step,
    .settle = drain_helper_settle,
};

PyObject *
KevStreamProtocol_DrainHelper(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    return KevOp_New(self->state, &drain_helper_kind, op, self->loop, NULL, 0);
}

/* ---- the type ------------------------------------------------------- */

const struct own_method KevStreamProtocol_Own[PROTOCOL_METHODS] = {
    [PROTOCOL_DATA_RECEIVED] = OWN_METHOD(str_data_received,
                                          protocol_data_received),
    [PROTOCOL_DRAIN_HELPER] = OWN_METHOD(str_drain_helper,
                                         KevStreamProtocol_DrainHelper),
};

static int
protocol_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    return KevOwn_SetAttr(&self->own, self->state, op, KevStreamProtocol_Own,
                          PROTOCOL_METHODS, name, value);
}

static PyMemberDef protocol_members[] = {
    {"_loop", T_OBJECT_EX, offsetof(StreamProtocolObject, loop), 0, NULL},
    {"_stream_reader_wr", T_OBJECT_EX,
     offsetof(StreamProtocolObject, reader_ref), 0, NULL},
    {"_drain_waiters", T_OBJECT_EX,
     offsetof(StreamProtocolObject, drain_waiters), 0, NULL},
    {"_paused", T_BOOL, offsetof(StreamProtocolObject, paused), 0, NULL},
    {"_connection_lost", T_BOOL,
     offsetof(StreamProtocolObject, connection_lost), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef protocol_methods[] = {
    {"data_received", KEYWORD_METHOD(protocol_data_received), KEYWORD_FLAGS,
     "data_received($self, /, data)\n--\n\nFeed the reader."},
    {"_drain_helper", KevStreamProtocol_DrainHelper, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *
protocol_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
             PyObject *Py_UNUSED(kwds))
{
    ModState *state = KevState_OfType(type);
    if (state == NULL) {
        return NULL;
    }
    StreamProtocolObject *self =
        (StreamProtocolObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static int
protocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->reader_ref);
    Py_VISIT(self->drain_waiters);
    return 0;
}

static int
protocol_clear(PyObject *op)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    Py_CLEAR(self->loop);
    Py_CLEAR(self->reader_ref);
    Py_CLEAR(self->drain_waiters);
    return 0;
}

static void
protocol_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)protocol_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot protocol_slots[] = {
    {Py_tp_doc, "The part of a StreamReaderProtocol that runs per packet."},
    {Py_tp_new, protocol_new},
    {Py_tp_setattro, protocol_setattro},
    {Py_tp_methods, protocol_methods},
    {Py_tp_members, protocol_members},
    {Py_tp_traverse, protocol_traverse},
    {Py_tp_clear, protocol_clear},
    {Py_tp_dealloc, protocol_dealloc},
    {0, NULL},
};

static PyType_Spec protocol_spec = {
    .name = "kevent._core.StreamReaderProtocol",
    .basicsize = sizeof(StreamProtocolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = protocol_slots,
};

int
KevStreamProtocol_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &protocol_spec, NULL,
                             &state->stream_protocol_type, 1);
}
