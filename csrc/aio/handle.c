/*
 * handle.c - Handle and TimerHandle: made, run, cancelled, freed.
 *
 * A handle lives for a moment and there is one per callback, so it is kept
 * cheap: a single argument is stored without a tuple, and the memory of dead
 * handles is kept for the next ones (off under free threading and sanitizers).
 */
#include "aio/handle.h"

#include "aio/compat.h"
#include "aio/guard.h"
#include "aio/handle_parts.h"
#include "aio/loop.h"
#include "aio/waiter.h"

/* ---- birth ---------------------------------------------------------- */

static HandleObject *
handle_alloc(ModState *state)
{
    HandleObject *self = KevFreelist_Take(&state->aio.handles,
                                          state->handle_type);
    return self != NULL ? self : PyObject_GC_New(
        HandleObject, (PyTypeObject *)state->handle_type);
}

/* The stack where a handle is made, as debug mode keeps it.  New reference. */
static PyObject *
capture_source(ModState *state)
{
    PyObject *frame = PyObject_CallNoArgs(state->getframe);
    if (frame == NULL) {
        return NULL;
    }
    PyObject *stack = PyObject_CallOneArg(state->extract_stack, frame);
    Py_DECREF(frame);
    return stack;
}

int
KevHandle_MakeParts(ModState *state, LoopObject *loop,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *context, struct handle_parts *parts)
{
    parts->args = NULL;
    parts->arg = NULL;
    if (context == NULL || context == Py_None) {
        parts->context = PyContext_CopyCurrent();
        if (parts->context == NULL) {
            return -1;
        }
    }
    else {
        parts->context = Py_NewRef(context);
    }
    if (nargs == 1) {
        parts->arg = Py_NewRef(args[0]);
    }
    else if (nargs > 1) {
        parts->args = PyTuple_New(nargs);
        if (parts->args == NULL) {
            Py_DECREF(parts->context);
            return -1;
        }
        for (Py_ssize_t i = 0; i < nargs; i++) {
            PyTuple_SET_ITEM(parts->args, i, Py_NewRef(args[i]));
        }
    }
    parts->source = loop->debug ? capture_source(state) : Py_NewRef(Py_None);
    if (parts->source == NULL) {
        Py_DECREF(parts->context);
        Py_XDECREF(parts->arg);
        Py_XDECREF(parts->args);
        return -1;
    }
    return 0;
}

PyObject *
KevHandle_New(ModState *state, LoopObject *loop, PyObject *callback,
              PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    struct handle_parts parts;
    if (KevHandle_MakeParts(state, loop, args, nargs, context, &parts) < 0) {
        return NULL;
    }
    HandleObject *self = handle_alloc(state);
    if (self == NULL) {
        KevHandle_DropParts(&parts);
        return NULL;
    }
    KevHandle_Commit(self, &parts, callback, loop);
    self->arg = parts.arg;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *
KevTimer_New(ModState *state, LoopObject *loop, PyObject *when,
             int64_t deadline_ns, PyObject *callback, PyObject *const *args,
             Py_ssize_t nargs, PyObject *context)
{
    struct handle_parts parts;
    if (KevHandle_MakeParts(state, loop, args, nargs, context, &parts) < 0) {
        return NULL;
    }
    TimerObject *self = PyObject_GC_New(TimerObject,
                                        (PyTypeObject *)state->timer_type);
    if (self == NULL) {
        KevHandle_DropParts(&parts);
        return NULL;
    }
    KevHandle_Commit((HandleObject *)self, &parts, callback, loop);
    self->arg = parts.arg;
    self->scheduled = Py_NewRef(Py_False);
    self->when = Py_NewRef(when);
    self->deadline_ns = deadline_ns;
    self->sequence = 0;
    self->place = -1;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---- what it may be asked ------------------------------------------- */

PyObject *
KevHandle_GetArgs(PyObject *op, void *closure)
{
    HandleObject *self = (HandleObject *)op;
    PyObject *arg = *KevHandle_ArgSlot(op);
    if (self->args != NULL) {
        return Py_NewRef(self->args);
    }
    if (arg != NULL) {
        return PyTuple_Pack(1, arg);
    }
    if (self->callback == Py_None) {
        return Py_NewRef(Py_None);
    }
    return PyTuple_New(0);
}

int
KevHandle_SetArgs(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    HandleObject *self = (HandleObject *)op;
    if (value != NULL && value != Py_None && !PyTuple_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_args must be a tuple or None");
        return -1;
    }
    PyObject *arg;
    PyObject *args;
    KEV_GUARD(op);
    arg = *KevHandle_ArgSlot(op);
    *KevHandle_ArgSlot(op) = NULL;
    args = self->args;
    self->args = value == Py_None ? NULL : Py_XNewRef(value);
    KEV_UNGUARD();
    Py_XDECREF(arg);
    Py_XDECREF(args);
    return 0;
}

/* Drops callback and arguments; the handle will not run. */
static void
handle_disarm(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    PyObject *cancelled;
    PyObject *arg;
    PyObject *args;
    PyObject *callback;
    KEV_GUARD(op);
    cancelled = self->cancelled;
    arg = *KevHandle_ArgSlot(op);
    args = self->args;
    callback = self->callback;
    /* run_callback() and the members of Handle peek. */
    KEV_PUBLISH(self->cancelled, Py_NewRef(Py_True));
    *KevHandle_ArgSlot(op) = NULL;
    self->args = NULL;
    KEV_PUBLISH(self->callback, Py_NewRef(Py_None));
    KEV_UNGUARD();
    Py_XDECREF(cancelled);
    Py_XDECREF(arg);
    Py_XDECREF(args);
    Py_XDECREF(callback);
}

LoopObject *
KevHandle_Loop(PyObject *op, ModState *state)
{
    PyObject *loop;
    KEV_GUARD(op);
    loop = Py_XNewRef(((HandleObject *)op)->loop);
    KEV_UNGUARD();
    if (loop != NULL
        && !PyObject_TypeCheck(loop, (PyTypeObject *)state->loop_type)) {
        Py_CLEAR(loop);
    }
    return (LoopObject *)loop;
}

/* Is it cancelled?  What was said before is let go. */
static void
set_cancelled(PyObject *op, PyObject *value)
{
    HandleObject *self = (HandleObject *)op;
    PyObject *before;
    KEV_GUARD(op);
    before = self->cancelled;
    KEV_PUBLISH(self->cancelled, Py_NewRef(value));
    KEV_UNGUARD();
    Py_XDECREF(before);
}

int
KevHandle_CancelOwn(ModState *state, PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    int is_cancelled;
    KEV_GUARD(op);
    is_cancelled = self->cancelled == Py_True;
    KEV_UNGUARD();
    if (is_cancelled) {
        return 0;
    }
    /* Held: a repr, or what is let go, may take the handle's loop away. */
    LoopObject *loop = KevHandle_Loop(op, state);
    if (loop != NULL && loop->debug) {
        /* Callback and arguments go, the words about them stay; among them
           that it is cancelled. */
        set_cancelled(op, Py_True);
        PyObject *text = PyObject_Repr(op);
        if (text == NULL) {
            set_cancelled(op, Py_False);
            Py_DECREF(loop);
            return -1;
        }
        PyObject *before;
        KEV_GUARD(op);
        before = self->repr;
        self->repr = text;
        KEV_UNGUARD();
        Py_XDECREF(before);
    }
    if (loop != NULL && Py_IS_TYPE(op, (PyTypeObject *)state->timer_type)) {
        KevLoop_TimerCancelled(loop, (TimerObject *)op);
    }
    handle_disarm(op);
    Py_XDECREF(loop);
    return 0;
}

static PyObject *
handle_cancel(PyObject *self, PyTypeObject *cls, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "cancel() takes no arguments");
        return NULL;
    }
    ModState *state = PyType_GetModuleState(cls);
    if (state == NULL || KevHandle_CancelOwn(state, self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

int
KevHandle_Cancel(ModState *state, PyObject *handle)
{
    if (Py_IS_TYPE(handle, (PyTypeObject *)state->handle_type)
        || Py_IS_TYPE(handle, (PyTypeObject *)state->timer_type)) {
        return KevHandle_CancelOwn(state, handle);
    }
    PyObject *res = PyObject_CallMethodNoArgs(handle, state->str_cancel);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

PyObject *
KevHandle_Cancelled(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *cancelled;
    KEV_GUARD(self);
    cancelled = Py_XNewRef(((HandleObject *)self)->cancelled);
    KEV_UNGUARD();
    if (cancelled == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_cancelled");
    }
    return cancelled;
}

/* ---- running -------------------------------------------------------- */

/* The callback's result in the handle's context.  New reference or NULL. */
static PyObject *
call_in_context(ModState *state, PyObject *context, PyObject *callback,
                PyObject *args, PyObject *arg)
{
    PyObject *stack[2] = {NULL, arg};  /* [0]: room for a bound self */
    PyObject *const *items;
    size_t nargs;

    if (context == NULL || callback == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "the handle's context or callback was deleted");
        return NULL;
    }
    if (args != NULL && PyTuple_Check(args)) {
        items = &PyTuple_GET_ITEM(args, 0);
        nargs = (size_t)PyTuple_GET_SIZE(args);
    }
    else {
        items = stack + 1;
        nargs = arg != NULL ? (1 | PY_VECTORCALL_ARGUMENTS_OFFSET) : 0;
    }
    if (!PyContext_CheckExact(context)) {
        /* A stranger's context: whatever it is, it has run(). */
        PyObject *run = PyObject_GetAttr(context, state->str_run);
        if (run == NULL) {
            return NULL;
        }
        PyObject *all = PyTuple_New((Py_ssize_t)PyVectorcall_NARGS(nargs)
                                    + 1);
        PyObject *res = NULL;
        if (all != NULL) {
            PyTuple_SET_ITEM(all, 0, Py_NewRef(callback));
            for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(all); i++) {
                PyTuple_SET_ITEM(all, i, Py_NewRef(items[i - 1]));
            }
            res = PyObject_CallObject(run, all);
            Py_DECREF(all);
        }
        Py_DECREF(run);
        return res;
    }
    if (PyContext_Enter(context) < 0) {
        return NULL;
    }
    PyObject *res = PyObject_Vectorcall(callback, items, nargs, NULL);
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(res);
    }
    return res;
}

/* The exception that a callback raised goes to the loop's handler, or on. */
static int
callback_raised(ModState *state, LoopObject *loop, PyObject *handle)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)
        || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        return -1;
    }
    PyObject *exc = KevErr_GetRaised();
    PyObject *res = PyObject_CallMethodObjArgs(
        (PyObject *)loop, state->str_callback_failed, handle, exc, NULL);
    Py_DECREF(exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* A handle of ours, held by the caller; nothing if it is cancelled. */
int
KevHandle_RunOwn(ModState *state, LoopObject *loop, HandleObject *self)
{
    PyObject *arg = NULL;
    PyObject *args = NULL;
    PyObject *context = NULL;
    PyObject *callback = NULL;
    int cancelled;
    KEV_GUARD(self);
    cancelled = self->cancelled == Py_True;
    if (!cancelled) {
        /* The callback may cancel its own handle: hold what is in use.  Any
           slot may be empty: asyncio's descriptors can delete it. */
        arg = Py_XNewRef(*KevHandle_ArgSlot((PyObject *)self));
        args = Py_XNewRef(self->args);
        context = Py_XNewRef(self->context);
        callback = Py_XNewRef(self->callback);
    }
    KEV_UNGUARD();
    if (cancelled) {
        return 0;
    }
    if (arg != NULL && KevWaiter_Is(state, arg) && callback != NULL) {
        Py_SETREF(arg, KevWaiter_GivenTo((WaiterObject *)arg, callback));
    }
    PyObject *res = call_in_context(state, context, callback, args, arg);
    int r = 0;
    if (res == NULL) {
        r = callback_raised(state, loop, (PyObject *)self);
    }
    else {
        Py_DECREF(res);
    }
    Py_XDECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(args);
    Py_XDECREF(arg);
    return r;
}

static int
run_foreign(ModState *state, PyObject *handle)
{
    PyObject *flag = PyObject_GetAttr(handle, state->str_underscore_cancelled);
    if (flag == NULL) {
        return -1;
    }
    int cancelled = PyObject_IsTrue(flag);
    Py_DECREF(flag);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    PyObject *res = PyObject_CallMethodNoArgs(handle,
                                              state->str_underscore_run);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
KevHandle_Run(ModState *state, LoopObject *loop, PyObject *handle)
{
    if (loop->debug) {
        /* Timed and reported by the Python half. */
        PyObject *res = PyObject_CallMethodOneArg(
            (PyObject *)loop, state->str_run_handle_debug, handle);
        Py_XDECREF(res);
        return res == NULL ? -1 : 0;
    }
    if (Py_IS_TYPE(handle, (PyTypeObject *)state->handle_type)
        || Py_IS_TYPE(handle, (PyTypeObject *)state->timer_type)) {
        return KevHandle_RunOwn(state, loop, (HandleObject *)handle);
    }
    if (Py_IS_TYPE(handle, (PyTypeObject *)state->safe_handle_type)) {
        return KevSafeHandle_Run(state, loop, handle);
    }
    return run_foreign(state, handle);
}

/* ---- life and death ------------------------------------------------- */

/* A million timers are a million handles to the collector: it is spared what
   most slots hold, which it would look at in vain. */
#define VISIT_UNLESS(usual, slot)                                         \
    do {                                                                  \
        if (!(usual)) {                                                   \
            Py_VISIT(slot);                                               \
        }                                                                 \
    } while (0)
#define IS_PLAIN(object) ((object) == Py_None || (object) == Py_False      \
                          || (object) == Py_True)

int
KevHandle_Traverse(PyObject *op, visitproc visit, void *arg)
{
    HandleObject *self = (HandleObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->args);
    Py_VISIT(self->callback);
    VISIT_UNLESS(IS_PLAIN(self->cancelled), self->cancelled);
    Py_VISIT(self->context);
    Py_VISIT(self->loop);
    VISIT_UNLESS(IS_PLAIN(self->repr), self->repr);
    VISIT_UNLESS(IS_PLAIN(self->source_traceback), self->source_traceback);
    Py_VISIT(*KevHandle_ArgSlot(op));
    if (KevHandle_IsTimer(op)) {
        TimerObject *timer = (TimerObject *)op;
        Py_VISIT(timer->when);
        VISIT_UNLESS(IS_PLAIN(timer->scheduled), timer->scheduled);
    }
    return 0;
}

int
KevHandle_Clear(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    Py_CLEAR(self->args);
    Py_CLEAR(*KevHandle_ArgSlot(op));
    /* The runner may still meet the handle: keep it whole, but inert. */
    Py_XSETREF(self->callback, Py_NewRef(Py_None));
    Py_XSETREF(self->cancelled, Py_NewRef(Py_True));
    Py_CLEAR(self->context);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->repr);
    Py_CLEAR(self->source_traceback);
    if (KevHandle_IsTimer(op)) {
        Py_CLEAR(((TimerObject *)op)->when);
        Py_CLEAR(((TimerObject *)op)->scheduled);
    }
    return 0;
}

void
KevHandle_ReleaseSlots(HandleObject *self)
{
#if PY_VERSION_HEX < 0x030C0000
    if (self->weakrefs != NULL)
#endif
    {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    Py_XDECREF(self->args);
    Py_XDECREF(self->callback);
    Py_XDECREF(self->cancelled);
    Py_XDECREF(self->context);
    Py_XDECREF(self->loop);
    Py_XDECREF(self->repr);
    Py_XDECREF(self->source_traceback);
}

static void
handle_free(HandleObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    KevHandle_ReleaseSlots(self);
    Py_XDECREF(self->arg);
    ModState *state = KevState_OfDying(type);
    if (state == NULL || state->handle_type != (PyObject *)type
        || !KevFreelist_Keep(&state->aio.handles, (PyObject *)self)) {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
}

static void
timer_free(TimerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    KevHandle_ReleaseSlots((HandleObject *)self);
    Py_XDECREF(self->arg);
    Py_XDECREF(self->scheduled);
    Py_XDECREF(self->when);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/*
 * Handles can hold each other in a chain of any length.  Only what holds the
 * last reference to something can be a link of it, so that most handles go
 * without counting how deep the recursion is.
 */
static inline int
is_last(PyObject *object)
{
    return object != NULL && Py_REFCNT(object) == 1;
}

static inline int
may_recurse(HandleObject *self, PyObject *arg)
{
    return is_last(arg) || is_last(self->args) || is_last(self->callback)
        || is_last(self->context) || is_last(self->repr)
        || is_last(self->cancelled) || is_last(self->source_traceback)
        || is_last(self->loop);
}

static void
handle_dealloc(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    PyObject_GC_UnTrack(self);
    if (!may_recurse(self, self->arg)) {
        handle_free(self);
        return;
    }
    Py_TRASHCAN_BEGIN(op, handle_dealloc)
    handle_free(self);
    Py_TRASHCAN_END
}

static void
timer_dealloc(PyObject *op)
{
    TimerObject *self = (TimerObject *)op;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(op, timer_dealloc)
    timer_free(self);
    Py_TRASHCAN_END
}

/* ---- the types ------------------------------------------------------ */

PyDoc_STRVAR(cancel_doc,
"cancel($self)\n--\n\n"
"Do not run the callback; callback and arguments are let go at once.");
PyDoc_STRVAR(cancelled_doc,
"cancelled($self)\n--\n\n"
"True if cancel() was called.");

static PyMethodDef handle_methods[] = {
    {"cancel", (PyCFunction)(void (*)(void))handle_cancel,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, cancel_doc},
    {"cancelled", KevHandle_Cancelled, METH_NOARGS, cancelled_doc},
    {NULL, NULL, 0, NULL},
};

#ifdef Py_GIL_DISABLED
static inline PyObject *
monitor_of(PyObject *op)
{
    return op;  /* as asyncio's descriptors of the same slots have it */
}
#endif

KEV_GUARD_GET(KevHandle_GetArgs, monitor_of)

static PyGetSetDef handle_getset[] = {
    {"_args", KEV_GUARDED(KevHandle_GetArgs), KevHandle_SetArgs, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* Not immutable: 3.14 allows that only where the bases are. */
#define HANDLE_FLAGS                                                      \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC                               \
     | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, "A callback that call_soon() queued."},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_getset},
    {Py_tp_traverse, KevHandle_Traverse},
    {Py_tp_clear, KevHandle_Clear},
    {Py_tp_dealloc, handle_dealloc},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "kevent._core.Handle",
    .basicsize = sizeof(HandleObject),
    .flags = HANDLE_FLAGS,
    .slots = handle_slots,
};

static PyType_Slot timer_slots[] = {
    {Py_tp_doc, "A callback that call_later() or call_at() scheduled."},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_getset},
    {Py_tp_traverse, KevHandle_Traverse},
    {Py_tp_clear, KevHandle_Clear},
    {Py_tp_dealloc, timer_dealloc},
    {0, NULL},
};

static PyType_Spec timer_spec = {
    .name = "kevent._core.TimerHandle",
    .basicsize = sizeof(TimerObject),
    .flags = HANDLE_FLAGS,
    .slots = timer_slots,
};

int
KevHandle_CheckSlot(PyObject *base, const char *name, size_t offset)
{
    if (!PyType_Check(base)) {
        PyErr_Format(PyExc_ImportError,
                     "kevent does not know this asyncio: %R is no class",
                     base);
        return -1;
    }
    PyObject *descr = PyObject_GetAttrString(base, name);
    if (descr == NULL) {
        return -1;
    }
    int fits = Py_IS_TYPE(descr, &PyMemberDescr_Type)
        && (size_t)((PyMemberDescrObject *)descr)->d_member->offset
            == offset;
    Py_DECREF(descr);
    if (!fits) {
        PyErr_Format(PyExc_ImportError,
                     "kevent does not know this asyncio: the slot %s of %R "
                     "is not where it was", name, base);
        return -1;
    }
    return 0;
}

static int
check_layout(PyObject *handle, PyObject *timer)
{
    static const struct {
        const char *name;
        size_t offset;
    } slots[] = {
        {"_args", offsetof(HandleObject, args)},
        {"_callback", offsetof(HandleObject, callback)},
        {"_cancelled", offsetof(HandleObject, cancelled)},
        {"_context", offsetof(HandleObject, context)},
        {"_loop", offsetof(HandleObject, loop)},
        {"_repr", offsetof(HandleObject, repr)},
        {"_source_traceback", offsetof(HandleObject, source_traceback)},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(slots); i++) {
        if (KevHandle_CheckSlot(handle, slots[i].name, slots[i].offset)
            < 0) {
            return -1;
        }
    }
    if (KevHandle_CheckSlot(timer, "_scheduled",
                            offsetof(TimerObject, scheduled)) < 0
        || KevHandle_CheckSlot(timer, "_when", offsetof(TimerObject, when))
            < 0) {
        return -1;
    }
    if (((PyTypeObject *)handle)->tp_basicsize
            != (Py_ssize_t)offsetof(HandleObject, arg)
        || ((PyTypeObject *)timer)->tp_basicsize
            != (Py_ssize_t)offsetof(TimerObject, arg)) {
        PyErr_SetString(PyExc_ImportError,
                        "kevent does not know this asyncio: its handles "
                        "have another size");
        return -1;
    }
    return 0;
}

int
KevHandle_Setup(PyObject *module, ModState *state)
{
    PyObject *events = PyImport_ImportModule("asyncio.events");
    if (events == NULL) {
        return -1;
    }
    int r = -1;
    PyObject *handle = PyObject_GetAttrString(events, "Handle");
    PyObject *timer = PyObject_GetAttrString(events, "TimerHandle");
    if (handle != NULL && timer != NULL && check_layout(handle, timer) == 0
        && KevModule_AddType(module, &handle_spec, handle,
                             &state->handle_type, 1) == 0
        && KevModule_AddType(module, &timer_spec, timer,
                             &state->timer_type, 1) == 0) {
        r = 0;
    }
    Py_XDECREF(handle);
    Py_XDECREF(timer);
    Py_DECREF(events);
    return r;
}
