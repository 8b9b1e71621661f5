/*
 * guard.h - one thread at a time inside an object, where there is no GIL.
 *
 * A loop has one owner thread, and still others meet it there: those that
 * call call_soon_threadsafe() or cancel a handle, the collector, whoever lets
 * go of a transport last, and programs that are simply wrong, which asyncio
 * survives.  With the GIL, C code that calls no Python is alone.  Without it
 * the same is had by a critical section, which is let go while its thread
 * blocks, as the GIL is: what is true in it is what is true between two calls
 * of Python, and the code is written for that.
 *
 * A loop, its queues, timers and descriptors and all its streams have one
 * guard between them, the monitor: the loop's ready queue, which each stream
 * holds.  A handle has its own, and so have readers, writers and protocols:
 * the object itself, as asyncio's own descriptors of the same fields lock it.
 *
 * No guard is held while a callback or a method of a protocol runs that is
 * called for each packet: such code calls back into its loop, and to enter a
 * guard twice is slow, if harmless.
 *
 * In the ordinary build all of this is nothing.  KEV_GUARD and KEV_UNGUARD,
 * the two ends of a guarded block, are in mod/compat.h: the selector has them,
 * too.
 */
#ifndef KEV_AIO_GUARD_H
#define KEV_AIO_GUARD_H

#include "mod/compat.h"
#include "mod/python.h"

/* Two at once: to hold one and enter the other is to let go of the first. */
#ifdef Py_GIL_DISABLED
#define KEV_GUARD2(one, other)                                            \
    Py_BEGIN_CRITICAL_SECTION2((PyObject *)(one), (PyObject *)(other))
#define KEV_UNGUARD2() Py_END_CRITICAL_SECTION2()
#else
#define KEV_GUARD2(one, other) {
#define KEV_UNGUARD2() }
#endif

/*
 * For whole methods: KEV_GUARD_METHOD(name, monitor_of) and its like define
 * a guarded twin, KEV_GUARDED(name) in a table of methods is that twin, or
 * the function itself in the ordinary build.
 */
#ifdef Py_GIL_DISABLED

#define KEV_GUARDED(name) name##_guarded

#define KEV_GUARD_FUNCTION(type, name, monitor_of, parameters, arguments) \
    static type name##_guarded parameters                                 \
    {                                                                     \
        type result;                                                      \
        KEV_GUARD(monitor_of(op));                                        \
        result = name arguments;                                          \
        KEV_UNGUARD();                                                    \
        return result;                                                    \
    }

#else

#define KEV_GUARDED(name) name
#define KEV_GUARD_FUNCTION(type, name, monitor_of, parameters, arguments)

#endif

#define KEV_GUARD_METHOD(name, monitor_of)                                \
    KEV_GUARD_FUNCTION(PyObject *, name, monitor_of,                      \
                       (PyObject *op, PyObject *arg), (op, arg))
#define KEV_GUARD_FAST(name, monitor_of)                                  \
    KEV_GUARD_FUNCTION(PyObject *, name, monitor_of,                      \
                       (PyObject *op, PyObject *const *args,              \
                        Py_ssize_t nargs, PyObject *kwnames),             \
                       (op, args, nargs, kwnames))
#define KEV_GUARD_GET(name, monitor_of)                                   \
    KEV_GUARD_FUNCTION(PyObject *, name, monitor_of,                      \
                       (PyObject *op, void *closure), (op, closure))
#define KEV_GUARD_SET(name, monitor_of)                                   \
    KEV_GUARD_FUNCTION(int, name, monitor_of,                             \
                       (PyObject *op, PyObject *value, void *closure),    \
                       (op, value, closure))

#endif
