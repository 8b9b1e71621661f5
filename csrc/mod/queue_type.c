/*
 * queue_type.c - Queue: the object form of the kevent calls.
 *
 * Where the calls report a failed element in the element, these raise; where
 * the calls drop what is ready at ADD, add() queues it (ALWAYS_QUEUE), unless
 * told otherwise.
 */
#include "mod/queue_type.h"

#include <errno.h>

#include "mod/args.h"
#include "mod/calls.h"
#include "mod/compat.h"
#include "mod/descriptor.h"
#include "mod/errors.h"
#include "mod/records.h"
#include "mod/ukevent.h"

typedef struct {
    PyObject_HEAD
    ModState *state;            /* borrowed from the module */
    PyObject *module;           /* strong: a cycle's breaking takes it from
                                   the type */
    struct face_queue *queue;   /* owned; NULL once closed */
    int fd;                     /* for repr, -1 once closed */
} QueueObject;

/* ---- life ------------------------------------------------------------- */

static int
queue_attach_ring(QueueObject *self, PyObject *ring, PyObject *ring_size)
{
    PyObject *made = NULL;
    if (ring_size != NULL && ring_size != Py_None) {
        if (ring != NULL && ring != Py_None) {
            PyErr_SetString(PyExc_TypeError,
                            "Queue(): ring or ring_size, not both");
            return -1;
        }
        made = PyObject_CallOneArg(self->state->ring_type, ring_size);
        if (made == NULL) {
            return -1;
        }
        ring = made;
    }
    if (ring == NULL || ring == Py_None) {
        return 0;
    }
    PyObject *done = KevCall_RingInit(self->state, self->queue, &ring);
    Py_XDECREF(made);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static void
queue_let_go(QueueObject *self)
{
    KEV_POKE(self->fd, -1);
    KevFd_Disown(self->state, &self->queue);
}

static PyObject *
queue_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const struct arg_spec spec = {
        .call = "Queue", .names = {"ring", "ring_size"}, .count = 2,
    };
    PyObject *slots[2];
    ModState *state = KevState_OfType(type);
    if (state == NULL || KevArgs_SpreadTuple(&spec, args, kwargs, slots) < 0) {
        return NULL;
    }
    QueueObject *self = (QueueObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->module = Py_NewRef(PyType_GetModuleByDef(type, &KevModule_Def));
    self->fd = -1;
    self->queue = KevFd_Open(state, "Queue");
    if (self->queue == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    if (queue_attach_ring(self, slots[0], slots[1]) < 0) {
        queue_let_go(self);   /* no warning: nobody has seen it open */
        Py_DECREF(self);
        return NULL;
    }
    self->fd = self->queue->fd;
    return (PyObject *)self;
}

static int
queue_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    QueueObject *self = (QueueObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    if (self->queue != NULL) {
        Py_VISIT(self->queue->ring);
    }
    return 0;
}

/* Finalizing closes, which lets go of the ring: that breaks every cycle. */
static void
queue_tp_finalize(PyObject *op)
{
    QueueObject *self = (QueueObject *)op;
    if (self->queue == NULL) {
        return;
    }
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    /* A copy that fork() made is the parent's to close. */
    if (!self->queue->is_closed && KevFd_IsOurs(self->queue)
        && PyErr_ResourceWarning(op, 1, "unclosed queue %R", op) < 0)
    {
        PyErr_WriteUnraisable(op);
    }
    queue_let_go(self);
    PyErr_Restore(type, value, traceback);
}

static void
queue_tp_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;   /* the warning's receiver kept it */
    }
    PyObject_GC_UnTrack(op);
    PyObject *module = ((QueueObject *)op)->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_XDECREF(module);
}

/* ---- the calls -------------------------------------------------------- */

typedef PyObject *(*queue_call)(ModState *, struct face_queue *,
                                PyObject *const *);

static PyObject *
queue_make_call(PyObject *op, const struct arg_spec *spec, queue_call call,
                PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    QueueObject *self = (QueueObject *)op;
    PyObject *slots[KEV_ARGS_MAX];
    if (KevArgs_Spread(spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    struct face_queue *queue =
        KevFd_Enter(self->state, spec->call, &self->queue);
    if (queue == NULL) {
        return NULL;
    }
    PyObject *result = call(self->state, queue, slots);
    KevFd_Leave(self->state, queue);
    return result;
}

static PyObject *
queue_ctl(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "ctl", .names = {"cmd", "events"}, .count = 2, .required = 2,
    };
    return queue_make_call(op, &spec, KevCall_Ctl, args, nargs, kwnames);
}

static PyObject *
queue_get_events(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "get_events",
        .names = {"min_nr", "max_nr", "timeout", "buf", "flags", "sigmask"},
        .count = 6,
    };
    return queue_make_call(op, &spec, KevCall_GetEvents, args, nargs,
                           kwnames);
}

static PyObject *
queue_wait(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "wait",
        .names = {"num", "seen", "timeout", "flags", "sigmask", "commit"},
        .count = 6,
    };
    return queue_make_call(op, &spec, KevCall_Wait, args, nargs, kwnames);
}

static PyObject *
queue_ring_init(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "ring_init", .names = {"ring"}, .count = 1, .required = 1,
    };
    return queue_make_call(op, &spec, KevCall_RingInit, args, nargs,
                           kwnames);
}

static PyObject *
queue_commit(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "commit", .names = {"new_uidx", "over"},
        .count = 2, .required = 2,
    };
    return queue_make_call(op, &spec, KevCall_Commit, args, nargs,
                           kwnames);
}

/* ---- one element ------------------------------------------------------ */

/* (id, type, event=None, req_flags=None, user=0), or one ukevent in the place
   of id and of all the others, to a record.  0 or -1. */
static int
one_record(QueueObject *self, const struct arg_spec *spec,
           PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
           uint32_t req_flags, struct ukevent *ret_event)
{
    PyTypeObject *type = (PyTypeObject *)self->state->ukevent_type;
    PyObject *slots[5] = {NULL};
    if (KevArgs_Spread(spec, args, nargs, kwnames, slots) < 0) {
        return -1;
    }
    int is_record = Py_IS_TYPE(slots[0], type);
    if (is_record && nargs + (kwnames == NULL
                              ? 0 : PyTuple_GET_SIZE(kwnames)) == 1)
    {
        *ret_event = ((UkeventObject *)slots[0])->event;
        return 0;
    }
    if (is_record || slots[1] == NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes id and type, or one ukevent", spec->call);
        return -1;
    }
    return KevUkevent_Fill(spec->call, slots, req_flags, ret_event);
}

/* Runs a command on one element: what the core returned, or -1 with OSError,
   also if it was the element that failed. */
static int
one_ctl(QueueObject *self, const char *call, unsigned cmd,
        struct ukevent *event)
{
    struct face_queue *queue =
        KevFd_Enter(self->state, call, &self->queue);
    if (queue == NULL) {
        return -1;
    }
    unsigned long long id = event->id.raw_u64;
    unsigned kind = event->type;
    int r = kevent_ctl(queue->core, cmd, 1, event);
    KEV_COUNT(queue->changes, 1);
    KevFd_Leave(self->state, queue);
    int err = 0;
    if (r < 0) {
        /* More elements than are registered: this one is not. */
        err = r == -EINVAL && cmd != KEVENT_CTL_ADD ? ENOENT : -r;
    }
    else if (cmd == KEVENT_CTL_READY) {
        err = r == 1 ? 0 : ENOENT;
    }
    else if ((event->ret_flags & KEVENT_RET_BROKEN) != 0
             && (r > 0 || cmd != KEVENT_CTL_ADD))
    {
        int told = -(int)event->ret_data[1];
        /* A pipe at its end is ready and broken, but by no error. */
        err = told > 0 || cmd == KEVENT_CTL_ADD ? told : ENOENT;
    }
    if (err != 0) {
        KevErr_Set(err, "%s(id=%llu, type=%u)", call, id, kind);
        return -1;
    }
    return r;
}

static PyObject *
queue_add(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "add",
        .names = {"id", "type", "event", "req_flags", "user"},
        .count = 5, .required = 1,
    };
    QueueObject *self = (QueueObject *)op;
    struct ukevent event;
    if (one_record(self, &spec, args, nargs, kwnames,
                   KEVENT_REQ_ALWAYS_QUEUE, &event) < 0)
    {
        return NULL;
    }
    int r = one_ctl(self, "add", KEVENT_CTL_ADD, &event);
    if (r < 0) {
        return NULL;
    }
    if (r == 0) {
        Py_RETURN_NONE;
    }
    return KevUkevent_New(self->state, &event);
}

static PyObject *
queue_modify(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "modify", .names = {"id", "type", "event", "req_flags"},
        .count = 4, .required = 1,
    };
    QueueObject *self = (QueueObject *)op;
    struct ukevent event;
    if (one_record(self, &spec, args, nargs, kwnames,
                   KEVENT_REQ_ALWAYS_QUEUE, &event) < 0
        || one_ctl(self, "modify", KEVENT_CTL_MODIFY, &event) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_remove(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "remove", .names = {"id", "type"}, .count = 2, .required = 1,
    };
    QueueObject *self = (QueueObject *)op;
    struct ukevent event;
    if (one_record(self, &spec, args, nargs, kwnames, 0, &event) < 0
        || one_ctl(self, "remove", KEVENT_CTL_REMOVE, &event) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_ready(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "ready", .names = {"id", "type"}, .count = 2, .required = 1,
    };
    QueueObject *self = (QueueObject *)op;
    if (kwnames == NULL && (nargs == 0
                            || (nargs == 1 && args[0] == Py_None)))
    {
        struct face_queue *queue =
            KevFd_Enter(self->state, "ready", &self->queue);
        if (queue == NULL) {
            return NULL;
        }
        int r = kevent_ctl(queue->core, KEVENT_CTL_READY, 0, NULL);
        KevFd_Leave(self->state, queue);
        if (r < 0) {
            return KevErr_Set(-r, "ready()");
        }
        Py_RETURN_NONE;
    }
    struct ukevent event;
    if (one_record(self, &spec, args, nargs, kwnames, 0, &event) < 0
        || one_ctl(self, "ready", KEVENT_CTL_READY, &event) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- timers, records -------------------------------------------------- */

static PyObject *
set_timer(PyObject *op, const struct arg_spec *spec, unsigned cmd,
          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    QueueObject *self = (QueueObject *)op;
    PyObject *slots[KEV_ARGS_MAX] = {NULL};
    struct ukevent event = {
        .type = KEVENT_TIMER, .event = KEVENT_TIMER_FIRED,
    };
    /* id, initial, interval, flags, type, req_flags, user */
    if (KevArgs_Spread(spec, args, nargs, kwnames, slots) < 0
        || KevArgs_Id(spec->call, slots[0], &event.id.raw_u64) < 0
        || KevArgs_U32(spec->call, "type", slots[4], &event.type) < 0
        || KevArgs_U32(spec->call, "req_flags", slots[5],
                       &event.req_flags) < 0
        || KevArgs_U64(spec->call, "user", slots[6], &event.user_u64) < 0)
    {
        return NULL;
    }
    struct face_queue *queue =
        KevFd_Enter(self->state, spec->call, &self->queue);
    if (queue == NULL) {
        return NULL;
    }
    int r = KevRecords_SetTimer(queue, spec->call, cmd, &event, slots + 1);
    KevFd_Leave(self->state, queue);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_add_timer(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "add_timer",
        .names = {"id", "initial", "interval", "flags", "type", "req_flags",
                  "user"},
        .count = 7, .required = 1,
    };
    return set_timer(op, &spec, KEVENT_CTL_ADD, args, nargs, kwnames);
}

static PyObject *
queue_modify_timer(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "modify_timer",
        .names = {"id", "initial", "interval", "flags", "type", "req_flags"},
        .count = 6, .required = 1,
    };
    return set_timer(op, &spec, KEVENT_CTL_MODIFY, args, nargs, kwnames);
}

static PyObject *
queue_record(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "record", .names = {"event"}, .count = 1, .required = 1,
    };
    return queue_make_call(op, &spec, KevCall_Record, args, nargs, kwnames);
}

/* ---- the rest --------------------------------------------------------- */

static PyObject *
queue_fileno(PyObject *op, PyObject *unused)
{
    QueueObject *self = (QueueObject *)op;
    struct face_queue *queue =
        KevFd_Enter(self->state, "fileno", &self->queue);
    if (queue == NULL) {
        return NULL;
    }
    int fd = queue->fd;
    KevFd_Leave(self->state, queue);
    return PyLong_FromLong(fd);
}

static PyObject *
queue_close(PyObject *op, PyObject *unused)
{
    queue_let_go((QueueObject *)op);
    Py_RETURN_NONE;
}

static PyObject *
queue_enter(PyObject *op, PyObject *unused)
{
    QueueObject *self = (QueueObject *)op;
    struct face_queue *queue =
        KevFd_Enter(self->state, "__enter__", &self->queue);
    if (queue == NULL) {
        return NULL;
    }
    KevFd_Leave(self->state, queue);
    return Py_NewRef(op);
}

static PyObject *
queue_exit(PyObject *op, PyObject *args)
{
    return queue_close(op, NULL);
}

static PyObject *
queue_statistics(PyObject *op, PyObject *unused)
{
    QueueObject *self = (QueueObject *)op;
    struct face_queue *queue =
        KevFd_Enter(self->state, "statistics", &self->queue);
    if (queue == NULL) {
        return NULL;
    }
    RingObject *ring = KevFd_Ring(self->state, queue);
    PyObject *result = Py_BuildValue(
        "{s:i,s:I,s:K,s:K,s:K}",
        "fd", queue->fd,
        "ring_size", ring == NULL ? 0u : ring->num,
        "waits", (unsigned long long)KEV_PEEK(queue->waits),
        "events", (unsigned long long)KEV_PEEK(queue->events),
        "changes", (unsigned long long)KEV_PEEK(queue->changes));
    Py_XDECREF((PyObject *)ring);
    KevFd_Leave(self->state, queue);
    return result;
}

/* Whether it is open; and its ring, a new reference, if somebody asks. */
static int
queue_is_open(QueueObject *self, PyObject **ret_ring)
{
    KEV_FACE_LOCK(self->state);
    int is_open = self->queue != NULL && !self->queue->is_closed;
    if (self->queue != NULL && ret_ring != NULL) {
        *ret_ring = Py_XNewRef((PyObject *)self->queue->ring);
    }
    KEV_FACE_UNLOCK(self->state);
    return is_open;
}

static PyObject *
queue_get_closed(PyObject *op, void *closure)
{
    return PyBool_FromLong(!queue_is_open((QueueObject *)op, NULL));
}

static PyObject *
queue_get_ring(PyObject *op, void *closure)
{
    PyObject *ring = NULL;
    (void)queue_is_open((QueueObject *)op, &ring);
    return ring == NULL ? Py_NewRef(Py_None) : ring;
}

static PyObject *
queue_tp_repr(PyObject *op)
{
    QueueObject *self = (QueueObject *)op;
    if (!queue_is_open(self, NULL)) {
        return PyUnicode_FromString("<kevent.Queue closed>");
    }
    return PyUnicode_FromFormat("<kevent.Queue fd=%d>", KEV_PEEK(self->fd));
}

static PyGetSetDef queue_getset[] = {
    {"closed", queue_get_closed, NULL, "Whether close() was called.", NULL},
    {"ring", queue_get_ring, NULL, "The attached Ring, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(queue_doc,
"Queue(ring=None, ring_size=None)\n--\n\n"
"One queue for every kind of event: add() what to watch, then get_events()\n"
"or, with a ring, wait().  Close it, or use it in a with statement.\n\n"
"Any number of threads may wait: each event goes to exactly one of them.\n"
"After fork() a child's copy is dead and raises OSError (EBADF).");

PyDoc_STRVAR(add_doc,
"add($self, /, id, type=None, event=None,\n"
"    req_flags=KEVENT_REQ_ALWAYS_QUEUE, user=0)\n--\n\n"
"Watch an event, given by its parts, or as one ukevent in the place of id.\n\n"
"Returns None, or the event if it was ready at once and is not registered\n"
"(which needs req_flags without KEVENT_REQ_ALWAYS_QUEUE).  OSError if it\n"
"cannot be watched: EEXIST, EBADF, ENOSYS for an unknown type, ...");

PyDoc_STRVAR(modify_doc,
"modify($self, /, id, type=None, event=None,\n"
"       req_flags=KEVENT_REQ_ALWAYS_QUEUE)\n--\n\n"
"Watch for other events, or otherwise.  OSError (ENOENT) if not registered.");

PyDoc_STRVAR(remove_doc,
"remove($self, /, id, type=None)\n--\n\n"
"Forget an event, also one that is ready.  ENOENT if there is none.");

PyDoc_STRVAR(ready_doc,
"ready($self, /, id=None, type=None)\n--\n\n"
"Queue a registered event as if it had happened; without arguments wake one\n"
"sleeper with nothing.");

PyDoc_STRVAR(add_timer_doc,
"add_timer($self, /, id, initial=0, interval=0, flags=0, type=KEVENT_TIMER,\n"
"          req_flags=0, user=0)\n--\n\n"
"Watch a time: first initial nanoseconds from now or, with\n"
"KEVENT_FLAGS_ABSTIME, when the clock shows initial; then every interval\n"
"nanoseconds, if that is not 0.  The clock is CLOCK_MONOTONIC, or as\n"
"KEVENT_FLAGS_REALTIME or _BOOTTIME says.  id is any number.");

PyDoc_STRVAR(modify_timer_doc,
"modify_timer($self, /, id, initial=0, interval=0, flags=0,\n"
"             type=KEVENT_TIMER, req_flags=0)\n--\n\n"
"Set another time; without one the timer rests.  ENOENT if there is none.");

PyDoc_STRVAR(record_doc,
"record($self, /, event)\n--\n\n"
"What does not fit in a SIGNAL or INODE event: a siginfo or an inode_record,\n"
"by the event or by its number, ret_data[1].  The last KEVENT_RECORDS_KEPT\n"
"are kept; OSError (ENOENT) for others.");

PyDoc_STRVAR(ctl_doc,
"ctl($self, /, cmd, events)\n--\n\n"
"kevent_ctl() on this queue.");

PyDoc_STRVAR(get_events_doc,
"get_events($self, /, min_nr=1, max_nr=64, timeout=None, buf=None, flags=0,\n"
"           sigmask=None)\n--\n\n"
"kevent_get_events() on this queue; timeout in nanoseconds.");

PyDoc_STRVAR(wait_doc,
"wait($self, /, num=None, seen=None, timeout=None, flags=0, sigmask=None,\n"
"     commit=None)\n--\n\n"
"kevent_wait() on this queue; num=None is as many as the ring has slots.");

PyDoc_STRVAR(ring_init_doc,
"ring_init($self, /, ring)\n--\n\n"
"Attach a Ring or a writable buffer; None detaches.");

PyDoc_STRVAR(commit_doc,
"commit($self, /, new_uidx, over)\n--\n\n"
"Release the slots of the ring up to new_uidx.");

PyDoc_STRVAR(fileno_doc,
"fileno($self, /)\n--\n\n"
"The queue's descriptor: readable while an event may be fetched.");

PyDoc_STRVAR(close_doc,
"close($self, /)\n--\n\n"
"Close the queue; threads that wait in it get OSError (EBADF).");

PyDoc_STRVAR(statistics_doc,
"statistics($self, /)\n--\n\n"
"A dict of counts: what was fetched, in how many calls.");

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef queue_methods[] = {
    {"add", FAST(queue_add), METH_FASTCALL | METH_KEYWORDS, add_doc},
    {"modify", FAST(queue_modify), METH_FASTCALL | METH_KEYWORDS, modify_doc},
    {"remove", FAST(queue_remove), METH_FASTCALL | METH_KEYWORDS, remove_doc},
    {"ready", FAST(queue_ready), METH_FASTCALL | METH_KEYWORDS, ready_doc},
    {"add_timer", FAST(queue_add_timer), METH_FASTCALL | METH_KEYWORDS,
     add_timer_doc},
    {"modify_timer", FAST(queue_modify_timer), METH_FASTCALL | METH_KEYWORDS,
     modify_timer_doc},
    {"record", FAST(queue_record), METH_FASTCALL | METH_KEYWORDS,
     record_doc},
    {"ctl", FAST(queue_ctl), METH_FASTCALL | METH_KEYWORDS, ctl_doc},
    {"get_events", FAST(queue_get_events), METH_FASTCALL | METH_KEYWORDS,
     get_events_doc},
    {"wait", FAST(queue_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"ring_init", FAST(queue_ring_init), METH_FASTCALL | METH_KEYWORDS,
     ring_init_doc},
    {"commit", FAST(queue_commit), METH_FASTCALL | METH_KEYWORDS, commit_doc},
    {"fileno", queue_fileno, METH_NOARGS, fileno_doc},
    {"close", queue_close, METH_NOARGS, close_doc},
    {"statistics", queue_statistics, METH_NOARGS, statistics_doc},
    {"__enter__", queue_enter, METH_NOARGS, NULL},
    {"__exit__", queue_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, (void *)queue_doc},
    {Py_tp_new, queue_tp_new},
    {Py_tp_traverse, queue_tp_traverse},
    {Py_tp_finalize, queue_tp_finalize},
    {Py_tp_dealloc, queue_tp_dealloc},
    {Py_tp_repr, queue_tp_repr},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "kevent.Queue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};

int
KevQueue_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &queue_spec, NULL, &state->queue_type,
                             1);
}
