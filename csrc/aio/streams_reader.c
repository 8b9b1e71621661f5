/*
 * streams_reader.c - the StreamReader: what is fed to it, and its type.
 */
#include "aio/streams.h"


#include "aio/guard.h"

/* ---- the one who reads ---------------------------------------------- */

/* There is something new: wake the one who waits, if any. */
static int
wake_up(ReaderObject *self)
{
    if (!KevStreams_IsSet(self->waiter)) {
        return 0;
    }
    PyObject *waiter = self->waiter;
    self->waiter = NULL;
    int r = KevStreams_WakeUp(self->state, waiter);
    Py_DECREF(waiter);
    return r;
}

/* ---- flow control --------------------------------------------------- */

int
KevReader_Resume(ReaderObject *self)
{
    self->paused = 0;
    PyObject *transport = KevStreams_IsSet(self->transport)
        ? self->transport : Py_None;
    PyObject *res = PyObject_CallMethodNoArgs(
        transport, self->state->str_resume_reading);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
KevReader_MaybeResume(ReaderObject *self)
{
    if (!self->paused || KevRbuf_Size(&self->buffer) > self->limit_bytes) {
        return 0;
    }
    return KevReader_Resume(self);
}

/* That is, without an overflow: size > 2 * limit. */
static inline int
is_over_limit(const ReaderObject *self, Py_ssize_t size)
{
    return size - self->limit_bytes > self->limit_bytes;
}

/* More than twice the limit is not kept: the peer has to wait. */
static int
maybe_pause(ReaderObject *self)
{
    if (self->paused || !KevStreams_IsSet(self->transport)
        || !is_over_limit(self, KevRbuf_Size(&self->buffer))) {
        return 0;
    }
    PyObject *res = PyObject_CallMethodNoArgs(
        self->transport, self->state->str_pause_reading);
    if (res != NULL) {
        Py_DECREF(res);
        self->paused = 1;
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
        return -1;
    }
    PyErr_Clear();
    Py_CLEAR(self->transport);  /* it never will: do not ask again */
    return 0;
}

/* ---- feeding -------------------------------------------------------- */

static int
check_not_eof(ReaderObject *self)
{
    if (self->eof) {
        PyErr_SetString(PyExc_AssertionError, "feed_data after feed_eof");
        return -1;
    }
    return 0;
}

static int
feed(ReaderObject *self, PyObject *data)
{
    if (check_not_eof(self) < 0) {
        return -1;
    }
    int is_some = PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) > 0
                                           : PyObject_IsTrue(data);
    if (is_some <= 0) {
        return is_some;
    }
    if (KevRbuf_Append(&self->buffer, data, self->wanted) < 0
        || wake_up(self) < 0) {
        return -1;
    }
    return maybe_pause(self);
}

int
KevReader_Feed(ReaderObject *self, PyObject *data)
{
    int r;
    KEV_GUARD(self);
    r = feed(self, data);
    KEV_UNGUARD();
    return r;
}

char *
KevReader_Reserve(ReaderObject *self, Py_ssize_t *ret_room)
{
#ifdef Py_GIL_DISABLED
    /* No guard is held while the kernel writes there. */
    (void)self;
    (void)ret_room;
    return NULL;
#else
    return self->wanted == 0 || self->eof
        ? NULL : KevRbuf_Reserve(&self->buffer, self->wanted, ret_room);
#endif
}

void
KevReader_Commit(ReaderObject *self, Py_ssize_t size)
{
    KevRbuf_Commit(&self->buffer, size);
}

/* Something new from a transport is in the buffer. */
static int
after_feed(ReaderObject *self)
{
    Py_ssize_t have = KevRbuf_Size(&self->buffer);
    if (have < self->wanted && !is_over_limit(self, have)
        && KevReader_Owns(self, READER_WAIT_FOR_DATA)) {
        return 0;  /* readexactly() would only wait again */
    }
    return wake_up(self) < 0 ? -1 : maybe_pause(self);
}

int
KevReader_FeedBytes(ReaderObject *self, const char *bytes, Py_ssize_t size)
{
    int r;
    KEV_GUARD(self);
    r = check_not_eof(self);
    if (r == 0 && size > 0) {
        r = KevRbuf_AppendBytes(&self->buffer, bytes, size, self->wanted);
    }
    if (r == 0) {
        r = after_feed(self);
    }
    KEV_UNGUARD();
    return r;
}

int
KevReader_FeedWhole(ReaderObject *self, PyObject *bytes, const char *rest,
                    Py_ssize_t rest_size)
{
    int r;
    KEV_GUARD(self);
    r = check_not_eof(self);
    if (r == 0) {
        r = KevRbuf_Append(&self->buffer, bytes, self->wanted);
    }
    if (r == 0 && rest_size > 0) {
        r = KevRbuf_AppendBytes(&self->buffer, rest, rest_size, self->wanted);
    }
    if (r == 0) {
        r = after_feed(self);
    }
    KEV_UNGUARD();
    return r;
}

static PyObject *
reader_feed_data(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *data = NULL;
    if (KevCall_OneArgument("StreamReader.feed_data", "data", args, nargs,
                               kwnames, &data) < 0
        || KevReader_Feed((ReaderObject *)op, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
reader_feed_eof(PyObject *op, PyObject *arg)
{
    ReaderObject *self = (ReaderObject *)op;
    self->eof = 1;
    if (wake_up(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
reader_at_eof(PyObject *op, PyObject *arg)
{
    ReaderObject *self = (ReaderObject *)op;
    return PyBool_FromLong(self->eof && KevRbuf_Size(&self->buffer) == 0);
}

static PyObject *
reader_exception(PyObject *op, PyObject *arg)
{
    PyObject *exc = ((ReaderObject *)op)->exception;
    return Py_NewRef(exc == NULL ? Py_None : exc);
}

static PyObject *
reader_wakeup_waiter(PyObject *op, PyObject *arg)
{
    if (wake_up((ReaderObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
reader_maybe_resume(PyObject *op, PyObject *arg)
{
    if (KevReader_MaybeResume((ReaderObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- attributes that asyncio's methods use -------------------------- */

static PyObject *
get_buffer(PyObject *op, void *closure)
{
    return KevRbuf_Share(&((ReaderObject *)op)->buffer);
}

/* Attributes cannot be deleted. */
static int
check_value(PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "it cannot be deleted");
        return -1;
    }
    return 0;
}

static int
set_buffer(PyObject *op, PyObject *value, void *closure)
{
    if (check_value(value) < 0) {
        return -1;
    }
    return KevRbuf_Set(&((ReaderObject *)op)->buffer, value);
}

static PyObject *
get_limit(PyObject *op, void *closure)
{
    PyObject *limit = ((ReaderObject *)op)->limit;
    if (limit == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_limit");
        return NULL;
    }
    return Py_NewRef(limit);
}

/* A whole number; or a float, which asyncio takes as well (infinity). */
static int
set_limit(PyObject *op, PyObject *value, void *closure)
{
    ReaderObject *self = (ReaderObject *)op;
    Py_ssize_t limit;
    if (check_value(value) < 0) {
        return -1;
    }
    if (PyFloat_Check(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        limit = number < (double)(PY_SSIZE_T_MAX / 2)
            ? (Py_ssize_t)number : PY_SSIZE_T_MAX;
    }
    else {
        limit = PyNumber_AsSsize_t(value, NULL);
        if (limit == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    self->limit_bytes = limit;
    Py_XSETREF(self->limit, Py_NewRef(value));
    return 0;
}

static PyMemberDef reader_members[] = {
    {"_loop", T_OBJECT_EX, offsetof(ReaderObject, loop), 0, NULL},
    {"_waiter", T_OBJECT, offsetof(ReaderObject, waiter), 0, NULL},
    {"_exception", T_OBJECT, offsetof(ReaderObject, exception), 0, NULL},
    {"_transport", T_OBJECT, offsetof(ReaderObject, transport), 0, NULL},
    {"_eof", T_BOOL, offsetof(ReaderObject, eof), 0, NULL},
    {"_paused", T_BOOL, offsetof(ReaderObject, paused), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};


#ifdef Py_GIL_DISABLED
static inline PyObject *
monitor_of(PyObject *op)
{
    return op;  /* as the descriptors of reader_members have it */
}
#endif

KEV_GUARD_METHOD(reader_feed_eof, monitor_of)
KEV_GUARD_METHOD(reader_at_eof, monitor_of)
KEV_GUARD_METHOD(reader_exception, monitor_of)
KEV_GUARD_METHOD(reader_wakeup_waiter, monitor_of)
KEV_GUARD_METHOD(reader_maybe_resume, monitor_of)

KEV_GUARD_GET(get_buffer, monitor_of)
KEV_GUARD_SET(set_buffer, monitor_of)
KEV_GUARD_GET(get_limit, monitor_of)
KEV_GUARD_SET(set_limit, monitor_of)

static PyGetSetDef reader_getset[] = {
    {"_buffer", KEV_GUARDED(get_buffer), KEV_GUARDED(set_buffer), NULL, NULL},
    {"_limit", KEV_GUARDED(get_limit), KEV_GUARDED(set_limit), NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef reader_methods[] = {
    {"read", KEYWORD_METHOD(KevReader_Read), KEYWORD_FLAGS,
     "read($self, /, n=-1)\n--\n\n"
     "At most n bytes, as soon as there is one; all until the end if n is\n"
     "negative.  b'' at the end."},
    {"readexactly", KEYWORD_METHOD(KevReader_ReadExactly), KEYWORD_FLAGS,
     "readexactly($self, /, n)\n--\n\n"
     "n bytes; IncompleteReadError if the end comes first."},
    {"readuntil", KEYWORD_METHOD(KevReader_ReadUntil), KEYWORD_FLAGS,
     "readuntil($self, /, separator=b'\\n')\n--\n\n"
     "All up to the separator and with it; from Python 3.13 on it may be a\n"
     "tuple of separators.  IncompleteReadError if the end comes first,\n"
     "LimitOverrunError if it is farther than the limit."},
    {"readline", KevReader_ReadLine, METH_NOARGS,
     "readline($self, /)\n--\n\n"
     "A line with its end, or what there is if the stream ends first.\n"
     "ValueError if it is longer than the limit."},
    {"feed_data", KEYWORD_METHOD(reader_feed_data), KEYWORD_FLAGS,
     "feed_data($self, /, data)\n--\n\nAppend what was received."},
    {"feed_eof", KEV_GUARDED(reader_feed_eof), METH_NOARGS,
     "feed_eof($self, /)\n--\n\nNothing more will come."},
    {"at_eof", KEV_GUARDED(reader_at_eof), METH_NOARGS,
     "at_eof($self, /)\n--\n\n"
     "Whether the end was fed and everything has been read."},
    {"exception", KEV_GUARDED(reader_exception), METH_NOARGS,
     "exception($self, /)\n--\n\nWhat set_exception() has set, or None."},
    {"_wait_for_data", KEYWORD_METHOD(KevReader_WaitForData), KEYWORD_FLAGS,
     NULL},
    {"_wakeup_waiter", KEV_GUARDED(reader_wakeup_waiter), METH_NOARGS, NULL},
    {"_maybe_resume_transport", KEV_GUARDED(reader_maybe_resume), METH_NOARGS,
     NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- life and death ------------------------------------------------- */

const struct own_method KevReader_Own[READER_METHODS] = {
    [READER_WAIT_FOR_DATA] = OWN_METHOD(str_wait_for_data,
                                        KevReader_WaitForData),
    [READER_READ] = OWN_METHOD(str_read, KevReader_Read),
    [READER_READUNTIL] = OWN_METHOD(str_readuntil, KevReader_ReadUntil),
    [READER_READLINE] = OWN_METHOD(str_readline, KevReader_ReadLine),
    [READER_FEED_DATA] = OWN_METHOD(str_feed_data, reader_feed_data),
    [READER_EXCEPTION] = OWN_METHOD(str_exception,
                                    KEV_GUARDED(reader_exception)),
};

static int
reader_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    ReaderObject *self = (ReaderObject *)op;
    return KevOwn_SetAttr(&self->own, self->state, op, KevReader_Own,
                          READER_METHODS, name, value);
}

static PyObject *
reader_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwds))
{
    ModState *state = KevState_OfType(type);
    if (state == NULL) {
        return NULL;
    }
    ReaderObject *self = (ReaderObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static int
reader_traverse(PyObject *op, visitproc visit, void *arg)
{
    ReaderObject *self = (ReaderObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->limit);
    Py_VISIT(self->waiter);
    Py_VISIT(self->exception);
    Py_VISIT(self->transport);
    return 0;
}

static int
reader_clear(PyObject *op)
{
    ReaderObject *self = (ReaderObject *)op;
    Py_CLEAR(self->loop);
    Py_CLEAR(self->limit);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->transport);
    return 0;
}

static void
reader_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)reader_clear(op);
    KevRbuf_Clear(&((ReaderObject *)op)->buffer);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "The part of a StreamReader that runs per read."},
    {Py_tp_new, reader_new},
    {Py_tp_setattro, reader_setattro},
    {Py_tp_methods, reader_methods},
    {Py_tp_members, reader_members},
    {Py_tp_getset, reader_getset},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, KevReader_Anext},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},
    {Py_tp_dealloc, reader_dealloc},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "kevent._core.StreamReader",
    .basicsize = sizeof(ReaderObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

int
KevReader_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &reader_spec, NULL,
                             &state->reader_type, 1);
}
