/*
 * pipe.c - what a pipe transport does per packet.
 *
 * The transports are asyncio's own (kevent/transports.py derives from them):
 * their attributes, their callbacks in the loop, their order of events.  Only
 * reading, writing and writing on are done here; each does by itself what is
 * usual, and leaves everything else to a method in Python: the end, errors,
 * what the pipe did not take, calls that are wrong or too late.
 *
 * The type has no fields, so that it can stand before asyncio's class.  The
 * interpreter lock is released around the system calls: O_NONBLOCK belongs to
 * the open file, and whoever else has it may have taken it off.
 */
#include "aio/pipe.h"

#include "aio/streams.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)    /* bytes: a pipe holds no more, as a rule */

#define METHOD_FLAGS (METH_METHOD | METH_FASTCALL | METH_KEYWORDS)

/* ---- attributes ----------------------------------------------------- */

/* self.name is false: 1, true: 0; -1 with an exception. */
static int
is_false(PyObject *self, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(self, name);
    int r = value == NULL ? -1 : PyObject_Not(value);
    Py_XDECREF(value);
    return r;
}

/* self._fileno, or -1 with an exception. */
static int
fileno_of(ModState *state, PyObject *self)
{
    PyObject *number = PyObject_GetAttr(self, state->str_underscore_fileno);
    if (number == NULL) {
        return -1;
    }
    int fd = PyObject_AsFileDescriptor(number);
    Py_DECREF(number);
    return fd;
}

/* An OSError in place of -errno: a new reference, or NULL. */
static PyObject *
os_error(int err)
{
    return PyObject_CallFunction(PyExc_OSError, "is", err, strerror(err));
}

/* self.method(the error). */
static PyObject *
failed(PyObject *self, PyObject *method, int err)
{
    PyObject *exc = os_error(err);
    PyObject *res = exc == NULL ? NULL
        : PyObject_CallMethodOneArg(self, method, exc);
    Py_XDECREF(exc);
    return res;
}

/* ---- system calls: a count or -errno -------------------------------- */

static ssize_t
pipe_read(int fd, void *buffer, size_t size)
{
    ssize_t n;
    Py_BEGIN_ALLOW_THREADS
    do {
        n = read(fd, buffer, size);
    } while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    Py_END_ALLOW_THREADS
    return n;
}

static ssize_t
pipe_write(int fd, const void *bytes, size_t size)
{
    ssize_t n;
    Py_BEGIN_ALLOW_THREADS
    do {
        n = write(fd, bytes, size);
    } while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    Py_END_ALLOW_THREADS
    return n;
}

static inline int
is_later(ssize_t n)
{
    return n == -EAGAIN || n == -EWOULDBLOCK;
}

/* ---- reading -------------------------------------------------------- */

/* protocol.data_received(bytes), or what it would do.  0 or -1. */
static int
deliver(ModState *state, PyObject *protocol, const char *bytes,
        Py_ssize_t size)
{
    int r = 0;
    switch (KevFeed_Way(state, protocol)) {
    case FEED_OURS: {
        ReaderObject *reader = KevFeed_Reader(state, protocol);
        if (reader != NULL) {
            r = KevReader_FeedBytes(reader, bytes, size) < 0 ? -1 : 1;
            Py_DECREF(reader);
        }
        break;
    }
    case FEED_STANDARD:
        r = KevFeed_Standard(state, protocol, bytes, size);
        break;
    case FEED_CALL:
        break;
    }
    if (r != 0) {
        return r < 0 ? -1 : 0;
    }
    PyObject *data = PyBytes_FromStringAndSize(bytes, size);
    PyObject *res = data == NULL ? NULL : PyObject_CallMethodOneArg(
        protocol, state->str_data_received, data);
    Py_XDECREF(data);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static PyObject *
read_ready(ModState *state, PyObject *self)
{
    char buffer[READ_SIZE];
    int fd = fileno_of(state, self);
    if (fd < 0) {
        return NULL;
    }
    ssize_t n = pipe_read(fd, buffer, sizeof(buffer));
    if (n > 0) {
        PyObject *protocol = PyObject_GetAttr(self, state->str_protocol);
        int r = protocol == NULL ? -1
            : deliver(state, protocol, buffer, n);
        Py_XDECREF(protocol);
        return r < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (is_later(n)) {
        Py_RETURN_NONE;
    }
    return n == 0 ? PyObject_CallMethodNoArgs(self, state->str_read_end)
                  : failed(self, state->str_read_failed, (int)-n);
}

static PyObject *
pipe_read_ready(PyObject *self, PyTypeObject *cls,
                PyObject *const *Py_UNUSED(args), Py_ssize_t nargs,
                PyObject *kwnames)
{
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL) {
        return NULL;
    }
    if (nargs != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "_read_ready() takes no arguments");
        return NULL;
    }
    return read_ready(state, self);
}

/* ---- writing -------------------------------------------------------- */

/* May the bytes go out at once?  1; 0: asyncio's write() knows what to do;
   -1 with an exception.  What has lost its pipe is closing, too. */
static int
may_write(ModState *state, PyObject *self, PyObject *data)
{
    if (!PyBytes_CheckExact(data) && !PyByteArray_CheckExact(data)) {
        return 0;
    }
    int r = is_false(self, state->str_buffer);
    return r > 0 ? is_false(self, state->str_underscore_closing) : r;
}

/* 1: all is written; 0: n bytes, or -errno, in *ret_n; -1. */
static int
write_now(ModState *state, PyObject *self, PyObject *data, ssize_t *ret_n)
{
    Py_buffer view;
    int fd = fileno_of(state, self);
    if (fd < 0 || PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    ssize_t n = view.len == 0 ? 0
        : pipe_write(fd, view.buf, (size_t)view.len);
    int is_all = n == view.len;
    PyBuffer_Release(&view);
    *ret_n = is_later(n) ? 0 : n;
    return is_all;
}

/* self._keep(data, n): n bytes of it are written, the rest is to wait. */
static PyObject *
keep(ModState *state, PyObject *self, PyObject *data, ssize_t n)
{
    PyObject *count = PyLong_FromSsize_t(n);
    PyObject *res = count == NULL ? NULL : PyObject_CallMethodObjArgs(
        self, state->str_keep, data, count, NULL);
    Py_XDECREF(count);
    return res;
}

/* The data argument of write(), borrowed; NULL if the call is another. */
static PyObject *
only_argument(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return nargs == 1 && kwnames == NULL ? args[0] : NULL;
}

static PyObject *
pipe_write_method(PyObject *self, PyTypeObject *cls, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames)
{
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL) {
        return NULL;
    }
    PyObject *data = only_argument(args, nargs, kwnames);
    int now = data == NULL ? 0 : may_write(state, self, data);
    if (now < 0) {
        return NULL;
    }
    if (now == 0) {
        PyObject *slow = PyObject_GetAttr(self, state->str_write_slowly);
        PyObject *res = slow == NULL ? NULL : PyObject_Vectorcall(
            slow, args, (size_t)nargs, kwnames);
        Py_XDECREF(slow);
        return res;
    }
    ssize_t n = 0;
    int r = write_now(state, self, data, &n);
    if (r != 0) {
        return r < 0 ? NULL : Py_NewRef(Py_None);
    }
    return n < 0 ? failed(self, state->str_write_failed, (int)-n)
                 : keep(state, self, data, n);
}

static PyObject *
write_ready(ModState *state, PyObject *self, PyObject *buffer)
{
    ssize_t n = 0;
    int r = write_now(state, self, buffer, &n);
    if (r < 0) {
        return NULL;
    }
    if (r > 0) {
        return PyObject_CallMethodNoArgs(self, state->str_all_written);
    }
    if (n < 0) {
        return failed(self, state->str_write_on_failed, (int)-n);
    }
    if (n > 0 && PySequence_DelSlice(buffer, 0, n) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
pipe_write_ready(PyObject *self, PyTypeObject *cls,
                 PyObject *const *Py_UNUSED(args), Py_ssize_t nargs,
                 PyObject *kwnames)
{
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL) {
        return NULL;
    }
    if (nargs != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "_write_ready() takes no arguments");
        return NULL;
    }
    PyObject *buffer = PyObject_GetAttr(self, state->str_buffer);
    if (buffer == NULL) {
        return NULL;
    }
    PyObject *res = NULL;
    if (!PyByteArray_CheckExact(buffer)
        || PyByteArray_GET_SIZE(buffer) == 0) {
        PyErr_SetString(PyExc_AssertionError, "Data should not be empty");
    }
    else {
        res = write_ready(state, self, buffer);
    }
    Py_DECREF(buffer);
    return res;
}

/* ---- the types ------------------------------------------------------ */

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

static int
pipe_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* Of an instance of the bare type, which has no use. */
static void
pipe_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef reader_methods[] = {
    {"_read_ready", METHOD(pipe_read_ready), METHOD_FLAGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "The part of a pipe transport that reads."},
    {Py_tp_methods, reader_methods},
    {Py_tp_traverse, pipe_traverse},
    {Py_tp_dealloc, pipe_dealloc},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "kevent._core.PipeReader",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

static PyMethodDef writer_methods[] = {
    {"write", METHOD(pipe_write_method), METHOD_FLAGS,
     "write($self, data)\n--\n\n"
     "Write bytes: at once what the pipe takes, the rest when it can."},
    {"_write_ready", METHOD(pipe_write_ready), METHOD_FLAGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_doc, "The part of a pipe transport that writes."},
    {Py_tp_methods, writer_methods},
    {Py_tp_traverse, pipe_traverse},
    {Py_tp_dealloc, pipe_dealloc},
    {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "kevent._core.PipeWriter",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = writer_slots,
};

int
KevPipe_Setup(PyObject *module, ModState *state)
{
    if (KevModule_AddType(module, &reader_spec, NULL,
                          &state->pipe_reader_type, 1) < 0) {
        return -1;
    }
    return KevModule_AddType(module, &writer_spec, NULL,
                             &state->pipe_writer_type, 1);
}
