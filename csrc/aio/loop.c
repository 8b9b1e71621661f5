/*
 * loop.c - the Loop type: what a program calls to queue work.
 *
 * kevent.EventLoop derives from this type and from asyncio's own loop: what
 * runs per callback is here, what runs once is inherited.  State that both
 * halves use (_stopping, _debug, _ready, ...) lives here and is handed to the
 * Python half by descriptors under asyncio's names.
 */
#include "aio/loop.h"

#include <math.h>
#include <time.h>

#include "aio/callargs.h"
#include "aio/compat.h"
#include "aio/datagram.h"
#include "aio/guard.h"
#include "aio/sock.h"
#include "aio/stream.h"
#include "aio/streams.h"
#include "mod/errors.h"

#define NS_PER_S 1000000000

/* ---- time ----------------------------------------------------------- */

int64_t
KevLoop_Now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);  /* cannot fail on Linux */
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The first nanosecond at which `now >= seconds` holds as floats. */
static int64_t
deadline_of(double seconds)
{
    if (!(seconds > 0)) {
        return 0;  /* in the past, or not a number: due at once */
    }
    double ns = ceil(seconds * 1e9);
    if (ns >= 9.2e18) {
        return INT64_MAX;
    }
    int64_t deadline = (int64_t)ns;
    if ((double)deadline / 1e9 < seconds) {
        deadline++;
    }
    return deadline;
}

int
KevLoop_TimeNs(LoopObject *self, int64_t *ret_ns)
{
    if (!self->time_patched) {
        *ret_ns = KevLoop_Now();
        return 0;
    }
    PyObject *now = PyObject_CallMethodNoArgs((PyObject *)self,
                                              self->state->str_time);
    if (now == NULL) {
        return -1;
    }
    double seconds = PyFloat_AsDouble(now);
    Py_DECREF(now);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    *ret_ns = deadline_of(seconds);
    return 0;
}

static PyObject *
loop_time(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble((double)KevLoop_Now() / 1e9);
}

/* ---- queueing ------------------------------------------------------- */

int
KevLoop_CheckOpen(LoopObject *self)
{
    if (KEV_PEEK(self->closed)) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return 0;
}

int
KevLoop_DebugCheck(LoopObject *self, PyObject *callback, const char *method)
{
    ModState *state = self->state;
    PyObject *res = PyObject_CallMethodNoArgs((PyObject *)self,
                                              state->str_check_thread);
    if (res == NULL) {
        return -1;
    }
    Py_DECREF(res);
    PyObject *name = PyUnicode_FromString(method);
    if (name == NULL) {
        return -1;
    }
    res = PyObject_CallMethodObjArgs(
        (PyObject *)self, state->str_check_callback, callback, name, NULL);
    Py_DECREF(name);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

PyObject *
KevLoop_CallSoon(LoopObject *self, PyObject *callback, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *context)
{
    PyObject *handle = KevHandle_New(self->state, self, callback, args,
                                     nargs, context);
    if (handle == NULL) {
        return NULL;
    }
    int r;
    KEV_GUARD(self->ready);
    r = KevReady_Push(self->ready, handle);
    KEV_UNGUARD();
    if (r < 0) {
        Py_CLEAR(handle);
    }
    return handle;
}

static const char *const soon_names[] = {"callback"};
static const char *const later_names[] = {"delay", "callback"};
static const char *const at_names[] = {"when", "callback"};

static PyObject *
loop_call_soon(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct call_args call;
    if (KevCall_Parse(self->state, "call_soon", soon_names, 1, args, nargs,
                      kwnames, &call) < 0
        || KevLoop_CheckOpen(self) < 0
        || (self->debug
            && KevLoop_DebugCheck(self, call.named[0], "call_soon") < 0)) {
        return NULL;
    }
    return KevLoop_CallSoon(self, call.named[0], call.rest, call.rest_count,
                            call.context);
}

static PyObject *
schedule(LoopObject *self, PyObject *when, const struct call_args *call)
{
    double seconds = PyFloat_AsDouble(when);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *timer = KevTimer_New(self->state, self, when,
                                   deadline_of(seconds), call->named[1],
                                   call->rest, call->rest_count,
                                   call->context);
    if (timer == NULL) {
        return NULL;
    }
    int r;
    KEV_GUARD(self->ready);
    r = KevTimers_Push(&self->timers, (TimerObject *)timer);
    KEV_UNGUARD();
    if (r < 0) {
        Py_CLEAR(timer);
    }
    return timer;
}

/* self.time() + delay, exactly as asyncio computes it.  New reference. */
static PyObject *
time_after(LoopObject *self, PyObject *delay)
{
    PyObject *now = self->time_patched
        ? PyObject_CallMethodNoArgs((PyObject *)self, self->state->str_time)
        : loop_time((PyObject *)self, NULL);
    if (now == NULL) {
        return NULL;
    }
    PyObject *when = PyNumber_Add(now, delay);
    Py_DECREF(now);
    return when;
}

/* self.call_at(when, callback, *args, context=context) of somebody else.  New
   reference. */
static PyObject *
call_at_of_program(LoopObject *self, PyObject *when,
                   const struct call_args *call)
{
    PyObject *method = PyObject_GetAttr((PyObject *)self,
                                        self->state->str_call_at);
    PyObject *args = PyTuple_New(2 + call->rest_count);
    PyObject *kwargs = PyDict_New();
    PyObject *timer = NULL;
    if (method == NULL || args == NULL || kwargs == NULL) {
        goto done;
    }
    PyTuple_SET_ITEM(args, 0, Py_NewRef(when));
    PyTuple_SET_ITEM(args, 1, Py_NewRef(call->named[1]));
    for (Py_ssize_t i = 0; i < call->rest_count; i++) {
        PyTuple_SET_ITEM(args, 2 + i, Py_NewRef(call->rest[i]));
    }
    PyObject *context = call->context != NULL ? call->context : Py_None;
    if (PyDict_SetItem(kwargs, self->state->str_context, context) == 0) {
        timer = PyObject_Call(method, args, kwargs);
    }
done:
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return timer;
}

static PyObject *
loop_call_later(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct call_args call;
    if (KevCall_Parse(self->state, "call_later", later_names, 2, args, nargs,
                      kwnames, &call) < 0) {
        return NULL;
    }
    if (call.named[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return NULL;
    }
    PyObject *when = time_after(self, call.named[0]);
    if (when == NULL) {
        return NULL;
    }
    PyObject *timer = NULL;
    if (self->call_at_patched) {
        timer = call_at_of_program(self, when, &call);
    }
    else if (KevLoop_CheckOpen(self) == 0
             && (!self->debug
                 || KevLoop_DebugCheck(self, call.named[1], "call_at")
                     == 0)) {
        timer = schedule(self, when, &call);
    }
    Py_DECREF(when);
    return timer;
}

static PyObject *
loop_call_at(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct call_args call;
    if (KevCall_Parse(self->state, "call_at", at_names, 2, args, nargs,
                      kwnames, &call) < 0) {
        return NULL;
    }
    if (call.named[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "when cannot be None");
        return NULL;
    }
    if (KevLoop_CheckOpen(self) < 0
        || (self->debug
            && KevLoop_DebugCheck(self, call.named[1], "call_at") < 0)) {
        return NULL;
    }
    return schedule(self, call.named[0], &call);
}

void
KevLoop_TimerCancelled(LoopObject *self, TimerObject *timer)
{
    KEV_GUARD(self->ready);
    Py_ssize_t place = timer->place;
    if (place >= 0 && place < self->timers.count
        && self->timers.nodes[place].timer == timer) {
        Py_DECREF(KevTimers_Remove(&self->timers, timer));
    }
    KEV_UNGUARD();
}

void
KevLoop_Wake(LoopObject *self)
{
    if (self->asleep && self->queue != NULL) {
        self->asleep = 0;
        (void)kev_queue_knock(self->queue);
    }
}

static PyObject *
loop_call_soon_threadsafe(PyObject *op, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    ModState *state = self->state;
    struct call_args call;
    if (KevCall_Parse(state, "call_soon_threadsafe", soon_names, 1, args,
                      nargs, kwnames, &call) < 0
        || KevLoop_CheckOpen(self) < 0) {
        return NULL;
    }
    if (self->debug) {
        PyObject *res = PyObject_CallMethod(
            op, "_check_callback", "Os", call.named[0],
            "call_soon_threadsafe");
        if (res == NULL) {
            return NULL;
        }
        Py_DECREF(res);
    }
    PyObject *handle = state->thread_safe_handle != Py_None
        ? KevSafeHandle_New(state, self, call.named[0], call.rest,
                            call.rest_count, call.context)
        : KevHandle_New(state, self, call.named[0], call.rest,
                        call.rest_count, call.context);
    if (handle == NULL) {
        return NULL;
    }
    /* The interpreter lock is held, or the guard: the queue is whole, and the
       loop's thread is not in the middle of it.  There is no inbox beside it,
       so what several threads queue, and the loop itself, runs in the order
       in which it came. */
    int r;
    KEV_GUARD(self->ready);
    r = KevReady_Push(self->ready, handle);
    if (r == 0) {
        KevLoop_Wake(self);
    }
    KEV_UNGUARD();
    if (r < 0) {
        Py_CLEAR(handle);
    }
    return handle;
}

static PyObject *
loop_write_to_self(PyObject *op, PyObject *arg)
{
    KevLoop_Wake((LoopObject *)op);
    Py_RETURN_NONE;
}

static PyObject *
loop_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    KEV_POKE(((LoopObject *)op)->stopping, 1);
    Py_RETURN_NONE;
}

static PyObject *
loop_run_once(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (KevLoop_RunOnce((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
loop_poll(PyObject *op, PyObject *limit_ns)
{
    uint64_t limit = KEVENT_WAIT_FOREVER;
    if (limit_ns != Py_None) {
        limit = PyLong_AsUnsignedLongLong(limit_ns);
        if (limit == (uint64_t)-1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    int r = KevLoop_Poll((LoopObject *)op, limit);
    return r < 0 ? NULL : PyBool_FromLong(r);
}

static PyObject *
loop_hand_out(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (KevLoop_HandOut((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
loop_run(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (KevLoop_Run((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
loop_is_running(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(KEV_PEEK(((LoopObject *)op)->thread_id) != 0);
}

static PyObject *
loop_is_closed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(KEV_PEEK(((LoopObject *)op)->closed));
}

static PyObject *
loop_get_debug(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((LoopObject *)op)->debug);
}

static PyObject *
loop_check_closed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (KevLoop_CheckOpen((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

const struct own_method KevLoop_Own[LOOP_METHODS] = {
    [LOOP_CALL_SOON] = OWN_METHOD(str_call_soon, loop_call_soon),
    [LOOP_CREATE_FUTURE] = OWN_METHOD(str_create_future,
                                      KevLoop_CreateFuture),
    [LOOP_GET_DEBUG] = OWN_METHOD(str_get_debug, loop_get_debug),
};

/* Whether the loop's dict has one of these methods, which may be asked of a
   key of the program's. */
static int
dict_has_own(LoopObject *self)
{
    ModState *state = self->state;
    PyObject *names[LOOP_METHODS] = {
        state->str_call_soon, state->str_create_future, state->str_get_debug,
    };
    PyObject *dict = PyObject_GenericGetDict((PyObject *)self, NULL);
    int has = dict == NULL ? -1 : 0;
    for (int i = 0; i < LOOP_METHODS && has == 0; i++) {
        has = PyDict_Contains(dict, names[i]);
    }
    if (has < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(dict);
    return has != 0;
}

int
KevLoop_OwnsFutures(LoopObject *self)
{
    const unsigned all = (1u << LOOP_METHODS) - 1;
    (void)KevOwn_Has(&self->own, self->state, Py_TYPE((PyObject *)self),
                     KevLoop_Own, LOOP_METHODS, LOOP_CALL_SOON);
    return self->own.is_own == all && !self->debug
        && (!self->dict_given || !dict_has_own(self));
}

/* ---- life ----------------------------------------------------------- */

static void
release_kernel(LoopObject *self)
{
    struct kev_queue *queue = self->queue;
    self->queue = NULL;
    if (queue != NULL) {
        kevent_close(queue);
    }
    PyMem_Free(self->ring);
    self->ring = NULL;
    self->ring_seen = 0;
    self->ring_pending = 0;
    self->ring_read = 0;
    PyMem_RawFree(self->receive_buffer);
    self->receive_buffer = NULL;
    KevDatagram_ArenaFree(self);
    KevSpare_Clear(&self->spares);
}

static PyObject *
loop_release(PyObject *op, PyObject *arg)
{
    LoopObject *self = (LoopObject *)op;
    if (KEV_PEEK(self->thread_id) != 0 || self->pass_depth > 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Cannot close a running event loop");
        return NULL;
    }
    KEV_POKE(self->closed, 1);
    KevTimers_Clear(&self->timers);
    KevReady_Clear(self->ready);
    KevReady_Clear(self->due);
    KevReady_Clear(self->again);
    KevReady_Clear(self->held);
    KevLoop_FdsClear(self);
    release_kernel(self);
    Py_CLEAR(self->done);
    Py_CLEAR(self->get_loop);
    KevOp_DropSpares(self);
    Py_RETURN_NONE;
}

static int
open_queue(LoopObject *self)
{
    int r = kevent_open(&self->queue, KEVENT_OPEN_OWNED);
    if (r < 0) {
        KevErr_Set(-r, "kevent_open");
        return -1;
    }
    self->ring = PyMem_Malloc(KEVENT_RING_SIZE(LOOP_RING_NUM));
    if (self->ring == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    r = kevent_ring_init(self->queue, self->ring, LOOP_RING_NUM);
    if (r < 0) {
        KevErr_Set(-r, "kevent_ring_init");
        return -1;
    }
    struct ukevent knock = {
        .id.raw_u64 = KEV_KNOCK_ID,
        .type = KEVENT_UNOTIFY,
        .event = 1,
        .req_flags = KEVENT_REQ_ET,
    };
    r = kevent_ctl(self->queue, KEVENT_CTL_ADD, 1, &knock);
    if (r != 0) {
        KevErr_Set(-(r < 0 ? r : (int)knock.ret_data[1]), "kevent_ctl");
        return -1;
    }
    return 0;
}

static PyObject *
loop_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
         PyObject *Py_UNUSED(kwds))
{
    ModState *state = KevState_OfType(type);
    if (state == NULL) {
        return NULL;
    }
    /* First what it cannot be without: the collector shows every object to
       whoever asks, also one that is not finished. */
    ReadyObject *ready = KevReady_New(state, NULL);
    ReadyObject *due = KevReady_New(state, ready);
    ReadyObject *again = KevReady_New(state, ready);
    ReadyObject *held = KevReady_New(state, ready);
    LoopObject *self = NULL;
    if (ready != NULL && due != NULL && again != NULL && held != NULL) {
        self = (LoopObject *)type->tp_alloc(type, 0);  /* zeroed */
    }
    if (self == NULL) {
        Py_XDECREF((PyObject *)ready);
        Py_XDECREF((PyObject *)due);
        Py_XDECREF((PyObject *)again);
        Py_XDECREF((PyObject *)held);
        return NULL;
    }
    self->state = state;
    self->module = Py_NewRef(PyType_GetModuleByDef(type, &KevModule_Def));
    self->ready = ready;
    self->due = due;
    self->again = again;
    self->held = held;
    self->closed = 1;  /* until it is whole */
    if (open_queue(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->closed = 0;
    return (PyObject *)self;
}

static int
loop_traverse(PyObject *op, visitproc visit, void *arg)
{
    LoopObject *self = (LoopObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->module);
    Py_VISIT(self->ready);
    Py_VISIT(self->due);
    Py_VISIT(self->again);
    Py_VISIT(self->held);
    Py_VISIT(self->task_factory);
    Py_VISIT(self->transports);
    Py_VISIT(self->transports_data);
    Py_VISIT(self->stop);
    Py_VISIT(self->done);
    Py_VISIT(self->get_loop);
    for (unsigned i = 0; i < self->ops_count; i++) {
        Py_VISIT((PyObject *)self->ops[i]);
    }
    int r = KevDatagram_ArenaTraverse(self, visit, arg);
    if (r != 0) {
        return r;
    }
    for (Py_ssize_t i = 0; i < self->timers.count; i++) {
        Py_VISIT(self->timers.nodes[i].timer);
    }
    for (int fd = 0; fd < self->fds_count; fd++) {
        struct loop_fd *row = &self->fds[fd];
        if (row->owner == FD_CALLBACKS) {
            Py_VISIT(row->reader);
            Py_VISIT(row->writer);
        }
        else if (row->owner != FD_FREE && row->transport->anchored) {
            Py_VISIT((PyObject *)row->transport);
        }
    }
    return 0;
}

static int
loop_clear(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;
    KevTimers_Clear(&self->timers);
    if (self->ready != NULL) {
        KevReady_Clear(self->ready);
    }
    if (self->due != NULL) {
        KevReady_Clear(self->due);
    }
    if (self->again != NULL) {
        KevReady_Clear(self->again);
    }
    if (self->held != NULL) {
        KevReady_Clear(self->held);
    }
    KevLoop_FdsClear(self);
    Py_CLEAR(self->task_factory);
    Py_CLEAR(self->transports);
    Py_CLEAR(self->transports_data);
    Py_CLEAR(self->stop);
    Py_CLEAR(self->done);
    Py_CLEAR(self->get_loop);
    KevOp_DropSpares(self);
    return 0;
}

static void
loop_dealloc(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)loop_clear(op);
    release_kernel(self);
    PyMem_Free(self->fds);
    PyMem_Free(self->idle);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->due);
    Py_CLEAR(self->again);
    Py_CLEAR(self->held);
    PyObject *module = self->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_XDECREF(module);  /* not before: destructors may look at the state */
}

static PyObject *
loop_fileno(PyObject *op, PyObject *arg)
{
    LoopObject *self = (LoopObject *)op;
    if (KevLoop_CheckOpen(self) < 0) {
        return NULL;
    }
    return PyLong_FromLong(kevent_fileno(self->queue));
}

static PyObject *
loop_statistics(PyObject *op, PyObject *arg)
{
    LoopObject *self = (LoopObject *)op;
    return Py_BuildValue(
        "{s:K,s:K,s:I,s:n,s:I}", "callbacks",
        (unsigned long long)KEV_PEEK(self->callbacks_run), "events",
        (unsigned long long)self->events_seen, "iterations",
        (unsigned int)self->pass, "timers", self->timers.count, "ready",
        (unsigned int)KevReady_Len(self->ready));
}

/* ---- the type ------------------------------------------------------- */

KEV_GUARD_METHOD(loop_statistics, KevLoop_Monitor)
KEV_GUARD_METHOD(loop_fileno, KevLoop_Monitor)
KEV_GUARD_METHOD(loop_write_to_self, KevLoop_Monitor)
KEV_GUARD_METHOD(loop_release, KevLoop_Monitor)
KEV_GUARD_FAST(KevLoop_AddReader, KevLoop_Monitor)
KEV_GUARD_FAST(KevLoop_AddWriter, KevLoop_Monitor)
KEV_GUARD_FAST(KevLoop_AddReaderAny, KevLoop_Monitor)
KEV_GUARD_FAST(KevLoop_AddWriterAny, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_RemoveReader, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_RemoveWriter, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_RemoveReaderAny, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_RemoveWriterAny, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_EnsureNoTransport, KevLoop_Monitor)
KEV_GUARD_METHOD(KevLoop_Watched, KevLoop_Monitor)

KEV_ONE_ARGUMENT(remove_reader, KEV_GUARDED(KevLoop_RemoveReader),
                 "EventLoop.remove_reader", "fd")
KEV_ONE_ARGUMENT(remove_writer, KEV_GUARDED(KevLoop_RemoveWriter),
                 "EventLoop.remove_writer", "fd")

#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define GUARDED_FAST(name) ((PyCFunction)(void (*)(void))KEV_GUARDED(name))

static PyMethodDef loop_methods[] = {
    {"call_soon", (PyCFunction)(void (*)(void))loop_call_soon, FAST,
     "call_soon($self, callback, *args, context=None)\n--\n\n"
     "Run callback(*args) in the next iteration; returns its Handle."},
    {"call_later", (PyCFunction)(void (*)(void))loop_call_later, FAST,
     "call_later($self, delay, callback, *args, context=None)\n--\n\n"
     "Run callback(*args) in delay seconds; returns its TimerHandle."},
    {"call_at", (PyCFunction)(void (*)(void))loop_call_at, FAST,
     "call_at($self, when, callback, *args, context=None)\n--\n\n"
     "Run callback(*args) when time() has reached `when` (seconds)."},
    {"call_soon_threadsafe",
     (PyCFunction)(void (*)(void))loop_call_soon_threadsafe, FAST,
     "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
     "call_soon() for other threads and signal handlers: wakes the loop."},
    {"create_task", (PyCFunction)(void (*)(void))KevLoop_CreateTask, FAST,
     "create_task($self, coro, **kwargs)\n--\n\n"
     "Run a coroutine as a Task: Task(coro, loop=self, **kwargs)."},
    {"create_future", KevLoop_CreateFuture, METH_NOARGS,
     "create_future($self)\n--\n\nA Future of this loop."},
    {"time", loop_time, METH_NOARGS,
     "time($self)\n--\n\nThe loop's clock: time.monotonic(), in seconds."},
    {"stop", loop_stop, METH_NOARGS,
     "stop($self)\n--\n\nEnd run_forever() after this iteration."},
    {"is_running", loop_is_running, METH_NOARGS, NULL},
    {"is_closed", loop_is_closed, METH_NOARGS, NULL},
    {"get_debug", loop_get_debug, METH_NOARGS, NULL},
    {"statistics", KEV_GUARDED(loop_statistics), METH_NOARGS,
     "statistics($self)\n--\n\n"
     "Counts since the start: callbacks, events, iterations; timers and\n"
     "ready handles now."},
    {"fileno", KEV_GUARDED(loop_fileno), METH_NOARGS,
     "fileno($self)\n--\n\nThe descriptor of the loop's kevent queue."},
    {"_run_once", loop_run_once, METH_NOARGS, NULL},
    {"_run", loop_run, METH_NOARGS, NULL},
    {"_poll", loop_poll, METH_O, NULL},
    {"_hand_out", loop_hand_out, METH_NOARGS, NULL},
    {"_look_for_patches", KevLoop_LookForPatches, METH_NOARGS, NULL},
    {"_write_to_self", KEV_GUARDED(loop_write_to_self), METH_NOARGS, NULL},
    {"_check_closed", loop_check_closed, METH_NOARGS, NULL},
    {"_release", KEV_GUARDED(loop_release), METH_NOARGS, NULL},
    {"add_reader", GUARDED_FAST(KevLoop_AddReader), FAST,
     "add_reader($self, fd, callback, *args)\n--\n\n"
     "Call callback(*args) whenever fd can be read from."},
    {"add_writer", GUARDED_FAST(KevLoop_AddWriter), FAST,
     "add_writer($self, fd, callback, *args)\n--\n\n"
     "Call callback(*args) whenever fd can be written to."},
    {"remove_reader", KEYWORD_METHOD(remove_reader), KEYWORD_FLAGS,
     "remove_reader($self, fd)\n--\n\n"
     "Stop watching fd for reading; True if it was watched."},
    {"remove_writer", KEYWORD_METHOD(remove_writer), KEYWORD_FLAGS,
     "remove_writer($self, fd)\n--\n\n"
     "Stop watching fd for writing; True if it was watched."},
    {"_add_reader", GUARDED_FAST(KevLoop_AddReaderAny), FAST,
     NULL},
    {"_add_writer", GUARDED_FAST(KevLoop_AddWriterAny), FAST,
     NULL},
    {"_remove_reader", KEV_GUARDED(KevLoop_RemoveReaderAny), METH_O, NULL},
    {"_remove_writer", KEV_GUARDED(KevLoop_RemoveWriterAny), METH_O, NULL},
    {"_ensure_fd_no_transport", KEV_GUARDED(KevLoop_EnsureNoTransport),
     METH_O, NULL},
    {"_watched", KEV_GUARDED(KevLoop_Watched), METH_NOARGS, NULL},
    {"_try_recv", (PyCFunction)(void (*)(void))KevSock_Recv, METH_FASTCALL,
     NULL},
    {"_try_recv_into", (PyCFunction)(void (*)(void))KevSock_RecvInto,
     METH_FASTCALL, NULL},
    {"_try_sendall", (PyCFunction)(void (*)(void))KevSock_SendAll,
     METH_FASTCALL, NULL},
    {"_forget_call", (PyCFunction)(void (*)(void))KevSock_Forget,
     METH_FASTCALL, NULL},
    {"_accept_streams", (PyCFunction)(void (*)(void))KevLoop_AcceptStreams,
     METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, "The part of an event loop that runs per callback."},
    {Py_tp_new, loop_new},
    {Py_tp_methods, loop_methods},
    {Py_tp_getset, KevLoop_GetSet},
    {Py_tp_setattro, KevLoop_SetAttr},
    {Py_tp_traverse, loop_traverse},
    {Py_tp_clear, loop_clear},
    {Py_tp_dealloc, loop_dealloc},
    {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "kevent._core.Loop",
    .basicsize = sizeof(LoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = loop_slots,
};

int
KevLoop_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &loop_spec, NULL, &state->loop_type,
                             1);
}
