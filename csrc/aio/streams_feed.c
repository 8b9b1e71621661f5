/*
 * streams_feed.c - from a transport to a reader without data_received().
 *
 * Of our own protocol and reader the methods may be ours (own.h): then the
 * bytes go straight into the reader's buffer.  Programs that know nothing of
 * kevent.streams have asyncio's StreamReaderProtocol and StreamReader, which
 * are Python: if both are exactly these classes and nobody has replaced a
 * method, what the methods do is done here, with the same attributes.
 * Whatever is unusual (the end was fed, the limit is reached, a buffer that
 * is none) is left to the methods themselves.
 *
 * That their code is the one that we know is checked once, at import, by the
 * names that it uses; a new version of asyncio is called, not imitated.
 */
#include "aio/streams.h"

#include <string.h>

#include "aio/compat.h"
#include "aio/guard.h"

enum feed_way
KevFeed_Way(const ModState *state, PyObject *protocol)
{
    if (KevStreams_IsProtocol(state, protocol)) {
        return FEED_OURS;
    }
    return (PyObject *)Py_TYPE(protocol) == state->standard_protocol
        ? FEED_STANDARD : FEED_CALL;
}

/* ---- ours ----------------------------------------------------------- */

ReaderObject *
KevFeed_Reader(ModState *state, PyObject *op)
{
    StreamProtocolObject *protocol = (StreamProtocolObject *)op;
    PyObject *reader;
    if (!KevStreamProtocol_Owns(protocol, PROTOCOL_DATA_RECEIVED)) {
        return NULL;
    }
    PyObject *reference;
    KEV_GUARD(op);
    reference = Py_XNewRef(protocol->reader_ref);
    KEV_UNGUARD();
    int r = KevStreams_Dereference(reference, &reader);
    Py_XDECREF(reference);
    if (r <= 0) {
        PyErr_Clear();  /* data_received() will raise it again */
        return NULL;
    }
    if (KevStreams_IsReader(state, reader)
        && KevReader_Owns((ReaderObject *)reader, READER_FEED_DATA)) {
        return (ReaderObject *)reader;
    }
    Py_DECREF(reader);
    return NULL;
}

/* ---- asyncio's ------------------------------------------------------ */

/* object.name; NULL without an exception if it cannot be had. */
static PyObject *
attribute(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

/* Whether object.name is the bound function. */
static int
is_bound(PyObject *object, PyObject *name, PyObject *function)
{
    PyObject *method = attribute(object, name);
    int r = method != NULL && PyMethod_Check(method)
        && PyMethod_GET_FUNCTION(method) == function
        && PyMethod_GET_SELF(method) == object;
    Py_XDECREF(method);
    return r;
}

/* May feed_data(size bytes) only append and wake?  With the buffer, a new
   reference, in *ret. */
static int
is_usual(ModState *state, PyObject *reader, Py_ssize_t size, PyObject **ret)
{
    PyObject *eof = attribute(reader, state->str_eof);
    PyObject *limit = attribute(reader, state->str_limit);
    PyObject *buffer = attribute(reader, state->str_buffer);
    int r = 0;
    if (eof == Py_False && limit != NULL && PyLong_CheckExact(limit)
        && buffer != NULL && PyByteArray_CheckExact(buffer)) {
        Py_ssize_t most = PyLong_AsSsize_t(limit);
        if (most < 0) {
            PyErr_Clear();
        }
        /* That is, without an overflow: have + size <= 2 * most. */
        else if (PyByteArray_GET_SIZE(buffer) - most <= most - size) {
            *ret = Py_NewRef(buffer);
            r = 1;
        }
    }
    Py_XDECREF(eof);
    Py_XDECREF(limit);
    Py_XDECREF(buffer);
    return r;
}

static int
append(PyObject *buffer, const char *bytes, Py_ssize_t size)
{
    int r;
    KEV_GUARD(buffer);
    Py_ssize_t have = PyByteArray_GET_SIZE(buffer);
    r = PyByteArray_Resize(buffer, have + size);
    if (r == 0) {
        memcpy(PyByteArray_AS_STRING(buffer) + have, bytes, (size_t)size);
    }
    KEV_UNGUARD();
    return r;
}

/* reader._wakeup_waiter(). */
static int
wake_up(ModState *state, PyObject *reader)
{
    PyObject *waiter = PyObject_GetAttr(reader, state->str_waiter);
    if (waiter == NULL) {
        return -1;
    }
    int r = 0;
    if (waiter != Py_None) {
        r = PyObject_SetAttr(reader, state->str_waiter, Py_None);
        if (r == 0) {
            r = KevStreams_WakeUp(state, waiter);
        }
    }
    Py_DECREF(waiter);
    return r;
}

/* reader.feed_data(): 1 done, 0 call it, -1. */
static int
feed_reader(ModState *state, PyObject *reader, const char *bytes,
            Py_ssize_t size)
{
    if ((PyObject *)Py_TYPE(reader) != state->standard_reader
        || !is_bound(reader, state->str_feed_data,
                     state->standard_feed_data)
        || !is_bound(reader, state->str_wakeup_waiter,
                     state->standard_wakeup_waiter)) {
        return 0;
    }
    PyObject *buffer = NULL;
    if (!is_usual(state, reader, size, &buffer)) {
        return 0;
    }
    int r = append(buffer, bytes, size);
    Py_DECREF(buffer);
    if (r == 0) {
        r = wake_up(state, reader);
    }
    return r < 0 ? -1 : 1;
}

int
KevFeed_Standard(ModState *state, PyObject *protocol, const char *bytes,
                 Py_ssize_t size)
{
    if (!is_bound(protocol, state->str_data_received,
                  state->standard_data_received)) {
        return 0;
    }
    PyObject *reference = attribute(protocol, state->str_stream_reader_wr);
    PyObject *reader;
    if (reference == NULL) {
        return 0;
    }
    int r = KevStreams_Dereference(reference, &reader);
    Py_DECREF(reference);
    if (r <= 0) {
        PyErr_Clear();
        return 0;
    }
    r = feed_reader(state, reader, bytes, size);
    Py_DECREF(reader);
    return r;
}

/* ---- what we know of asyncio ---------------------------------------- */

static const char *const known_names[] = {
    "_stream_reader", "feed_data", "_eof", "_buffer", "extend",
    "_wakeup_waiter", "_transport", "_paused", "len", "_limit",
    "pause_reading", "NotImplementedError", "_waiter", "cancelled",
    "set_result", NULL,
};

/* Whether the function uses names that we know, and no other. */
static int
is_known(PyObject *function)
{
    PyObject *code = PyObject_GetAttrString(function, "__code__");
    PyObject *names = code == NULL ? NULL
        : PyObject_GetAttrString(code, "co_names");
    int r = names != NULL && PyTuple_Check(names);
    for (Py_ssize_t i = 0; r && i < PyTuple_GET_SIZE(names); i++) {
        const char *const *known = known_names;
        while (*known != NULL && PyUnicode_CompareWithASCIIString(
                   PyTuple_GET_ITEM(names, i), *known) != 0) {
            known++;
        }
        r = *known != NULL;
    }
    Py_XDECREF(names);
    Py_XDECREF(code);
    PyErr_Clear();
    return r;
}

/* class.method in *slot, or None if it is another than we know. */
static int
look_up_known(PyObject *cls, PyObject *name, PyObject **slot)
{
    PyObject *found = PyObject_GetAttr(cls, name);
    if (found == NULL) {
        PyErr_Clear();
    }
    else if (!PyFunction_Check(found) || !is_known(found)) {
        Py_CLEAR(found);
    }
    *slot = found != NULL ? found : Py_NewRef(Py_None);
    return *slot != Py_None;
}

/* module.attribute in *slot, or None. */
static int
look_up_optional(const char *module, const char *name, PyObject **slot)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL
        : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ImportError)
            && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        found = Py_NewRef(Py_None);
    }
    *slot = found;
    return 0;
}

/* asyncio's future in C, with what it is asked most. */
static int
look_up_future(ModState *state)
{
    if (look_up_optional("_asyncio", "Future", &state->future_type) < 0
        || look_up_optional("_asyncio", "Task", &state->task_type) < 0
        || look_up_optional("_asyncio", "_get_running_loop",
                            &state->get_running_loop) < 0
        || look_up_optional("asyncio.base_futures", "_future_repr",
                            &state->future_repr) < 0) {
        return -1;
    }
    if (state->future_type == Py_None) {
        return 0;
    }
    PyObject *type = state->future_type;
    if ((state->future_set_result = PyObject_GetAttr(
             type, state->str_set_result)) == NULL
        || (state->future_result = PyObject_GetAttr(
                type, state->str_result)) == NULL
        || (state->future_set_exception = PyObject_GetAttr(
                type, state->str_set_exception)) == NULL
        || (state->future_cancel = PyObject_GetAttr(
                type, state->str_cancel)) == NULL
        || (state->future_blocking = PyObject_GetAttr(
                type, state->str_blocking)) == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(state->future_blocking, &PyGetSetDescr_Type)) {
        /* Not the one that we know: it is a stranger. */
        Py_SETREF(state->future_type, Py_NewRef(Py_None));
    }
    return 0;
}

int
KevFeed_Setup(ModState *state)
{
    if (look_up_future(state) < 0
        || look_up_optional("asyncio.streams", "StreamReaderProtocol",
                            &state->standard_protocol) < 0
        || look_up_optional("asyncio.streams", "StreamReader",
                            &state->standard_reader) < 0) {
        return -1;
    }
    if (!look_up_known(state->standard_protocol, state->str_data_received,
                       &state->standard_data_received)
        || !look_up_known(state->standard_reader, state->str_feed_data,
                          &state->standard_feed_data)
        || !look_up_known(state->standard_reader, state->str_wakeup_waiter,
                          &state->standard_wakeup_waiter)) {
        /* Nothing is of this class: all are called. */
        Py_SETREF(state->standard_protocol, Py_NewRef(Py_None));
    }
    return 0;
}
