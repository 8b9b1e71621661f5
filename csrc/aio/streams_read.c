/*
 * streams_read.c - the reads of a StreamReader: each finds what it wants in
 * the buffer or waits until there is more.
 *
 * The order of every check is asyncio's of the running version, so that the
 * same data, split in the same way, ends in the same result or exception and
 * leaves the same buffer behind.
 */
#include "aio/streams.h"

#include <string.h>

#include "aio/compat.h"
#include "aio/waiter.h"

#define FOUND_TOO_LONG "Separator is found, but chunk is longer than limit"
#define NOT_FOUND_TOO_LONG                                                \
    "Separator is not found, and chunk exceed the limit"

static inline ReaderObject *
reader_of(const OpObject *op)
{
    return (ReaderObject *)op->owner;
}

/* ---- waiting -------------------------------------------------------- */

static enum op_step
wait_here(OpObject *op, const char *function)
{
    ReaderObject *self = reader_of(op);
    if (KevStreams_IsSet(self->waiter)) {
        PyErr_Format(PyExc_RuntimeError,
                     "%s() called while another coroutine is already "
                     "waiting for incoming data", function);
        return OP_ERROR;
    }
    if (self->eof) {
        PyErr_SetString(PyExc_AssertionError, "_wait_for_data after EOF");
        return OP_ERROR;
    }
    /* Nothing would ever come from a transport that is paused. */
    if (self->paused && KevReader_Resume(self) < 0) {
        return OP_ERROR;
    }
    PyObject *future = KevWaiter_New(self->state, self->loop);
    if (future == NULL) {
        return OP_ERROR;
    }
    Py_XSETREF(self->waiter, Py_NewRef(future));
    enum op_step step = KevOp_AwaitFuture(op, future);
    Py_DECREF(future);
    if (step == OP_ERROR) {
        Py_CLEAR(self->waiter);
    }
    return step;
}

/* The same, by a subclass's _wait_for_data() if it has one. */
static enum op_step
wait_for_data(OpObject *op)
{
    ReaderObject *self = reader_of(op);
    const char *function = op->kind->waits_as != NULL
        ? op->kind->waits_as : op->kind->name;
    if (KevReader_Owns(self, READER_WAIT_FOR_DATA)) {
        return wait_here(op, function);
    }
    PyObject *awaitable = PyObject_CallMethod(
        op->owner, "_wait_for_data", "s", function);
    if (awaitable == NULL) {
        return OP_ERROR;
    }
    enum op_step step = KevOp_Await(op, awaitable);
    Py_DECREF(awaitable);
    return step;
}

/* The wait is over: nobody waits. */
void
KevReader_SettleWait(OpObject *op)
{
    if (op->waiter != NULL) {
        ReaderObject *self = reader_of(op);
        self->wanted = 0;
        Py_CLEAR(self->waiter);
    }
}

static enum op_step
wait_step(OpObject *op, PyObject **ret)
{
    if (op->stage == 0) {
        op->stage = 1;
        PyObject *name = PyObject_Str(op->arg);
        const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
        enum op_step step = text == NULL ? OP_ERROR : wait_here(op, text);
        Py_XDECREF(name);
        return step;
    }
    *ret = Py_NewRef(Py_None);
    return OP_DONE;
}

static const struct op_kind wait_kind = {
    .name = "_wait_for_data",
    .qualname = "StreamReader._wait_for_data",
    .step = wait_step,
    .settle = KevReader_SettleWait,
};

/* ---- results -------------------------------------------------------- */

/* Takes size bytes as the result. */
static enum op_step
take(ReaderObject *self, Py_ssize_t size, PyObject **ret)
{
    PyObject *bytes = KevRbuf_Take(&self->buffer, size);
    if (bytes == NULL) {
        return OP_ERROR;
    }
    if (KevReader_MaybeResume(self) < 0) {
        Py_DECREF(bytes);
        return OP_ERROR;
    }
    *ret = bytes;
    return OP_DONE;
}

/* IncompleteReadError(all that there is, expected), which steals expected. */
static enum op_step
raise_incomplete(ReaderObject *self, PyObject *expected)
{
    PyObject *partial = expected == NULL ? NULL : KevRbuf_Take(
        &self->buffer, KevRbuf_Size(&self->buffer));
    if (partial != NULL) {
        PyObject *exc = PyObject_CallFunctionObjArgs(
            self->state->incomplete_read_error, partial, expected, NULL);
        if (exc != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
            Py_DECREF(exc);
        }
        Py_DECREF(partial);
    }
    Py_XDECREF(expected);
    return OP_ERROR;
}

static enum op_step
raise_overrun(ReaderObject *self, const char *message, Py_ssize_t consumed)
{
    PyObject *exc = PyObject_CallFunction(self->state->limit_overrun_error,
                                          "sn", message, consumed);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
    return OP_ERROR;
}

/* ---- read(n) -------------------------------------------------------- */

static enum op_step
read_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    Py_ssize_t have = KevRbuf_Size(&self->buffer);
    if (op->stage == 0) {
        op->stage = 1;
        if (KevStreams_IsSet(self->exception)) {
            return KevOp_Raise(self->exception);
        }
        if (op->size == 0) {
            *ret = PyBytes_FromStringAndSize(NULL, 0);
            return *ret == NULL ? OP_ERROR : OP_DONE;
        }
        if (have == 0 && !self->eof) {
            return wait_for_data(op);
        }
    }
    return take(self, have < op->size ? have : op->size, ret);
}

static const struct op_kind read_kind = {
    .name = "read",
    .qualname = "StreamReader.read",
    .step = read_step,
    .settle = KevReader_SettleWait,
};

/* ---- read(-1): until the end ---------------------------------------- */

/* A subclass's read(): asked again and again. */
static enum op_step
ask_read(OpObject *op)
{
    ReaderObject *self = reader_of(op);
    PyObject *awaitable = PyObject_CallMethod(op->owner, "read", "O",
                                              self->limit);
    if (awaitable == NULL) {
        return OP_ERROR;
    }
    enum op_step step = KevOp_Await(op, awaitable);
    Py_DECREF(awaitable);
    return step;
}

/* Keeps a block.  1: it was one; 0: it was the end; -1. */
static int
keep_block(OpObject *op, PyObject *block)
{
    int is_one = PyObject_IsTrue(block);
    if (is_one <= 0) {
        return is_one;
    }
    if (op->arg == NULL) {
        op->arg = PyList_New(0);
    }
    return op->arg == NULL || PyList_Append(op->arg, block) < 0 ? -1 : 1;
}

static enum op_step
join_blocks(OpObject *op, PyObject **ret)
{
    if (op->arg != NULL && PyList_GET_SIZE(op->arg) == 1
        && PyBytes_CheckExact(PyList_GET_ITEM(op->arg, 0))) {
        *ret = Py_NewRef(PyList_GET_ITEM(op->arg, 0));
        return OP_DONE;
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL || op->arg == NULL) {
        *ret = empty;
    }
    else {
        *ret = PyObject_CallMethod(empty, "join", "O", op->arg);
        Py_DECREF(empty);
    }
    return *ret == NULL ? OP_ERROR : OP_DONE;
}

static enum op_step
read_all_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    if (op->stage == 0 && KevStreams_IsSet(self->exception)) {
        return KevOp_Raise(self->exception);
    }
    if (!KevReader_Owns(self, READER_READ)) {
        int more = op->stage == 0 ? 1 : keep_block(op, op->value);
        op->stage = 1;
        return more < 0 ? OP_ERROR
            : more ? ask_read(op) : join_blocks(op, ret);
    }
    for (;;) {
        /* Each turn is a read(limit): 1 it begins, 2 it has waited. */
        if (op->stage != 2) {
            op->stage = 1;
            if (KevStreams_IsSet(self->exception)) {
                return KevOp_Raise(self->exception);
            }
            if (KevRbuf_Size(&self->buffer) == 0 && !self->eof) {
                op->stage = 2;
                return wait_for_data(op);
            }
        }
        op->stage = 1;
        Py_ssize_t have = KevRbuf_Size(&self->buffer);
        PyObject *block;
        if (take(self, have < self->limit_bytes ? have : self->limit_bytes,
                 &block) == OP_ERROR) {
            return OP_ERROR;
        }
        int more = keep_block(op, block);
        Py_DECREF(block);
        if (more <= 0) {
            return more < 0 ? OP_ERROR : join_blocks(op, ret);
        }
    }
}

static const struct op_kind read_all_kind = {
    .name = "read",
    .qualname = "StreamReader.read",
    .step = read_all_step,
    .settle = KevReader_SettleWait,
};

/* ---- readexactly(n) ------------------------------------------------- */

static enum op_step
readexactly_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    if (op->stage == 0) {
        op->stage = 1;
        if (op->size < 0) {
            PyErr_SetString(PyExc_ValueError,
                            "readexactly size can not be less than zero");
            return OP_ERROR;
        }
        if (KevStreams_IsSet(self->exception)) {
            return KevOp_Raise(self->exception);
        }
        if (op->size == 0) {
            *ret = PyBytes_FromStringAndSize(NULL, 0);
            return *ret == NULL ? OP_ERROR : OP_DONE;
        }
    }
    if (KevRbuf_Size(&self->buffer) >= op->size) {
        return take(self, op->size, ret);
    }
    if (self->eof) {
        return raise_incomplete(self, PyLong_FromSsize_t(op->size));
    }
    enum op_step step = wait_for_data(op);
    if (step != OP_ERROR) {
        self->wanted = op->size;
    }
    return step;
}

static const struct op_kind readexactly_kind = {
    .name = "readexactly",
    .qualname = "StreamReader.readexactly",
    .step = readexactly_step,
    .settle = KevReader_SettleWait,
};

/* ---- looking for separators ----------------------------------------- */

struct match {
    Py_ssize_t start;          /* of the separator; -1: none */
    Py_ssize_t end;
    const char *message;       /* what is wrong with it, or NULL */
    Py_ssize_t consumed;
};

enum search {
    SEARCH_FOUND,
    SEARCH_OVERRUN,
    SEARCH_MORE,
    SEARCH_EOF,
};

/* Where separator is at or behind offset, or -1. */
static Py_ssize_t
find(const struct rbuf *buffer, const char *separator, size_t size,
     Py_ssize_t offset)
{
    Py_ssize_t have = KevRbuf_Size(buffer);
    if (offset >= have) {
        return -1;
    }
    const char *data = KevRbuf_Data(buffer);
    const char *place = size == 1
        ? memchr(data + offset, separator[0], (size_t)(have - offset))
        : memmem(data + offset, (size_t)(have - offset), separator, size);
    return place == NULL ? -1 : place - data;
}

/* Looks for the separators: bytes, or a list of them, shortest first.  The
   match that ends first wins. */
static void
find_any(const OpObject *op, const struct rbuf *buffer, struct match *ret)
{
    ret->start = -1;
    ret->end = -1;
    Py_ssize_t count = PyList_CheckExact(op->arg)
        ? PyList_GET_SIZE(op->arg) : 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *separator = PyList_CheckExact(op->arg)
            ? PyList_GET_ITEM(op->arg, i) : op->arg;
        Py_ssize_t size = PyBytes_GET_SIZE(separator);
        Py_ssize_t start = find(buffer, PyBytes_AS_STRING(separator),
                                (size_t)size, op->offset);
        if (start >= 0 && (ret->start < 0 || start + size < ret->end)) {
            ret->start = start;
            ret->end = start + size;
        }
    }
}

static Py_ssize_t
separator_size(const OpObject *op, int longest)
{
    if (PyBytes_CheckExact(op->arg)) {
        return PyBytes_GET_SIZE(op->arg);
    }
    Py_ssize_t last = PyList_GET_SIZE(op->arg) - 1;
    return PyBytes_GET_SIZE(PyList_GET_ITEM(op->arg, longest ? last : 0));
}

/* ret tells of a separator that was found. */
static inline enum search
found(const ReaderObject *self, struct match *ret)
{
    if (ret->start <= self->limit_bytes) {
        return SEARCH_FOUND;
    }
    ret->message = FOUND_TOO_LONG;
    ret->consumed = ret->start;
    return SEARCH_OVERRUN;
}

/* None is there; the next one may begin at offset. */
static inline enum search
not_found(OpObject *op, Py_ssize_t offset, struct match *ret)
{
    const ReaderObject *self = reader_of(op);
    op->offset = offset;
    if (offset > self->limit_bytes) {
        ret->message = NOT_FOUND_TOO_LONG;
        ret->consumed = offset;
        return SEARCH_OVERRUN;
    }
    return self->eof ? SEARCH_EOF : SEARCH_MORE;
}

/* One look at the buffer for a separator of one byte. */
static enum search
search_byte(OpObject *op, char separator, struct match *ret)
{
    const ReaderObject *self = reader_of(op);
    Py_ssize_t have = KevRbuf_Size(&self->buffer);
    if (op->offset >= have) {
        return self->eof ? SEARCH_EOF : SEARCH_MORE;
    }
    const char *data = KevRbuf_Data(&self->buffer);
    const char *place = memchr(data + op->offset, separator,
                               (size_t)(have - op->offset));
    if (place == NULL) {
        return not_found(op, have, ret);
    }
    ret->start = place - data;
    ret->end = ret->start + 1;
    return found(self, ret);
}

/* One look at the buffer; op->offset is where none can begin before. */
static enum search
search(OpObject *op, struct match *ret)
{
    const ReaderObject *self = reader_of(op);
    if (PyBytes_CheckExact(op->arg) && PyBytes_GET_SIZE(op->arg) == 1) {
        return search_byte(op, PyBytes_AS_STRING(op->arg)[0], ret);
    }
    Py_ssize_t have = KevRbuf_Size(&self->buffer);
    if (have - op->offset < separator_size(op, 0)) {
        return self->eof ? SEARCH_EOF : SEARCH_MORE;
    }
    find_any(op, &self->buffer, ret);
    if (ret->start >= 0) {
        return found(self, ret);
    }
    /* The end of the buffer may be the begin of a separator. */
    Py_ssize_t offset = have + 1 - separator_size(op, 1);
    return not_found(op, offset > 0 ? offset : 0, ret);
}

/* ---- readuntil(separator) ------------------------------------------- */

/* Steals nothing; a new reference to bytes, or NULL with TypeError. */
static PyObject *
separator_bytes(PyObject *separator)
{
    if (PyBytes_CheckExact(separator)) {
        return Py_NewRef(separator);
    }
    if (!PyObject_CheckBuffer(separator)) {
        PyErr_Format(PyExc_TypeError,
                     "a separator must be a bytes-like object, not '%.100s'",
                     Py_TYPE(separator)->tp_name);
        return NULL;
    }
    return PyBytes_FromObject(separator);
}

#if PY_VERSION_HEX >= 0x030D0000
/* The list of bytes in the order of their lengths; new reference or NULL. */
static PyObject *
separator_list(PyObject *tuple)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *bytes = separator_bytes(PyTuple_GET_ITEM(tuple, i));
        Py_ssize_t place = PyList_GET_SIZE(list);
        while (bytes != NULL && place > 0
               && PyBytes_GET_SIZE(PyList_GET_ITEM(list, place - 1))
                      > PyBytes_GET_SIZE(bytes)) {
            place--;
        }
        if (bytes == NULL || PyList_Insert(list, place, bytes) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(bytes);
    }
    if (list != NULL && count == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "Separator should contain at least one element");
        Py_CLEAR(list);
    }
    return list;
}
#endif

/* op->arg becomes bytes, or a list of them.  0 or -1. */
static int
prepare_separators(OpObject *op)
{
    PyObject *separators;
#if PY_VERSION_HEX >= 0x030D0000
    separators = PyTuple_Check(op->arg) ? separator_list(op->arg)
                                        : separator_bytes(op->arg);
#else
    if (PyTuple_Check(op->arg) && PyTuple_GET_SIZE(op->arg) == 0) {
        separators = PyBytes_FromStringAndSize(NULL, 0);
    }
    else {
        separators = separator_bytes(op->arg);
    }
#endif
    if (separators == NULL) {
        return -1;
    }
    Py_SETREF(op->arg, separators);
    if (separator_size(op, 0) == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "Separator should be at least one-byte string");
        return -1;
    }
    return 0;
}

static enum op_step
readuntil_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    if (op->stage == 0) {
        op->stage = 1;
        if (prepare_separators(op) < 0) {
            return OP_ERROR;
        }
        if (KevStreams_IsSet(self->exception)) {
            return KevOp_Raise(self->exception);
        }
    }
    struct match match;
    switch (search(op, &match)) {
    case SEARCH_FOUND:
        return take(self, match.end, ret);
    case SEARCH_OVERRUN:
        return raise_overrun(self, match.message, match.consumed);
    case SEARCH_EOF:
        return raise_incomplete(self, Py_NewRef(Py_None));
    default:
        return wait_for_data(op);
    }
}

static const struct op_kind readuntil_kind = {
    .name = "readuntil",
    .qualname = "StreamReader.readuntil",
    .step = readuntil_step,
    .settle = KevReader_SettleWait,
};

/* ---- readline() ----------------------------------------------------- */

/* The line is too long: it is skipped if its end is there, otherwise all
   that there is.  ValueError(message), whose context is overrun. */
static enum op_step
skip_line(ReaderObject *self, PyObject *message, Py_ssize_t consumed,
          PyObject *overrun)
{
    struct rbuf *buffer = &self->buffer;
    Py_ssize_t have = KevRbuf_Size(buffer);
    int ends = consumed >= 0 && consumed < have
        && KevRbuf_Data(buffer)[consumed] == '\n';
    if (KevRbuf_Drop(buffer, ends ? consumed + 1 : have) < 0
        || KevReader_MaybeResume(self) < 0) {
        return OP_ERROR;
    }
    PyObject *exc = PyObject_CallOneArg(PyExc_ValueError, message);
    if (exc != NULL) {
        PyException_SetContext(exc, Py_NewRef(overrun));
        PyErr_SetObject(PyExc_ValueError, exc);
        Py_DECREF(exc);
    }
    return OP_ERROR;
}

/* What LimitOverrunError makes of a readline(); it is set. */
static enum op_step
overrun_line(ReaderObject *self)
{
    enum op_step step = OP_ERROR;
    PyObject *overrun = KevErr_GetRaised();
    PyObject *consumed = PyObject_GetAttrString(overrun, "consumed");
    PyObject *args = PyObject_GetAttrString(overrun, "args");
    PyObject *message = args == NULL ? NULL : PySequence_GetItem(args, 0);
    if (consumed != NULL && message != NULL) {
        Py_ssize_t count = PyNumber_AsSsize_t(consumed, NULL);
        if (count != -1 || !PyErr_Occurred()) {
            step = skip_line(self, message, count, overrun);
        }
    }
    Py_XDECREF(message);
    Py_XDECREF(args);
    Py_XDECREF(consumed);
    Py_DECREF(overrun);
    return step;
}

/* A subclass's readuntil() raised. */
static enum op_step
readline_failed(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    ModState *state = self->state;
    if (KevReader_Owns(self, READER_READUNTIL)) {
        return OP_ERROR;
    }
    if (PyErr_ExceptionMatches(state->incomplete_read_error)) {
        PyObject *exc = KevErr_GetRaised();
        *ret = PyObject_GetAttrString(exc, "partial");
        Py_DECREF(exc);
        return *ret == NULL ? OP_ERROR : OP_DONE;
    }
    return PyErr_ExceptionMatches(state->limit_overrun_error)
        ? overrun_line(self) : OP_ERROR;
}

static enum op_step
ask_readuntil(OpObject *op, PyObject **ret)
{
    if (op->stage != 0) {
        *ret = Py_NewRef(op->value);
        return OP_DONE;
    }
    op->stage = 1;
    PyObject *awaitable = PyObject_CallMethodOneArg(
        op->owner, op->state->str_readuntil, op->state->newline);
    if (awaitable == NULL) {
        return readline_failed(op, ret);
    }
    enum op_step step = KevOp_Await(op, awaitable);
    Py_DECREF(awaitable);
    return step;
}

static enum op_step
readline_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    if (!KevReader_Owns(self, READER_READUNTIL)) {
        return ask_readuntil(op, ret);
    }
    if (op->stage == 0) {
        op->stage = 1;
        if (KevStreams_IsSet(self->exception)) {
            return KevOp_Raise(self->exception);
        }
    }
    struct match match;
    switch (search_byte(op, '\n', &match)) {
    case SEARCH_FOUND:
        return take(self, match.end, ret);
    case SEARCH_OVERRUN:
        (void)raise_overrun(self, match.message, match.consumed);
        return PyErr_ExceptionMatches(self->state->limit_overrun_error)
            ? overrun_line(self) : OP_ERROR;
    case SEARCH_EOF:
        *ret = KevRbuf_Take(&self->buffer, KevRbuf_Size(&self->buffer));
        return *ret == NULL ? OP_ERROR : OP_DONE;
    default:
        return wait_for_data(op);
    }
}

static const struct op_kind readline_kind = {
    .name = "readline",
    .qualname = "StreamReader.readline",
    .waits_as = "readuntil",
    .step = readline_step,
    .settle = KevReader_SettleWait,
    .failed = readline_failed,
};

/* ---- async for line in reader --------------------------------------- */

/* The line was empty: that was the last. */
static enum op_step
end_iteration(enum op_step step, PyObject **ret)
{
    if (step == OP_DONE && PyBytes_Check(*ret)
        && PyBytes_GET_SIZE(*ret) == 0) {
        Py_CLEAR(*ret);
        PyErr_SetNone(PyExc_StopAsyncIteration);
        return OP_ERROR;
    }
    return step;
}

static enum op_step
anext_step(OpObject *op, PyObject **ret)
{
    ReaderObject *self = reader_of(op);
    if (KevReader_Owns(self, READER_READLINE)) {
        return end_iteration(readline_step(op, ret), ret);
    }
    if (op->stage != 0) {
        *ret = Py_NewRef(op->value);
        return end_iteration(OP_DONE, ret);
    }
    op->stage = 1;
    PyObject *awaitable = PyObject_CallMethodNoArgs(op->owner,
                                                    op->state->str_readline);
    if (awaitable == NULL) {
        return OP_ERROR;
    }
    enum op_step step = KevOp_Await(op, awaitable);
    Py_DECREF(awaitable);
    return step;
}

static enum op_step
anext_failed(OpObject *op, PyObject **ret)
{
    if (!KevReader_Owns(reader_of(op), READER_READLINE)) {
        return OP_ERROR;
    }
    return end_iteration(readline_failed(op, ret), ret);
}

static const struct op_kind anext_kind = {
    .name = "__anext__",
    .qualname = "StreamReader.__anext__",
    .waits_as = "readuntil",
    .step = anext_step,
    .settle = KevReader_SettleWait,
    .failed = anext_failed,
};

/* ---- the methods ---------------------------------------------------- */

static int
as_size(PyObject *number, Py_ssize_t *ret)
{
    *ret = PyNumber_AsSsize_t(number, NULL);
    return *ret == -1 && PyErr_Occurred() ? -1 : 0;
}

static inline ModState *
state_of(PyObject *op)
{
    return ((ReaderObject *)op)->state;
}

static inline PyObject *
new_op(PyObject *op, const struct op_kind *kind, PyObject *arg,
       Py_ssize_t size)
{
    return KevOp_New(state_of(op), kind, op, ((ReaderObject *)op)->loop, arg,
                     size);
}

PyObject *
KevReader_Read(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    Py_ssize_t size = -1;
    PyObject *number = Py_None;
    if (KevCall_OneArgument("StreamReader.read", "n", args, nargs,
                               kwnames, &number) < 0
        || ((nargs > 0 || kwnames != NULL)
            && as_size(number, &size) < 0)) {
        return NULL;
    }
    return new_op(op, size < 0 ? &read_all_kind : &read_kind, NULL, size);
}

PyObject *
KevReader_ReadExactly(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    Py_ssize_t size;
    PyObject *number = NULL;
    if (KevCall_OneArgument("StreamReader.readexactly", "n", args, nargs,
                               kwnames, &number) < 0
        || as_size(number, &size) < 0) {
        return NULL;
    }
    return new_op(op, &readexactly_kind, NULL, size);
}

PyObject *
KevReader_ReadUntil(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    PyObject *separator = state_of(op)->newline;
    if (KevCall_OneArgument("StreamReader.readuntil", "separator", args,
                               nargs, kwnames, &separator) < 0) {
        return NULL;
    }
    return new_op(op, &readuntil_kind, separator, 0);
}

PyObject *
KevReader_ReadLine(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return new_op(op, &readline_kind, state_of(op)->newline, 0);
}

PyObject *
KevReader_WaitForData(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *name = NULL;
    if (KevCall_OneArgument("StreamReader._wait_for_data", "func_name",
                               args, nargs, kwnames, &name) < 0) {
        return NULL;
    }
    return new_op(op, &wait_kind, name, 0);
}

PyObject *
KevReader_Anext(PyObject *op)
{
    return new_op(op, &anext_kind, state_of(op)->newline, 0);
}
