/*
 * handle.h - Handle, TimerHandle and _ThreadSafeHandle.
 *
 * All are real subclasses of asyncio's classes, so that isinstance, repr and
 * every inherited method of the running version hold.  Their first words are
 * the slots that asyncio's class statements lay out (sorted by name, then the
 * weak reference list); the module checks that at import and refuses to load
 * on an asyncio that is laid out differently.
 */
#ifndef KEV_AIO_HANDLE_H
#define KEV_AIO_HANDLE_H

#include "mod/state.h"

struct LoopObject;

/* The head of the weak reference list: before the object from 3.12 on. */
#if PY_VERSION_HEX >= 0x030C0000
#define HANDLE_WEAKREFS
#else
#define HANDLE_WEAKREFS PyObject *weakrefs;
#endif

#define HANDLE_SLOTS                                                      \
    PyObject_HEAD                                                         \
    PyObject *args;       /* tuple, or NULL: no argument, or one in arg */ \
    PyObject *callback;   /* None once cancelled */                       \
    PyObject *cancelled;  /* True or False */                             \
    PyObject *context;                                                    \
    PyObject *loop;                                                       \
    PyObject *repr;                                                       \
    PyObject *source_traceback;                                           \
    HANDLE_WEAKREFS

typedef struct HandleObject {
    HANDLE_SLOTS
    PyObject *arg;        /* the only argument; NULL if args is set */
} HandleObject;

struct safe_waiter;

typedef struct SafeHandleObject {
    HANDLE_SLOTS
    PyObject *lock;       /* asyncio._ThreadSafeHandle's slot: not used */
    PyObject *arg;
    unsigned long owner;  /* the thread that is in */
    uint32_t depth;       /* how often it entered; 0: nobody is in */
    struct safe_waiter *waiters;
} SafeHandleObject;

typedef struct TimerObject {
    HANDLE_SLOTS
    PyObject *scheduled;  /* asyncio.TimerHandle's slots */
    PyObject *when;
    PyObject *arg;
    int64_t deadline_ns;
    uint64_t sequence;    /* equal deadlines fire in the order made */
    Py_ssize_t place;     /* index in the loop's heap; -1: not in it */
} TimerObject;

/*
 * New references, or NULL with an exception.  args are borrowed; context is
 * borrowed and may be NULL (or None): a copy of the current one.
 */
PyObject *KevHandle_New(ModState *state, struct LoopObject *loop,
                        PyObject *callback, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *context);
PyObject *KevTimer_New(ModState *state, struct LoopObject *loop,
                       PyObject *when, int64_t deadline_ns,
                       PyObject *callback, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *context);

/* call_soon_threadsafe()'s, if asyncio has a type of its own for it. */
PyObject *KevSafeHandle_New(ModState *state, struct LoopObject *loop,
                            PyObject *callback, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *context);
int KevSafeHandle_Run(ModState *state, struct LoopObject *loop,
                      PyObject *handle);

/*
 * Run a handle of any kind (ours, asyncio's, a stranger's with _run) unless
 * it is cancelled.  0; -1 with an exception that must end the pass: what a
 * callback raises is reported to the loop, SystemExit and KeyboardInterrupt
 * come through.
 */
int KevHandle_Run(ModState *state, struct LoopObject *loop, PyObject *handle);

/* Cancel a handle of any kind.  0 or -1 with an exception. */
int KevHandle_Cancel(ModState *state, PyObject *handle);

/* ImportError unless the class keeps the named slot at offset.  0 or -1. */
int KevHandle_CheckSlot(PyObject *base, const char *name, size_t offset);

int KevHandle_Setup(PyObject *module, ModState *state);
int KevSafeHandle_Setup(PyObject *module, ModState *state);

#endif
