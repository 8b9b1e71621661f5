/*
 * loop_fd.c - the loop's table of descriptors, and who is told of what.
 *
 * One row per descriptor number.  Its kevent is of type POLL: level-triggered
 * for add_reader() and add_writer(), whose callbacks may leave data behind;
 * edge-triggered for streams, which read until there is no more, so that
 * pausing and resuming them costs no system call.  The cookie of the kevent
 * is (number, generation): letting a descriptor go moves the generation on,
 * and what is still in the ring for it finds nobody.
 */
#include "aio/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "aio/callargs.h"
#include "aio/sock.h"
#include "aio/datagram.h"
#include "aio/guard.h"
#include "aio/stream.h"
#include "mod/errors.h"

#define READABLE KEVENT_POLL_POLLIN
#define WRITABLE KEVENT_POLL_POLLOUT

#define STREAM_EVENTS                                                     \
    (KEVENT_POLL_POLLIN | KEVENT_POLL_POLLRDHUP | KEVENT_POLL_POLLPRI)
#define DATAGRAM_EVENTS KEVENT_POLL_POLLIN

struct loop_fd *
KevLoop_FdRow(LoopObject *self, int fd)
{
    if (fd >= self->fds_count) {
        /* A bad descriptor may be any number, a good one is small. */
        if (fcntl(fd, F_GETFD) < 0) {
            KevErr_Set(errno, "watching descriptor %d", fd);
            return NULL;
        }
        int count = self->fds_count > 0 ? self->fds_count : 64;
        while (count <= fd) {
            count = count > INT_MAX / 2 ? INT_MAX : count * 2;
        }
        struct loop_fd *fds = self->fds;
        PyMem_Resize(fds, struct loop_fd, (size_t)count);
        if (fds == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        memset(fds + self->fds_count, 0,
               (size_t)(count - self->fds_count) * sizeof(*fds));
        self->fds = fds;
        self->fds_count = count;
    }
    return &self->fds[fd];
}

/* The row if fd has one, without making it. */
static struct loop_fd *
row_of(LoopObject *self, int fd)
{
    return fd >= 0 && fd < self->fds_count ? &self->fds[fd] : NULL;
}

static inline int
has_transport(const struct loop_fd *row)
{
    return row->owner == FD_STREAM || row->owner == FD_DATAGRAM;
}

/* ---- the kevent of a row -------------------------------------------- */

/*
 * A thread that does not own the loop changes what it watches.  That is
 * misuse, but asyncio survives it, so we do: the queue takes no lock, hence
 * the owner is knocked out of it first.  He needs the interpreter lock to go
 * back, or the guard, and we hold that.  0, or -EBADF in a child where he does
 * not exist.
 */
static int
leave_poll(LoopObject *self)
{
    static const struct timespec moment = {.tv_nsec = 20000};
    while (__atomic_load_n(&self->polling, __ATOMIC_ACQUIRE)) {
        int r = kev_queue_knock(self->queue);
        if (r < 0) {
            return r;
        }
        (void)nanosleep(&moment, NULL);
    }
    return 0;
}

static int
kevent_of(LoopObject *self, unsigned cmd, int fd, uint32_t events,
          uint32_t req_flags)
{
    if (self->queue == NULL || fd < 0 || fd >= self->fds_count) {
        return -EBADF;
    }
    if (__builtin_expect(__atomic_load_n(&self->polling, __ATOMIC_ACQUIRE),
                         0)) {
        int r = leave_poll(self);
        if (r < 0) {
            return r;
        }
    }
    struct ukevent event = {
        .id.raw = {(uint32_t)fd, 0},
        .type = KEVENT_POLL,
        .event = events,
        .req_flags = req_flags | KEVENT_REQ_ALWAYS_QUEUE,
        .user = {(uint32_t)fd, self->fds[fd].generation},
    };
    int r = kevent_ctl(self->queue, cmd, 1, &event);
    if (r < 0) {
        return r;
    }
    if (cmd == KEVENT_CTL_ADD ? r > 0
        : (event.ret_flags & KEVENT_RET_BROKEN) != 0) {
        int err = (int)event.ret_data[1];
        return err < 0 ? err : -ENOENT;
    }
    return 0;
}

static void
kevent_remove(LoopObject *self, int fd)
{
    /* Fails when the descriptor was closed behind our back: gone anyway. */
    (void)kevent_of(self, KEVENT_CTL_REMOVE, fd, 0, 0);
    self->fds[fd].generation++;
}

static int
kevent_add(LoopObject *self, int fd, uint32_t events, uint32_t req_flags)
{
    int r = kevent_of(self, KEVENT_CTL_ADD, fd, events, req_flags);
    if (r < 0) {
        KevErr_Set(-r, "watching descriptor %d", fd);
        return -1;
    }
    return 0;
}

/* Another event mask; the descriptor may be another file by now. */
static int
kevent_modify(LoopObject *self, int fd, uint32_t events, uint32_t req_flags)
{
    if (kevent_of(self, KEVENT_CTL_MODIFY, fd, events, req_flags) == 0) {
        return 0;
    }
    kevent_remove(self, fd);
    return kevent_add(self, fd, events, req_flags);
}

/* ---- callbacks ------------------------------------------------------ */

static uint32_t
callback_events(const struct loop_fd *row)
{
    return (row->reader != NULL ? READABLE : 0)
        | (row->writer != NULL ? WRITABLE : 0);
}

/* A callback may leave data behind; a call of sock.c waits only for what it
   has seen to be over. */
static uint32_t
mode_of(LoopObject *self, PyObject *handle)
{
    return KevSock_IsCall(self->state, handle)
        ? KEVENT_REQ_ET : KEVENT_REQ_LEVEL;
}

/* Sets the reader or writer of a row; handle is borrowed. */
static int
set_callback(LoopObject *self, int fd, PyObject *handle, int writing)
{
    struct loop_fd *row = KevLoop_FdRow(self, fd);
    if (row == NULL) {
        return -1;
    }
    if (has_transport(row)) {
        PyObject *transport = Py_NewRef((PyObject *)row->transport);
        PyErr_Format(PyExc_RuntimeError,
                     "File descriptor %d is used by transport %R", fd,
                     transport);
        Py_DECREF(transport);
        return -1;
    }
    uint32_t add = writing ? WRITABLE : READABLE;
    uint32_t mode = mode_of(self, handle);
    int r;
    if (row->owner == FD_FREE) {
        r = kevent_add(self, fd, add, mode);
    }
    else {
        PyObject *other = writing ? row->reader : row->writer;
        if (other != NULL && mode_of(self, other) == KEVENT_REQ_LEVEL) {
            mode = KEVENT_REQ_LEVEL;
        }
        r = kevent_modify(self, fd, callback_events(row) | add, mode);
    }
    if (r < 0) {
        return -1;
    }
    if (row->owner == FD_FREE) {
        row->owner = FD_CALLBACKS;
        row->reader = NULL;
        row->writer = NULL;
    }
    PyObject **slot = writing ? &row->writer : &row->reader;
    PyObject *old = *slot;
    *slot = Py_NewRef(handle);
    *(writing ? &row->writer_pass : &row->reader_pass) = self->pass;
    if (old != NULL) {
        r = KevHandle_Cancel(self->state, old);
        Py_DECREF(old);
    }
    return r;
}

/* 1 if there was a callback, 0 if not, -1 with an exception. */
static int
drop_callback(LoopObject *self, int fd, int writing)
{
    struct loop_fd *row = row_of(self, fd);
    if (row == NULL || row->owner != FD_CALLBACKS) {
        return 0;
    }
    PyObject **slot = writing ? &row->writer : &row->reader;
    PyObject *old = *slot;
    if (old == NULL) {
        return 0;
    }
    *slot = NULL;
    uint32_t left = callback_events(row);
    if (left == 0) {
        row->owner = FD_FREE;
        kevent_remove(self, fd);
    }
    else if (kevent_modify(self, fd, left, KEVENT_REQ_LEVEL) < 0) {
        PyErr_Clear();  /* closed behind our back: nothing is reported */
    }
    int r = KevHandle_Cancel(self->state, old);
    Py_DECREF(old);
    return r < 0 ? -1 : 1;
}

int
KevLoop_SockWatch(LoopObject *self, int fd, PyObject *call, int writing)
{
    return set_callback(self, fd, call, writing);
}

static int
idle_push(LoopObject *self, int fd)
{
    if (self->idle_count == self->idle_room) {
        uint32_t room = self->idle_room > 0 ? self->idle_room * 2 : 16;
        struct loop_idle *idle = PyMem_Realloc(
            self->idle, (size_t)room * sizeof(*idle));
        if (idle == NULL) {
            return -1;
        }
        self->idle = idle;
        self->idle_room = room;
    }
    self->idle[self->idle_count++] = (struct loop_idle){
        .fd = fd,
        .generation = self->fds[fd].generation,
        .pass = self->pass,
    };
    return 0;
}

/*
 * The registration, edge-triggered, stays until a second poll finds it idle:
 * asyncio drops it one iteration after the call was done, and so do we, but
 * for a program that has called again by then, which costs no more than a
 * look at what is ready.
 */
void
KevLoop_SockUnwatch(LoopObject *self, int fd, PyObject *call, int writing)
{
    struct loop_fd *row = row_of(self, fd);
    if (row == NULL || row->owner != FD_CALLBACKS) {
        return;
    }
    PyObject **slot = writing ? &row->writer : &row->reader;
    PyObject *other = writing ? row->reader : row->writer;
    if (*slot != call) {
        return;
    }
    *slot = NULL;
    if (other != NULL && mode_of(self, other) == KEVENT_REQ_LEVEL) {
        if (kevent_modify(self, fd, callback_events(row), KEVENT_REQ_LEVEL)
            < 0) {
            PyErr_Clear();  /* closed behind our back: nothing is reported */
        }
    }
    else if (other == NULL && idle_push(self, fd) < 0) {
        row->owner = FD_FREE;
        kevent_remove(self, fd);
    }
    Py_DECREF(call);
}

void
KevLoop_SockSweep(LoopObject *self, int all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->idle_count; i++) {
        struct loop_idle idle = self->idle[i];
        struct loop_fd *row = row_of(self, idle.fd);
        if (row == NULL || row->owner != FD_CALLBACKS
            || row->generation != idle.generation || row->reader != NULL
            || row->writer != NULL) {
            continue;
        }
        if (!all && self->pass - idle.pass < 1) {
            self->idle[kept++] = idle;
            continue;
        }
        row->owner = FD_FREE;
        kevent_remove(self, idle.fd);
    }
    self->idle_count = kept;
}

/* The number of a descriptor or of an object with fileno(); -1 with the
   exception that selectors raises. */
static int
fd_of(PyObject *fileobj)
{
    PyObject *number;
    if (PyLong_Check(fileobj)) {
        number = Py_NewRef(fileobj);
    }
    else {
        PyObject *result = PyObject_CallMethod(fileobj, "fileno", NULL);
        number = result == NULL ? NULL : PyNumber_Long(result);
        Py_XDECREF(result);
        if (number == NULL) {
            if (PyErr_ExceptionMatches(PyExc_AttributeError)
                || PyErr_ExceptionMatches(PyExc_TypeError)
                || PyErr_ExceptionMatches(PyExc_ValueError)) {
                PyErr_Clear();
                PyErr_Format(PyExc_ValueError, "Invalid file object: %R",
                             fileobj);
            }
            return -1;
        }
    }
    int overflow;
    long fd = PyLong_AsLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (fd == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (fd < 0 || overflow != 0 || fd > INT_MAX - 1) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %R",
                     fileobj);
        return -1;
    }
    return (int)fd;
}

int
KevLoop_CheckNoTransport(LoopObject *self, int fd, PyObject *fileobj)
{
    struct loop_fd *row = row_of(self, fd);
    PyObject *transport = NULL;
    if (row != NULL && has_transport(row) && !row->transport->closing) {
        transport = Py_NewRef((PyObject *)row->transport);
    }
    else if (self->transports_data != NULL
             && (!PyDict_CheckExact(self->transports_data)
                 || PyDict_GET_SIZE(self->transports_data) > 0)) {
        /* asyncio's own transports are listed there. */
        PyObject *all = Py_NewRef(self->transports);
        transport = PyObject_CallMethod(all, "get", "i", fd);
        Py_DECREF(all);
        if (transport == NULL) {
            return -1;
        }
        if (transport != Py_None) {
            PyObject *closing = PyObject_CallMethod(transport, "is_closing",
                                                    NULL);
            int truth = closing == NULL ? -1 : PyObject_IsTrue(closing);
            Py_XDECREF(closing);
            if (truth != 0) {
                Py_DECREF(transport);
                return truth < 0 ? -1 : 0;
            }
        }
        else {
            Py_CLEAR(transport);
        }
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    if (transport == NULL) {
        return 0;
    }
    fileobj = fileobj != NULL ? Py_NewRef(fileobj) : PyLong_FromLong(fd);
    if (fileobj == NULL) {
        Py_DECREF(transport);
        return -1;
    }
    PyErr_Format(PyExc_RuntimeError,
                 "File descriptor %R is used by transport %R", fileobj,
                 transport);
    Py_DECREF(transport);
    Py_DECREF(fileobj);
    return -1;
}

static const char *const add_names[] = {"fd", "callback"};

/* The common body of the four adding methods: the handle, or NULL. */
static PyObject *
add_callback(LoopObject *self, const char *name, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, int writing, int check)
{
    struct call_args call;
    if (KevCall_Parse(self->state, name, add_names, 2, args, nargs, kwnames,
                      &call) < 0) {
        return NULL;
    }
    int fd = fd_of(call.named[0]);
    if (fd < 0
        || (check && KevLoop_CheckNoTransport(self, fd, call.named[0]) < 0)
        || KevLoop_CheckOpen(self) < 0) {
        return NULL;
    }
    PyObject *handle = KevHandle_New(self->state, self, call.named[1],
                                     call.rest, call.rest_count,
                                     call.context);
    if (handle != NULL && set_callback(self, fd, handle, writing) < 0) {
        Py_CLEAR(handle);
    }
    return handle;
}

static PyObject *
none_of(PyObject *handle)
{
    if (handle == NULL) {
        return NULL;
    }
    Py_DECREF(handle);
    Py_RETURN_NONE;
}

PyObject *
KevLoop_AddReader(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    return none_of(add_callback((LoopObject *)self, "add_reader", args,
                                nargs, kwnames, 0, 1));
}

PyObject *
KevLoop_AddWriter(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    return none_of(add_callback((LoopObject *)self, "add_writer", args,
                                nargs, kwnames, 1, 1));
}

PyObject *
KevLoop_AddReaderAny(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    return add_callback((LoopObject *)self, "_add_reader", args, nargs,
                        kwnames, 0, 0);
}

PyObject *
KevLoop_AddWriterAny(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    return add_callback((LoopObject *)self, "_add_writer", args, nargs,
                        kwnames, 1, 0);
}

static PyObject *
remove_callback(LoopObject *self, PyObject *fileobj, int writing, int check)
{
    int fd = fd_of(fileobj);
    if (fd < 0
        || (check && KevLoop_CheckNoTransport(self, fd, fileobj) < 0)) {
        return NULL;
    }
    if (self->closed) {
        Py_RETURN_FALSE;
    }
    int r = drop_callback(self, fd, writing);
    return r < 0 ? NULL : PyBool_FromLong(r);
}

PyObject *
KevLoop_RemoveReader(PyObject *self, PyObject *fileobj)
{
    return remove_callback((LoopObject *)self, fileobj, 0, 1);
}

PyObject *
KevLoop_RemoveWriter(PyObject *self, PyObject *fileobj)
{
    return remove_callback((LoopObject *)self, fileobj, 1, 1);
}

PyObject *
KevLoop_RemoveReaderAny(PyObject *self, PyObject *fileobj)
{
    return remove_callback((LoopObject *)self, fileobj, 0, 0);
}

PyObject *
KevLoop_RemoveWriterAny(PyObject *self, PyObject *fileobj)
{
    return remove_callback((LoopObject *)self, fileobj, 1, 0);
}

PyObject *
KevLoop_EnsureNoTransport(PyObject *op, PyObject *fileobj)
{
    int fd = fd_of(fileobj);
    if (fd < 0
        || KevLoop_CheckNoTransport((LoopObject *)op, fd, fileobj) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- transports ----------------------------------------------------- */

/* The row of fd, with no owner; NULL with an exception. */
static struct loop_fd *
free_row(LoopObject *self, int fd)
{
    struct loop_fd *row = KevLoop_FdRow(self, fd);
    if (row == NULL || row->owner == FD_FREE) {
        return row;
    }
    /* What watched this number watched a file that is gone. */
    struct loop_fd old = *row;
    row->owner = FD_FREE;
    kevent_remove(self, fd);
    if (has_transport(&old)) {
        old.transport->attached = 0;  /* it must not touch our kevent */
        KevLoop_TransportAnchor(old.transport, 0);
    }
    else {
        Py_XDECREF(old.reader);
        Py_XDECREF(old.writer);
    }
    return KevLoop_FdRow(self, fd);  /* a destructor may have moved it */
}

int
KevLoop_StreamAttach(LoopObject *self, int fd, struct StreamObject *stream)
{
    struct loop_fd *row = free_row(self, fd);
    if (row == NULL
        || kevent_add(self, fd, STREAM_EVENTS, KEVENT_REQ_ET) < 0) {
        return -1;
    }
    row->owner = FD_STREAM;
    row->transport = (TransportObject *)stream;
    KevLoop_TransportAnchor(row->transport, 1);
    return 0;
}

int
KevLoop_DatagramClaim(LoopObject *self, int fd, TransportObject *datagram)
{
    struct loop_fd *row = free_row(self, fd);
    if (row == NULL) {
        return -1;
    }
    row->owner = FD_DATAGRAM;
    row->transport = datagram;
    return 0;
}

int
KevLoop_DatagramWatch(LoopObject *self, int fd)
{
    return kevent_add(self, fd, DATAGRAM_EVENTS, KEVENT_REQ_ET);
}

void
KevLoop_TransportDetach(LoopObject *self, int fd, TransportObject *transport)
{
    struct loop_fd *row = row_of(self, fd);
    if (row != NULL && has_transport(row) && row->transport == transport) {
        row->owner = FD_FREE;
        row->transport = NULL;
        kevent_remove(self, fd);
        KevLoop_TransportAnchor(transport, 0);
    }
}

void
KevLoop_TransportAnchor(TransportObject *transport, int anchored)
{
    if (transport->anchored != anchored) {
        transport->anchored = (char)anchored;
        if (anchored) {
            Py_INCREF((PyObject *)transport);
        }
        else {
            Py_DECREF((PyObject *)transport);
        }
    }
}

static int
want_write(LoopObject *self, int fd, uint32_t events, int want)
{
    int r = kevent_of(self, KEVENT_CTL_MODIFY, fd,
                      events | (want ? WRITABLE : 0), KEVENT_REQ_ET);
    if (r < 0) {
        KevErr_Set(-r, "watching descriptor %d", fd);
        return -1;
    }
    return 0;
}

int
KevLoop_StreamWantWrite(LoopObject *self, int fd, int want)
{
    return want_write(self, fd, STREAM_EVENTS, want);
}

int
KevLoop_DatagramWantWrite(LoopObject *self, int fd, int want)
{
    return want_write(self, fd, DATAGRAM_EVENTS, want);
}

/* ---- dispatch ------------------------------------------------------- */

static int
run_callback(LoopObject *self, int fd, PyObject *handle, int writing)
{
    ModState *state = self->state;
    if (KevSock_IsCall(state, handle)) {
        KEV_POKE(self->callbacks_run, self->callbacks_run + 1);
        return KevSock_Ready(self, fd, handle, writing);
    }
    if (Py_IS_TYPE(handle, (PyTypeObject *)state->handle_type)
        && KEV_PEEK(((HandleObject *)handle)->cancelled) == Py_True) {
        int r;
        KEV_GUARD(self->ready);
        r = drop_callback(self, fd, writing);
        KEV_UNGUARD();
        return r < 0 ? -1 : 0;
    }
    KEV_POKE(self->callbacks_run, self->callbacks_run + 1);
    return KevHandle_Run(state, self, handle);
}

/* Whom an event is for: strong references, NULL if it is for nobody. */
struct addressees {
    TransportObject *transport;
    PyObject *reader;
    PyObject *writer;
};

/* Finds them; *events is completed.  Guard held. */
static void
find_addressees(LoopObject *self, const struct ukevent *event, int fd,
                uint32_t *events, struct addressees *ret)
{
    struct loop_fd *row = row_of(self, fd);
    if (row == NULL || row->generation != event->user[1]) {
        return;
    }
    if ((event->ret_flags & KEVENT_RET_BROKEN) != 0) {
        *events |= KEVENT_POLL_POLLERR;
    }
    self->events_seen++;
    if (row->owner == FD_STREAM || row->owner == FD_DATAGRAM) {
        ret->transport =
            (TransportObject *)Py_NewRef((PyObject *)row->transport);
    }
    else if (row->owner == FD_CALLBACKS) {
        /* HUP and ERR are told to both sides, as selectors does; a callback
           that was set after the harvest hears of the next one. */
        if ((*events & ~WRITABLE) != 0 && row->reader_pass != self->pass) {
            ret->reader = Py_XNewRef(row->reader);
        }
        if ((*events & ~READABLE) != 0 && row->writer_pass != self->pass) {
            ret->writer = Py_XNewRef(row->writer);
        }
    }
}

/* Steals both, each of which may be NULL. */
static int
dispatch_callbacks(LoopObject *self, int fd, PyObject *reader,
                   PyObject *writer)
{
    int r = 0;
    if (reader != NULL) {
        r = run_callback(self, fd, reader, 0);
        Py_DECREF(reader);
    }
    if (writer != NULL) {
        if (r == 0) {
            r = run_callback(self, fd, writer, 1);
        }
        Py_DECREF(writer);
    }
    return r;
}

int
KevLoop_Dispatch(LoopObject *self, const struct ukevent *event)
{
    int fd = (int)event->user[0];
    uint32_t events = event->ret_data[0];
    struct addressees to = {NULL, NULL, NULL};
    if (event->type != KEVENT_POLL) {
        return 0;  /* a knock: it has done its work by waking us */
    }
    KEV_GUARD(self->ready);
    find_addressees(self, event, fd, &events, &to);
    KEV_UNGUARD();
    if (to.transport == NULL) {
        return dispatch_callbacks(self, fd, to.reader, to.writer);
    }
    int r = to.transport->kind == TRANSPORT_DATAGRAM
        ? KevDatagram_OnEvents((DatagramObject *)to.transport, events)
        : KevStream_OnEvents((StreamObject *)to.transport, events);
    Py_DECREF(to.transport);
    return r;
}

/* ---- the whole table ------------------------------------------------ */

void
KevLoop_FdsClear(LoopObject *self)
{
    for (int fd = 0; fd < self->fds_count; fd++) {
        struct loop_fd *row = &self->fds[fd];
        uint32_t owner = row->owner;
        row->owner = FD_FREE;
        row->generation++;
        if (owner == FD_CALLBACKS) {
            PyObject *reader = row->reader;
            PyObject *writer = row->writer;
            row->reader = NULL;
            row->writer = NULL;
            Py_XDECREF(reader);
            Py_XDECREF(writer);
        }
        else if (owner != FD_FREE) {
            TransportObject *transport = row->transport;
            row->transport = NULL;
            KevLoop_TransportAnchor(transport, 0);
        }
    }
}

PyObject *
KevLoop_Watched(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return NULL;
    }
    for (int fd = 0; fd < self->fds_count; fd++) {
        struct loop_fd *row = &self->fds[fd];
        PyObject *value;
        if (row->owner == FD_CALLBACKS
            && (row->reader != NULL || row->writer != NULL)) {
            int events = (row->reader != NULL ? 1 : 0)
                | (row->writer != NULL ? 2 : 0);
            /* N: held before memory is asked for, which may run anything. */
            value = Py_BuildValue(
                "iNN", events,
                Py_NewRef(row->reader != NULL ? row->reader : Py_None),
                Py_NewRef(row->writer != NULL ? row->writer : Py_None));
        }
        else if (has_transport(row)) {
            value = Py_BuildValue("iOO",
                                  KevTransport_Polling(row->transport),
                                  Py_None, Py_None);
        }
        else {
            continue;
        }
        PyObject *key = PyLong_FromLong(fd);
        int r = value == NULL || key == NULL
            ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (r < 0) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}
