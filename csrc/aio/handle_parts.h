/*
 * handle_parts.h - what the files of the handles share.
 */
#ifndef KEV_AIO_HANDLE_PARTS_H
#define KEV_AIO_HANDLE_PARTS_H

#include "aio/handle.h"
#include "aio/loop.h"

/* What a handle of any kind needs, before memory is taken for it: nothing to
   undo later. */
struct handle_parts {
    PyObject *args;      // strong or NULL
    PyObject *arg;       // strong or NULL
    PyObject *context;   // strong
    PyObject *source;    // strong: a list or None
};

/* Arguments as KevHandle_New().  0 or -1 with an exception. */
int KevHandle_MakeParts(ModState *state, LoopObject *loop,
                        PyObject *const *args, Py_ssize_t nargs,
                        PyObject *context, struct handle_parts *parts);

static inline void
KevHandle_DropParts(struct handle_parts *parts)
{
    Py_DECREF(parts->context);
    Py_XDECREF(parts->arg);
    Py_XDECREF(parts->args);
    Py_DECREF(parts->source);
}

/* Moves the parts into the slots that all kinds have. */
static inline void
KevHandle_Commit(HandleObject *self, const struct handle_parts *parts,
                 PyObject *callback, LoopObject *loop)
{
    self->args = parts->args;
    self->callback = Py_NewRef(callback);
    self->cancelled = Py_NewRef(Py_False);
    self->context = parts->context;
    self->loop = Py_NewRef((PyObject *)loop);
    self->repr = Py_NewRef(Py_None);
    self->source_traceback = parts->source;
#if PY_VERSION_HEX < 0x030C0000
    self->weakrefs = NULL;
#endif
}

/* The types cannot be subclassed, so the size tells them apart without the
   module's state. */
_Static_assert(sizeof(TimerObject) != sizeof(HandleObject)
               && sizeof(TimerObject) != sizeof(SafeHandleObject)
               && sizeof(SafeHandleObject) != sizeof(HandleObject),
               "kinds of handles have sizes of their own");

static inline int
KevHandle_IsTimer(PyObject *self)
{
    return Py_TYPE(self)->tp_basicsize == (Py_ssize_t)sizeof(TimerObject);
}

static inline PyObject **
KevHandle_ArgSlot(PyObject *self)
{
    Py_ssize_t size = Py_TYPE(self)->tp_basicsize;
    if (size == (Py_ssize_t)sizeof(HandleObject)) {
        return &((HandleObject *)self)->arg;
    }
    return size == (Py_ssize_t)sizeof(TimerObject)
        ? &((TimerObject *)self)->arg : &((SafeHandleObject *)self)->arg;
}

/* The handle's loop if it is ours, a new reference, or NULL. */
LoopObject *KevHandle_Loop(PyObject *op, ModState *state);

/* cancel() of a handle of ours.  0 or -1 with an exception. */
int KevHandle_CancelOwn(ModState *state, PyObject *op);

/* Call a handle of ours, which the caller holds, unless it is cancelled.  As
   KevHandle_Run(). */
int KevHandle_RunOwn(ModState *state, LoopObject *loop, HandleObject *self);

/* Methods, attributes and slots of all kinds. */
PyObject *KevHandle_Cancelled(PyObject *self, PyObject *ignored);
PyObject *KevHandle_GetArgs(PyObject *op, void *closure);
int KevHandle_SetArgs(PyObject *op, PyObject *value, void *closure);
int KevHandle_Traverse(PyObject *op, visitproc visit, void *arg);
int KevHandle_Clear(PyObject *op);
void KevHandle_ReleaseSlots(HandleObject *self);

#endif
