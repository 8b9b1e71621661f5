/*
 * sock.c - sock_recv(), sock_recv_into(), sock_sendall(): try, then wait.
 *
 * asyncio makes a handle, a context, a partial and a registration for each
 * call that has to wait.  Here the call itself stands in the table of
 * descriptors; and the registration stays for the moment in which a program
 * that got its message calls again (see KevLoop_SockUnwatch()).
 *
 * Only the ordinary case is here: a plain non-blocking socket, sizes that are
 * ints, buffers of bytes, no debug mode.  Everything else is asyncio's own.
 */
#include "aio/sock.h"

#include "aio/compat.h"
#include "aio/netio.h"

enum kind { RECV, RECV_INTO, SENDALL };

typedef struct {
    PyObject_HEAD
    PyObject *future;     // strong
    PyObject *sock;       // strong: the descriptor stays open
    PyObject *buffer;     // strong or NULL: what to receive into
    Py_buffer data;       /* what to send; data.obj NULL: nothing */
    Py_ssize_t size;      /* to receive at most, or sent so far */
    enum kind kind;
} CallObject;

/* ---- the three calls, once ------------------------------------------ */

/* Is it for us?  1 and its descriptor; 0: asyncio's; -1 with an exception. */
static int
sock_is_plain(LoopObject *self, PyObject *sock, int *ret_fd)
{
    ModState *state = self->state;
#ifdef Py_GIL_DISABLED
    return 0;  /* nothing here guards what another thread may see */
#endif
    if (self->debug
        || !Py_IS_TYPE(sock, (PyTypeObject *)state->socket_class)) {
        return 0;
    }
    PyObject *timeout = PyObject_CallMethodNoArgs(sock,
                                                  state->str_gettimeout);
    if (timeout == NULL) {
        return -1;
    }
    int blocks = !PyFloat_CheckExact(timeout)
        || PyFloat_AS_DOUBLE(timeout) != 0.0;
    Py_DECREF(timeout);
    if (blocks) {
        return 0;
    }
    PyObject *number = PyObject_CallMethodNoArgs(sock, state->str_fileno);
    if (number == NULL) {
        return -1;
    }
    long fd = PyLong_AsLong(number);
    Py_DECREF(number);
    if (fd < 0 || fd >= INT_MAX) {
        PyErr_Clear();
        return 0;
    }
    *ret_fd = (int)fd;
    return 1;
}

/* The result, or NULL with the error number in *ret_err, 0: an exception. */
static PyObject *
receive(LoopObject *self, int fd, Py_ssize_t size, int *ret_err)
{
    *ret_err = 0;
    char *large = NULL;
    if (size > LOOP_RECEIVE_SIZE) {
        large = PyMem_RawMalloc((size_t)size);
        if (large == NULL) {
            return PyErr_NoMemory();
        }
    }
    else if (KevLoop_MakeReceiveBuffer(self) < 0) {
        return NULL;
    }
    char *buffer = large != NULL ? large : self->receive_buffer;
    ssize_t n = net_recv(fd, buffer, (size_t)size);
    PyObject *bytes = NULL;
    if (n >= 0) {
        bytes = PyBytes_FromStringAndSize(buffer, n);
    }
    else {
        *ret_err = (int)-n;
    }
    PyMem_RawFree(large);
    return bytes;
}

static PyObject *
receive_into(int fd, PyObject *buffer, int *ret_err)
{
    Py_buffer view;
    *ret_err = 0;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    ssize_t n = net_recv(fd, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (n < 0) {
        *ret_err = (int)-n;
        return NULL;
    }
    return PyLong_FromSsize_t(n);
}

/* As receive(); without a result and an error it is to be gone on with. */
static PyObject *
send_rest(int fd, const Py_buffer *data, Py_ssize_t *sent, int *ret_err)
{
    ssize_t n = net_send(fd, (const char *)data->buf + *sent,
                         (size_t)(data->len - *sent));
    *ret_err = n < 0 ? (int)-n : EAGAIN;
    if (n >= 0) {
        *sent += n;
    }
    return n >= 0 && *sent == data->len ? Py_NewRef(Py_None) : NULL;
}

/* What Python raises as BlockingIOError or InterruptedError. */
static int
would_block(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == EINPROGRESS
        || err == EALREADY || err == EINTR;
}

/* ---- waiting -------------------------------------------------------- */

/* The future of a call that waits, or NULL.  Steals data and clears it. */
static PyObject *
park(LoopObject *self, int fd, PyObject *sock, enum kind kind,
     PyObject *buffer, Py_buffer *data, Py_ssize_t size)
{
    ModState *state = self->state;
    CallObject *call = NULL;
    PyObject *future = KevLoop_CreateFuture((PyObject *)self, NULL);
    if (future != NULL) {
        call = PyObject_GC_New(CallObject,
                               (PyTypeObject *)state->sock_call_type);
    }
    if (call == NULL) {
        if (data != NULL) {
            PyBuffer_Release(data);
        }
        Py_XDECREF(future);
        return NULL;
    }
    call->future = Py_NewRef(future);
    call->sock = Py_NewRef(sock);
    call->buffer = Py_XNewRef(buffer);
    call->data.obj = NULL;
    if (data != NULL) {
        call->data = *data;
        data->obj = NULL;
    }
    call->size = size;
    call->kind = kind;
    PyObject_GC_Track(call);
    int r = KevLoop_CheckNoTransport(self, fd, NULL) < 0
            || KevLoop_CheckOpen(self) < 0
            || KevLoop_SockWatch(self, fd, (PyObject *)call, kind == SENDALL)
                < 0 ? -1 : 0;
    Py_DECREF(call);
    if (r < 0) {
        Py_CLEAR(future);
    }
    return future;
}

/* What the call gives, as a new reference, if it need not wait; the error as
   an exception; else the future. */
static PyObject *
give_or_park(LoopObject *self, int fd, PyObject *sock, enum kind kind,
             PyObject *buffer, Py_buffer *data, Py_ssize_t size,
             PyObject *result, int err)
{
    if (result == NULL && would_block(err)) {
        return park(self, fd, sock, kind, buffer, data, size);
    }
    if (data != NULL) {
        PyBuffer_Release(data);
    }
    if (result == NULL && err != 0) {
        errno = err;
        (void)PyErr_SetFromErrno(PyExc_OSError);
    }
    return result;
}

static int
two_arguments(Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "takes 2 arguments");
        return -1;
    }
    return 0;
}

PyObject *
KevSock_Recv(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *self = (LoopObject *)op;
    int fd = -1;
    int plain = two_arguments(nargs) < 0
        ? -1 : sock_is_plain(self, args[0], &fd);
    if (plain < 0) {
        return NULL;
    }
    Py_ssize_t size = plain && PyLong_CheckExact(args[1])
        ? PyLong_AsSsize_t(args[1]) : -1;
    if (size <= 0) {
        PyErr_Clear();
        return Py_NewRef(Py_NotImplemented);
    }
    int err;
    PyObject *result = receive(self, fd, size, &err);
    return give_or_park(self, fd, args[0], RECV, NULL, NULL, size, result,
                        err);
}

PyObject *
KevSock_RecvInto(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *self = (LoopObject *)op;
    int fd = -1;
    int plain = two_arguments(nargs) < 0
        ? -1 : sock_is_plain(self, args[0], &fd);
    if (plain < 0) {
        return NULL;
    }
    if (!plain || PyObject_Size(args[1]) <= 0) {
        PyErr_Clear();
        return Py_NewRef(Py_NotImplemented);
    }
    int err;
    PyObject *result = receive_into(fd, args[1], &err);
    return give_or_park(self, fd, args[0], RECV_INTO, args[1], NULL, 0,
                        result, err);
}

/* Is its length that in bytes, also by len()? */
static int
is_bytes(PyObject *data)
{
    if (PyBytes_CheckExact(data) || PyByteArray_CheckExact(data)) {
        return 1;
    }
    if (!PyMemoryView_Check(data)) {
        return 0;
    }
    const Py_buffer *view = PyMemoryView_GET_BUFFER(data);
    return view->ndim == 1 && view->itemsize == 1;
}

PyObject *
KevSock_SendAll(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *self = (LoopObject *)op;
    int fd = -1;
    int plain = two_arguments(nargs) < 0
        ? -1 : sock_is_plain(self, args[0], &fd);
    if (plain < 0) {
        return NULL;
    }
    Py_buffer data;
    if (!plain || !is_bytes(args[1])
        || PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();  /* asyncio raises it again */
        return Py_NewRef(Py_NotImplemented);
    }
    int err;
    Py_ssize_t sent = 0;
    PyObject *result = send_rest(fd, &data, &sent, &err);
    return give_or_park(self, fd, args[0], SENDALL, NULL, &data, sent,
                        result, err);
}

/* ---- when the socket is ready --------------------------------------- */

static PyObject *
call_again(LoopObject *self, int fd, CallObject *call, int *ret_err)
{
    switch (call->kind) {
    case RECV:
        return receive(self, fd, call->size, ret_err);
    case RECV_INTO:
        return receive_into(fd, call->buffer, ret_err);
    case SENDALL:
        break;
    }
    return send_rest(fd, &call->data, &call->size, ret_err);
}

/* 1 if the future needs nothing any more, 0, -1 with an exception. */
static int
future_is_done(ModState *state, PyObject *future)
{
    PyObject *done = PyObject_CallMethodNoArgs(future, state->str_done);
    int truth = done == NULL ? -1 : PyObject_IsTrue(done);
    Py_XDECREF(done);
    return truth;
}

int
KevSock_Ready(LoopObject *self, int fd, PyObject *op, int writing)
{
    ModState *state = self->state;
    CallObject *call = (CallObject *)op;
    PyObject *future = Py_NewRef(call->future);
    int r = future_is_done(state, future);
    if (r == 0) {
        PyObject *name = state->str_set_result;
        int err;
        PyObject *result = call_again(self, fd, call, &err);
        if (result == NULL && would_block(err)) {
            Py_DECREF(future);
            return 0;
        }
        if (result == NULL) {
            if (err != 0) {
                errno = err;
                (void)PyErr_SetFromErrno(PyExc_OSError);
            }
            result = KevErr_GetRaised();
            name = state->str_set_exception;
        }
        KevLoop_SockUnwatch(self, fd, op, writing);
        PyObject *res = PyObject_CallMethodOneArg(future, name, result);
        Py_DECREF(result);
        Py_XDECREF(res);
        r = res == NULL ? -1 : 0;
    }
    Py_DECREF(future);
    if (r < 0 && !PyErr_ExceptionMatches(PyExc_SystemExit)
        && !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_WriteUnraisable(op);  /* a future of the program's own class */
        r = 0;
    }
    return r < 0 ? -1 : 0;
}

PyObject *
KevSock_Forget(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *self = (LoopObject *)op;
    if (two_arguments(nargs) < 0) {
        return NULL;
    }
    /* By the future, since the socket may have lost its descriptor. */
    for (int fd = 0; fd < self->fds_count; fd++) {
        struct loop_fd *row = &self->fds[fd];
        if (row->owner != FD_CALLBACKS) {
            continue;
        }
        PyObject *both[2] = {row->reader, row->writer};
        for (int writing = 0; writing < 2; writing++) {
            PyObject *call = both[writing];
            if (call != NULL && KevSock_IsCall(self->state, call)
                && ((CallObject *)call)->future == args[1]) {
                KevLoop_SockUnwatch(self, fd, call, writing);
                Py_RETURN_NONE;
            }
        }
    }
    Py_RETURN_NONE;
}

/* ---- the type ------------------------------------------------------- */

/* Somebody else has got the descriptor: as asyncio's, it waits for ever. */
static PyObject *
call_cancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

static int
call_traverse(PyObject *op, visitproc visit, void *arg)
{
    CallObject *self = (CallObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->future);
    Py_VISIT(self->sock);
    Py_VISIT(self->buffer);
    Py_VISIT(self->data.obj);
    return 0;
}

static void
call_dealloc(PyObject *op)
{
    CallObject *self = (CallObject *)op;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->data.obj != NULL) {
        PyBuffer_Release(&self->data);
    }
    Py_XDECREF(self->buffer);
    Py_DECREF(self->sock);
    Py_DECREF(self->future);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"cancel", call_cancel, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, "A sock_recv() or its like that waits for its socket."},
    {Py_tp_methods, call_methods},
    {Py_tp_traverse, call_traverse},
    {Py_tp_dealloc, call_dealloc},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "kevent._core.SockCall",
    .basicsize = sizeof(CallObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
        | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

int
KevSock_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &call_spec, NULL,
                             &state->sock_call_type, 0);
}
