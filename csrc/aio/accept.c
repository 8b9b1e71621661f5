/*
 * accept.c - connections of a listening socket become stream transports.
 */
#include "aio/compat.h"
#include "aio/netio.h"
#include "aio/stream.h"
#include "mod/errors.h"

struct acceptor {
    LoopObject *loop;
    PyTypeObject *stream_class;
    PyObject *protocol_factory;
    PyObject *server;
    PyObject *context;     /* of the server (3.15), or NULL */
};

/*
 * protocol_factory() and the transport, both in a context of the connection's
 * own, which its callbacks will run in.  Owns fd.
 */
static int
make_connection(const struct acceptor *from, int fd,
                const struct sock_peer *peer)
{
    PyObject *context = from->context == NULL ? PyContext_CopyCurrent()
        : PyContext_Copy(from->context);
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        (void)close(fd);
        return -1;
    }
    PyObject *stream = NULL;
    PyObject *protocol = PyObject_CallNoArgs(from->protocol_factory);
    if (protocol == NULL) {
        (void)close(fd);
    }
    else {
        stream = KevStream_New(from->stream_class, from->loop, fd,
                               peer->address.ss_family, peer, NULL, protocol,
                               NULL, NULL, from->server, context);
        Py_DECREF(protocol);
    }
    PyObject *exc = stream == NULL ? KevErr_GetRaised() : NULL;
    if (PyContext_Exit(context) < 0) {
        PyErr_Clear();  /* somebody left it for us */
    }
    Py_DECREF(context);
    Py_XDECREF(stream);
    if (exc != NULL) {
        KevErr_SetRaised(exc);
        return -1;
    }
    return 0;
}

/* What a factory raises concerns one connection, not the server. */
static int
connection_failed(LoopObject *loop)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)
        || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodOneArg(
        (PyObject *)loop, loop->state->str_accept_failed, exc);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* The protocol factory ran: it may have closed the listening socket, whose
   number may be another file's by now. */
static int
still_listens(PyObject *sock, int listener)
{
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0) {
        PyErr_Clear();
    }
    return fd == listener;
}

/* 0; -1 with an exception (OSError of accept itself among them). */
static int
accept_all(const struct acceptor *from, PyObject *sock, int listener,
           long backlog)
{
    for (long i = 0; i <= backlog; i++) {
        struct sock_peer peer = {.length = sizeof(peer.address)};
        peer.address.ss_family = AF_UNSPEC;
        int fd = net_accept(listener, (struct sockaddr *)&peer.address,
                            &peer.length);
        if (fd == -ECONNABORTED) {
            continue;
        }
        if (fd == -EAGAIN || fd == -EWOULDBLOCK || fd == -EINTR) {
            return 0;
        }
        if (fd < 0) {
            KevErr_Set(-fd, "accept");
            return -1;
        }
        if (make_connection(from, fd, &peer) < 0
            && connection_failed(from->loop) < 0) {
            return -1;
        }
        if (from->loop->closed || !still_listens(sock, listener)) {
            return 0;
        }
    }
    return 0;
}

/*
 * _accept_streams(listener_fd, protocol_factory, server, backlog, context)
 *
 * Accepts up to backlog + 1 connections.  OSError is the listener's.
 */
PyObject *
KevLoop_AcceptStreams(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *self = (LoopObject *)op;
    if (nargs != 5) {
        PyErr_SetString(PyExc_TypeError,
                        "_accept_streams() takes 5 arguments");
        return NULL;
    }
    int listener = PyObject_AsFileDescriptor(args[0]);
    if (listener < 0) {
        return NULL;
    }
    long backlog = PyLong_AsLong(args[3]);
    if (backlog == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (args[4] != Py_None && !PyContext_CheckExact(args[4])) {
        PyErr_SetString(PyExc_TypeError,
                        "_accept_streams(): context must be a Context");
        return NULL;
    }
    PyObject *stream_class = PyObject_GetAttr(
        op, self->state->str_stream_class);
    if (stream_class == NULL) {
        return NULL;
    }
    if (!PyType_Check(stream_class)
        || !PyType_IsSubtype((PyTypeObject *)stream_class,
                             (PyTypeObject *)self->state->stream_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "_stream_class must be a StreamTransport class");
        Py_DECREF(stream_class);
        return NULL;
    }
    struct acceptor from = {
        .loop = self,
        .stream_class = (PyTypeObject *)stream_class,
        .protocol_factory = args[1],
        .server = args[2],
        .context = args[4] == Py_None ? NULL : args[4],
    };
    int r = accept_all(&from, args[0], listener, backlog);
    Py_DECREF(stream_class);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
