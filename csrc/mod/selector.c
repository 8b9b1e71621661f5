/*
 * selector.c - the C half of kevent.KeventSelector.
 *
 * kevent.selectors derives the public class from this type and BaseSelector,
 * so that isinstance() holds; everything that is done per file or per event
 * is here.  Results, errors and their texts are those of the standard
 * library's EpollSelector, which it replaces.
 *
 * Three things make it cheap: watches are found by index; the (key, mask)
 * pair of a watch is kept, being immutable, and handed out again while the
 * same happens to the same key; and the record's cookie carries a serial, so
 * that an event of an earlier watch of the descriptor is dropped by one
 * comparison.
 *
 * After fork() a child may go on selecting: where epoll would share the
 * kernel's set with the parent, the child gets a queue of its own with the
 * same watches, at its first use.
 */
#include "mod/selector.h"

#include <errno.h>
#include <string.h>

#include "mod/args.h"
#include "mod/compat.h"
#include "mod/errors.h"

#define WATCH_FLAGS (KEVENT_REQ_LEVEL | KEVENT_REQ_ALWAYS_QUEUE)

/* ---- file objects ----------------------------------------------------- */

static long
fd_of_int(PyObject *number)
{
    int overflow;
    long fd = PyLong_AsLongAndOverflow(number, &overflow);
    if (fd == -1 && overflow == 0 && PyErr_Occurred()) {
        return -1;
    }
    if (fd < 0 && overflow <= 0) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %S", number);
        return -1;
    }
    return overflow > 0 ? LONG_MAX : fd;
}

static long
fd_of_object(PyObject *fileobj, ModState *state)
{
    PyObject *number = PyObject_CallMethodNoArgs(fileobj, state->str_fileno);
    if (number != NULL && !PyLong_Check(number)) {
        Py_SETREF(number, PyNumber_Long(number));
    }
    if (number == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)
            || PyErr_ExceptionMatches(PyExc_TypeError)
            || PyErr_ExceptionMatches(PyExc_ValueError))
        {
            PyErr_Clear();   /* the stdlib shows no cause, either */
            PyErr_Format(PyExc_ValueError, "Invalid file object: %R",
                         fileobj);
        }
        return -1;
    }
    long fd = fd_of_int(number);
    Py_DECREF(number);
    return fd;
}

long
KevSelector_Lookup(SelectorObject *self, PyObject *fileobj)
{
    long fd = PyLong_Check(fileobj)
        ? fd_of_int(fileobj) : fd_of_object(fileobj, self->state);
    if (fd >= 0 || !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return fd;
    }
    int found = watches_find(&self->watches, fileobj);
    if (found >= 0) {
        PyErr_Clear();   /* closed since, but we know it */
    }
    return found;
}

PyObject *
KevSelector_NotRegistered(PyObject *fileobj)
{
    PyObject *text = PyUnicode_FromFormat("%R is not registered", fileobj);
    if (text != NULL) {
        PyErr_SetObject(PyExc_KeyError, text);
        Py_DECREF(text);
    }
    return NULL;
}

/* The watch of fileobj; NULL with KeyError, or what the lookup raised. */
static struct watch *
watch_of(SelectorObject *self, PyObject *fileobj, int *ret_fd)
{
    long fd = KevSelector_Lookup(self, fileobj);
    if (fd < 0) {
        return NULL;
    }
    struct watch *watch = watches_get(&self->watches, fd);
    if (watch == NULL) {
        KevSelector_NotRegistered(fileobj);
        return NULL;
    }
    *ret_fd = (int)fd;
    return watch;
}

/* ---- the queue -------------------------------------------------------- */

static struct ukevent
watch_record(int fd, uint32_t events, uint32_t serial)
{
    uint32_t mask = ((events & EVENT_READ) != 0 ? KEVENT_POLL_POLLIN : 0)
        | ((events & EVENT_WRITE) != 0 ? KEVENT_POLL_POLLOUT : 0);
    struct ukevent record = {
        .type = KEVENT_POLL,
        .event = mask,
        .req_flags = WATCH_FLAGS,
        .user = {(uint32_t)fd, serial},
    };
    record.id.raw[0] = (uint32_t)fd;
    return record;
}

/* Add or modify one record: 0, or why it failed as a positive errno. */
static int
queue_change(struct face_queue *queue, unsigned cmd, struct ukevent *record)
{
    int r = kevent_ctl(queue->core, cmd, 1, record);
    if (r < 0) {
        return -r;
    }
    if ((record->ret_flags & KEVENT_RET_BROKEN) == 0) {
        return 0;
    }
    int told = -(int)record->ret_data[1];
    return told > 0 ? told : ENOENT;
}

static void
queue_forget(struct face_queue *queue, int fd)
{
    /* It may be gone already, with the file that it was for. */
    struct ukevent record = watch_record(fd, 0, 0);
    (void)kevent_ctl(queue->core, KEVENT_CTL_REMOVE, 1, &record);
}

/* A queue of this process's own in the place of a parent's.  0 or -1. */
static int
selector_revive(SelectorObject *self)
{
    struct face_queue *queue = KevFd_Open(self->state, "KeventSelector");
    if (queue == NULL) {
        return -1;
    }
    struct watches *watches = &self->watches;
    for (int fd = watches->first; fd >= 0; fd = watches->by_fd[fd].next) {
        struct watch *watch = &watches->by_fd[fd];
        struct ukevent record = watch_record(fd, watch->events, watch->serial);
        /* What the child closed stays registered and is never ready, as it
           is with epoll. */
        (void)queue_change(queue, KEVENT_CTL_ADD, &record);
    }
    struct face_queue *parents = self->queue;
    self->queue = queue;
    KevFd_Disown(self->state, &parents);
    return 0;
}

struct face_queue *
KevSelector_Enter(SelectorObject *self)
{
    if (self->queue == NULL || KEV_PEEK(self->queue->is_closed)) {
        PyErr_SetString(PyExc_ValueError,
                        "I/O operation on closed kevent selector");
        return NULL;
    }
    if (!KevFd_IsOurs(self->queue) && selector_revive(self) < 0) {
        return NULL;
    }
    return KevFd_Enter(self->state, "KeventSelector", &self->queue);
}

/* ---- life ------------------------------------------------------------- */

static PyObject *
selector_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ModState *state = KevState_OfType(type);
    if (state == NULL) {
        return NULL;
    }
    SelectorObject *self = (SelectorObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->module = Py_NewRef(PyType_GetModuleByDef(type, &KevModule_Def));
    watches_init(&self->watches);
    self->queue = KevFd_Open(state, "KeventSelector");
    if (self->queue == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
selector_tp_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0
        || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0))
    {
        PyErr_SetString(PyExc_TypeError,
                        "KeventSelector() takes no arguments");
        return -1;
    }
    return 0;
}

static int
selector_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    SelectorObject *self = (SelectorObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    Py_VISIT(self->map);
    return watches_traverse(&self->watches, visit, arg);
}

static int
selector_tp_clear(PyObject *op)
{
    SelectorObject *self = (SelectorObject *)op;
    Py_CLEAR(self->map);
    watches_clear(&self->watches);
    return 0;
}

static void
selector_shut(SelectorObject *self)
{
    KevFd_Disown(self->state, &self->queue);
    (void)selector_tp_clear((PyObject *)self);
}

static void
selector_tp_dealloc(PyObject *op)
{
    SelectorObject *self = (SelectorObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    selector_shut(self);
    PyMem_Free(self->records);
    PyObject *module = self->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_XDECREF(module);
}

/* ---- register, unregister, modify ------------------------------------- */

/* EVENT_READ | EVENT_WRITE of an int; -1 with the stdlib's ValueError.  A
   modify may ask for nothing, which pauses: EpollSelector allows it. */
static int
mask_of(PyObject *events, int may_be_empty)
{
    int overflow = 0;
    long mask = PyLong_AsLongAndOverflow(events, &overflow);
    if (mask == -1 && overflow == 0 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow != 0 || mask < (may_be_empty ? 0 : 1)
        || mask > (long)(EVENT_READ | EVENT_WRITE))
    {
        PyErr_Format(PyExc_ValueError, "Invalid events: %R", events);
        return -1;
    }
    return (int)mask;
}

/* SelectorKey(fileobj, fd, events, data), made as tuple.__new__ does: a format
   string that is read for each register() would cost more than all of it. */
static PyObject *
key_new(ModState *state, PyObject *fileobj, int fd, PyObject *events,
        PyObject *data)
{
    PyObject *number = PyLong_CheckExact(fileobj)
        ? Py_NewRef(fileobj) : PyLong_FromLong(fd);
    if (number == NULL) {
        return NULL;
    }
    PyObject *key = NULL;
    PyObject *fields = PyTuple_Pack(4, fileobj, number, events, data);
    PyObject *args = fields == NULL ? NULL : PyTuple_Pack(1, fields);
    if (args != NULL) {
        key = PyTuple_Type.tp_new((PyTypeObject *)state->selector_key, args,
                                  NULL);
        Py_DECREF(args);
    }
    Py_XDECREF(fields);
    Py_DECREF(number);
    return key;
}

static PyObject *
already_registered(PyObject *fileobj, long fd)
{
    PyObject *text = PyUnicode_FromFormat(
        "%R (FD %ld) is already registered", fileobj, fd);
    if (text != NULL) {
        PyErr_SetObject(PyExc_KeyError, text);
        Py_DECREF(text);
    }
    return NULL;
}

/* Puts a made key in the queue and in the table; 0 or -1, the key is the
   caller's still. */
static int
selector_watch(SelectorObject *self, int fd, uint32_t mask, PyObject *key)
{
    struct face_queue *queue = KevSelector_Enter(self);
    if (queue == NULL) {
        return -1;
    }
    struct watches *watches = &self->watches;
    struct ukevent record = watch_record(fd, mask, watches->serial + 1);
    int err = queue_change(queue, KEVENT_CTL_ADD, &record);
    /* Only now: a bad descriptor may be any number, a good one is small. */
    if (err == 0 && watches_reserve(watches, fd) < 0) {
        queue_forget(queue, fd);
        err = ENOMEM;
    }
    if (err == 0) {
        watches_add(watches, fd, Py_NewRef(key), mask);
    }
    KevFd_Leave(self->state, queue);
    if (err != 0) {
        errno = err;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static PyObject *
selector_register_locked(SelectorObject *self, PyObject *const *slots)
{
    int mask = mask_of(slots[1], 0);
    if (mask < 0) {
        return NULL;
    }
    long fd = KevSelector_Lookup(self, slots[0]);
    if (fd < 0) {
        return NULL;
    }
    if (watches_get(&self->watches, fd) != NULL) {
        return already_registered(slots[0], fd);
    }
    if (fd > INT_MAX) {
        PyErr_Format(PyExc_OverflowError, "no descriptor is as large as %R",
                     slots[0]);
        return NULL;
    }
    PyObject *data = slots[2] == NULL ? Py_None : slots[2];
    PyObject *key = key_new(self->state, slots[0], (int)fd, slots[1], data);
    if (key == NULL) {
        return NULL;
    }
    if (watches_get(&self->watches, fd) != NULL) {
        Py_DECREF(key);   /* making the key ran somebody who registered it */
        return already_registered(slots[0], fd);
    }
    if (selector_watch(self, (int)fd, (uint32_t)mask, key) < 0) {
        Py_CLEAR(key);
    }
    return key;
}

static PyObject *
selector_unregister_locked(SelectorObject *self, PyObject *fileobj)
{
    int fd;
    if (watch_of(self, fileobj, &fd) == NULL) {
        return NULL;
    }
    PyObject *key = watches_take(&self->watches, fd);
    struct face_queue *queue = KevSelector_Enter(self);
    if (queue == NULL) {
        PyErr_Clear();   /* closed, or a child without descriptors */
        return key;
    }
    queue_forget(queue, fd);
    KevFd_Leave(self->state, queue);
    return key;
}

/* Another mask for a watched fd.  If that fails the watch is no more, as it
   is in the stdlib: nobody could say what it watches. */
static int
selector_remask(SelectorObject *self, int fd, uint32_t mask)
{
    struct face_queue *queue = KevSelector_Enter(self);
    if (queue == NULL) {
        return -1;
    }
    struct ukevent record =
        watch_record(fd, mask, self->watches.by_fd[fd].serial);
    int err = queue_change(queue, KEVENT_CTL_MODIFY, &record);
    if (err != 0) {
        queue_forget(queue, fd);
    }
    KevFd_Leave(self->state, queue);
    if (err != 0) {
        Py_DECREF(watches_take(&self->watches, fd));
        errno = err;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static PyObject *
selector_modify_locked(SelectorObject *self, PyObject *const *slots)
{
    int fd;
    struct watch *watch = watch_of(self, slots[0], &fd);
    if (watch == NULL) {
        return NULL;
    }
    PyObject *data = slots[2] == NULL ? Py_None : slots[2];
    PyObject *before = Py_NewRef(watch->key);
    uint32_t serial = watch->serial;
    if (slots[1] == PyTuple_GET_ITEM(before, 2)
        && data == PyTuple_GET_ITEM(before, 3))
    {
        return before;
    }
    int mask = mask_of(slots[1], 1);   /* an __index__ may unregister */
    PyObject *key = mask < 0 ? NULL
        : key_new(self->state, PyTuple_GET_ITEM(before, 0), fd, slots[1],
                  data);
    Py_DECREF(before);
    if (key == NULL) {
        return NULL;
    }
    watch = watches_get(&self->watches, fd);
    if (watch == NULL || watch->serial != serial) {
        Py_DECREF(key);   /* making the key ran somebody who removed it */
        return KevSelector_NotRegistered(slots[0]);
    }
    if (watch->events != (uint32_t)mask
        && selector_remask(self, fd, (uint32_t)mask) < 0)
    {
        Py_DECREF(key);
        return NULL;
    }
    watches_rekey(&self->watches, fd, Py_NewRef(key), (uint32_t)mask);
    return key;
}

/* ---- methods ---------------------------------------------------------- */

static PyObject *
selector_register(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "register", .names = {"fileobj", "events", "data"},
        .count = 3, .required = 2,
    };
    PyObject *slots[3];
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    PyObject *key;
    KEV_GUARD(op);
    key = selector_register_locked((SelectorObject *)op, slots);
    KEV_UNGUARD();
    return key;
}

static PyObject *
selector_unregister(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "unregister", .names = {"fileobj"}, .count = 1, .required = 1,
    };
    PyObject *slots[1];
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    PyObject *key;
    KEV_GUARD(op);
    key = selector_unregister_locked((SelectorObject *)op, slots[0]);
    KEV_UNGUARD();
    return key;
}

static PyObject *
selector_modify(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "modify", .names = {"fileobj", "events", "data"},
        .count = 3, .required = 2,
    };
    PyObject *slots[3];
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    PyObject *key;
    KEV_GUARD(op);
    key = selector_modify_locked((SelectorObject *)op, slots);
    KEV_UNGUARD();
    return key;
}

static PyObject *
selector_select(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "select", .names = {"timeout"}, .count = 1,
    };
    PyObject *slots[1];
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    PyObject *ready;
    KEV_GUARD(op);
    ready = KevSelector_SelectLocked((SelectorObject *)op, slots[0]);
    KEV_UNGUARD();
    return ready;
}

static PyObject *
selector_get_map(PyObject *op, PyObject *unused)
{
    SelectorObject *self = (SelectorObject *)op;
    PyObject *map;
    KEV_GUARD(op);
    if (self->queue == NULL) {
        map = Py_NewRef(Py_None);
    }
    else {
        if (self->map == NULL) {
            self->map = KevSelectorMap_New(self);
        }
        map = Py_XNewRef(self->map);
    }
    KEV_UNGUARD();
    return map;
}

static PyObject *
selector_get_key(PyObject *op, PyObject *fileobj)
{
    SelectorObject *self = (SelectorObject *)op;
    PyObject *key = NULL;
    KEV_GUARD(op);
    if (self->queue == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Selector is closed");
    }
    else {
        int fd;
        struct watch *watch = watch_of(self, fileobj, &fd);
        key = watch == NULL ? NULL : Py_NewRef(watch->key);
    }
    KEV_UNGUARD();
    return key;
}

static PyObject *
selector_fileno(PyObject *op, PyObject *unused)
{
    SelectorObject *self = (SelectorObject *)op;
    PyObject *result = NULL;
    KEV_GUARD(op);
    struct face_queue *queue = KevSelector_Enter(self);
    if (queue != NULL) {
        result = PyLong_FromLong(queue->fd);
        KevFd_Leave(self->state, queue);
    }
    KEV_UNGUARD();
    return result;
}

static PyObject *
selector_close(PyObject *op, PyObject *unused)
{
    KEV_GUARD(op);
    selector_shut((SelectorObject *)op);
    KEV_UNGUARD();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(selector_doc,
"The C half of kevent.KeventSelector.");

PyDoc_STRVAR(register_doc,
"register($self, /, fileobj, events, data=None)\n--\n\n"
"Watch a file object; returns its SelectorKey.\n\n"
"ValueError for bad events or no descriptor, KeyError if it is registered,\n"
"OSError if it cannot be watched (EPERM: a regular file, EBADF: closed).");

PyDoc_STRVAR(unregister_doc,
"unregister($self, /, fileobj)\n--\n\n"
"Stop watching a file object, closed or not; returns its SelectorKey.\n"
"KeyError if it is not registered.");

PyDoc_STRVAR(modify_doc,
"modify($self, /, fileobj, events, data=None)\n--\n\n"
"Change events or data of a registered file object; returns the new key.\n"
"It costs a system call only if the events are others.");

PyDoc_STRVAR(select_doc,
"select($self, /, timeout=None)\n--\n\n"
"Wait until something is ready: a list of (SelectorKey, events).\n\n"
"timeout is in seconds; None waits for ever, 0 or less not at all.");

PyDoc_STRVAR(get_map_doc,
"get_map($self, /)\n--\n\n"
"The mapping of file objects to keys; None once closed.");

PyDoc_STRVAR(get_key_doc,
"get_key($self, fileobj, /)\n--\n\n"
"The SelectorKey of a registered file object; KeyError if there is none.");

PyDoc_STRVAR(fileno_doc,
"fileno($self, /)\n--\n\n"
"The queue's descriptor: readable while something is ready.");

PyDoc_STRVAR(close_doc,
"close($self, /)\n--\n\n"
"Forget all keys and close the queue; may be called again.");

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef selector_methods[] = {
    {"register", FAST(selector_register), METH_FASTCALL | METH_KEYWORDS,
     register_doc},
    {"unregister", FAST(selector_unregister), METH_FASTCALL | METH_KEYWORDS,
     unregister_doc},
    {"modify", FAST(selector_modify), METH_FASTCALL | METH_KEYWORDS,
     modify_doc},
    {"select", FAST(selector_select), METH_FASTCALL | METH_KEYWORDS,
     select_doc},
    {"get_map", selector_get_map, METH_NOARGS, get_map_doc},
    {"get_key", selector_get_key, METH_O, get_key_doc},
    {"fileno", selector_fileno, METH_NOARGS, fileno_doc},
    {"close", selector_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot selector_slots[] = {
    {Py_tp_doc, (void *)selector_doc},
    {Py_tp_new, selector_tp_new},
    {Py_tp_init, selector_tp_init},
    {Py_tp_traverse, selector_tp_traverse},
    {Py_tp_clear, selector_tp_clear},
    {Py_tp_dealloc, selector_tp_dealloc},
    {Py_tp_methods, selector_methods},
    {0, NULL},
};

static PyType_Spec selector_spec = {
    .name = "kevent._core.Selector",
    .basicsize = sizeof(SelectorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = selector_slots,
};

int
KevSelector_Setup(PyObject *module, ModState *state)
{
    PyObject *selectors = PyImport_ImportModule("selectors");
    if (selectors == NULL) {
        return -1;
    }
    state->selector_key = PyObject_GetAttrString(selectors, "SelectorKey");
    Py_DECREF(selectors);
    if (state->selector_key == NULL) {
        return -1;
    }
    if (!PyType_Check(state->selector_key)
        || !PyType_IsSubtype((PyTypeObject *)state->selector_key,
                             &PyTuple_Type))
    {
        PyErr_SetString(PyExc_ImportError,
                        "selectors.SelectorKey is no namedtuple");
        return -1;
    }
    return KevModule_AddType(module, &selector_spec, NULL,
                             &state->selector_type, 1);
}
