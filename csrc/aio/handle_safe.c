/*
 * handle_safe.c - the handle that call_soon_threadsafe() returns from Python
 * 3.14 on.
 *
 * asyncio.events._ThreadSafeHandle has a recursive lock that it holds while
 * the callback runs and while it is cancelled, so that cancel() in another
 * thread returns only when the callback has, or will never run.  Here the
 * interpreter lock guards two words, who is in and how deep, and a thread
 * that has to wait brings a lock to sleep on.  Without the interpreter lock
 * asyncio's own class is used.
 */
#include "aio/handle_parts.h"

#include <pythread.h>

#ifndef Py_GIL_DISABLED

/* Lives on the stack of the thread that waits. */
struct safe_waiter {
    struct safe_waiter *next;
    PyThread_type_lock lock;    /* taken; released when it is worth a look */
};

/* Sleep until whoever is in leaves.  0 or -1 with an exception. */
static int
safe_wait(SafeHandleObject *self)
{
    struct safe_waiter waiter = {.lock = PyThread_allocate_lock()};
    if (waiter.lock == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    (void)PyThread_acquire_lock(waiter.lock, WAIT_LOCK);
    waiter.next = self->waiters;
    self->waiters = &waiter;
    PyLockStatus status;
    Py_BEGIN_ALLOW_THREADS
    status = PyThread_acquire_lock_timed(waiter.lock, -1, 1);
    Py_END_ALLOW_THREADS
    struct safe_waiter **link = &self->waiters;
    while (*link != NULL && *link != &waiter) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = waiter.next;  /* a signal came first */
    }
    PyThread_release_lock(waiter.lock);
    PyThread_free_lock(waiter.lock);
    return status == PY_LOCK_INTR ? PyErr_CheckSignals() : 0;
}

static int
safe_enter(SafeHandleObject *self)
{
    unsigned long thread = PyThread_get_thread_ident();
    while (self->depth > 0 && self->owner != thread) {
        if (safe_wait(self) < 0) {
            return -1;
        }
    }
    self->owner = thread;
    self->depth++;
    return 0;
}

static void
safe_leave(SafeHandleObject *self)
{
    if (--self->depth > 0) {
        return;
    }
    struct safe_waiter *waiter = self->waiters;
    self->waiters = NULL;
    while (waiter != NULL) {
        struct safe_waiter *next = waiter->next;
        PyThread_release_lock(waiter->lock);
        waiter = next;
    }
}

PyObject *
KevSafeHandle_New(ModState *state, LoopObject *loop, PyObject *callback,
                  PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    struct handle_parts parts;
    if (KevHandle_MakeParts(state, loop, args, nargs, context, &parts) < 0) {
        return NULL;
    }
    SafeHandleObject *self = PyObject_GC_New(
        SafeHandleObject, (PyTypeObject *)state->safe_handle_type);
    if (self == NULL) {
        KevHandle_DropParts(&parts);
        return NULL;
    }
    KevHandle_Commit((HandleObject *)self, &parts, callback, loop);
    self->arg = parts.arg;
    self->lock = NULL;
    self->owner = 0;
    self->depth = 0;
    self->waiters = NULL;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

int
KevSafeHandle_Run(ModState *state, LoopObject *loop, PyObject *op)
{
    SafeHandleObject *self = (SafeHandleObject *)op;
    if (self->cancelled == Py_True) {
        return 0;
    }
    if (safe_enter(self) < 0) {
        return -1;
    }
    int r = self->cancelled == Py_True
        ? 0 : KevHandle_RunOwn(state, loop, (HandleObject *)self);
    safe_leave(self);
    return r;
}

static PyObject *
safe_run(PyObject *self, PyTypeObject *cls, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "_run() takes no arguments");
        return NULL;
    }
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL) {
        return NULL;
    }
    LoopObject *loop = KevHandle_Loop(self, state);
    if (loop == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_loop");
        return NULL;
    }
    int r = KevSafeHandle_Run(state, loop, self);
    Py_DECREF((PyObject *)loop);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
safe_cancel(PyObject *op, PyTypeObject *cls, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "cancel() takes no arguments");
        return NULL;
    }
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL || safe_enter((SafeHandleObject *)op) < 0) {
        return NULL;
    }
    int r = KevHandle_CancelOwn(state, op);
    safe_leave((SafeHandleObject *)op);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
safe_cancelled(PyObject *self, PyObject *ignored)
{
    if (safe_enter((SafeHandleObject *)self) < 0) {
        return NULL;
    }
    PyObject *cancelled = KevHandle_Cancelled(self, ignored);
    safe_leave((SafeHandleObject *)self);
    return cancelled;
}

static int
safe_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(((SafeHandleObject *)op)->lock);
    return KevHandle_Traverse(op, visit, arg);
}

static int
safe_tp_clear(PyObject *op)
{
    Py_CLEAR(((SafeHandleObject *)op)->lock);
    return KevHandle_Clear(op);
}

static void
safe_dealloc(PyObject *op)
{
    SafeHandleObject *self = (SafeHandleObject *)op;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(op, safe_dealloc)
    PyTypeObject *type = Py_TYPE(self);
    KevHandle_ReleaseSlots((HandleObject *)self);
    Py_XDECREF(self->arg);
    Py_XDECREF(self->lock);
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMethodDef safe_methods[] = {
    {"cancel", (PyCFunction)(void (*)(void))safe_cancel,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     "cancel($self)\n--\n\n"
     "Do not run the callback; if another thread is in it, when it is out."},
    {"cancelled", safe_cancelled, METH_NOARGS,
     "cancelled($self)\n--\n\nTrue if cancel() was called."},
    {"_run", (PyCFunction)(void (*)(void))safe_run,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef safe_getset[] = {
    {"_args", KevHandle_GetArgs, KevHandle_SetArgs, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot safe_slots[] = {
    {Py_tp_doc, "A callback that call_soon_threadsafe() queued."},
    {Py_tp_methods, safe_methods},
    {Py_tp_getset, safe_getset},
    {Py_tp_traverse, safe_traverse},
    {Py_tp_clear, safe_tp_clear},
    {Py_tp_dealloc, safe_dealloc},
    {0, NULL},
};

/* Not immutable: 3.14 allows that only where the bases are. */
#define HANDLE_FLAGS                                                      \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC                              \
     | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Spec safe_spec = {
    .name = "kevent._core._ThreadSafeHandle",
    .basicsize = sizeof(SafeHandleObject),
    .flags = HANDLE_FLAGS,
    .slots = safe_slots,
};

int
KevSafeHandle_Setup(PyObject *module, ModState *state)
{
    PyObject *base = state->thread_safe_handle;
    if (base == Py_None) {
        return 0;
    }
    if (KevHandle_CheckSlot(base, "_lock", offsetof(SafeHandleObject, lock))
        < 0) {
        return -1;
    }
    if (((PyTypeObject *)base)->tp_basicsize
        != (Py_ssize_t)offsetof(SafeHandleObject, arg)) {
        PyErr_SetString(PyExc_ImportError,
                        "kevent does not know this asyncio: its handles "
                        "have another size");
        return -1;
    }
    return KevModule_AddType(module, &safe_spec, base,
                             &state->safe_handle_type, 1);
}

#else

PyObject *
KevSafeHandle_New(ModState *state, LoopObject *loop, PyObject *callback,
                  PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    PyObject *rest = PyTuple_New(nargs);
    if (rest == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(rest, i, Py_NewRef(args[i]));
    }
    PyObject *handle = PyObject_CallFunctionObjArgs(
        state->thread_safe_handle, callback, rest, (PyObject *)loop,
        context == NULL ? Py_None : context, NULL);
    Py_DECREF(rest);
    if (handle == NULL || !loop->debug) {
        return handle;
    }
    /* The innermost frame of its origin is its own constructor's. */
    PyObject *source = PyObject_GetAttrString(handle, "_source_traceback");
    if (source == NULL
        || (PyList_Check(source) && PyList_GET_SIZE(source) > 0
            && PySequence_DelItem(source, PyList_GET_SIZE(source) - 1) < 0)) {
        Py_CLEAR(handle);
    }
    Py_XDECREF(source);
    return handle;
}

int
KevSafeHandle_Run(ModState *state, LoopObject *loop, PyObject *op)
{
    Py_UNREACHABLE();  /* there is no handle of this type */
}

int
KevSafeHandle_Setup(PyObject *module, ModState *state)
{
    return 0;
}

#endif
