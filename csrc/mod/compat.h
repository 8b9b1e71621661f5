/*
 * compat.h - what differs between the CPythons that the face builds on.
 */
#ifndef KEV_MOD_COMPAT_H
#define KEV_MOD_COMPAT_H

#include "mod/python.h"

/* Per-object locks exist from 3.13 on, and do something only in a build
   without the GIL; before that the GIL is the lock. */
#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* A word that another thread may change meanwhile: seen or set whole, and with
   what it points at.  And a count that several threads add to, which nothing
   depends on. */
#define KEV_PEEK(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define KEV_POKE(word, value)                                             \
    __atomic_store_n(&(word), (value), __ATOMIC_RELAXED)
#define KEV_PUBLISH(word, value)                                          \
    __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#ifdef Py_GIL_DISABLED
#define KEV_COUNT(count, more)                                            \
    ((void)__atomic_fetch_add(&(count), (more), __ATOMIC_RELAXED))
#else
#define KEV_COUNT(count, more) ((void)((count) += (more)))
#endif

/* The two ends of a block in which an object is this thread's. */
#define KEV_GUARD(monitor) Py_BEGIN_CRITICAL_SECTION((PyObject *)(monitor))
#define KEV_UNGUARD() Py_END_CRITICAL_SECTION()

/* The module's own lock over its table of descriptors. */
#ifdef Py_GIL_DISABLED
#define KEV_FACE_LOCK(state) PyMutex_Lock(&(state)->face.lock)
#define KEV_FACE_UNLOCK(state) PyMutex_Unlock(&(state)->face.lock)
#define KEV_RING_LOCK(queue) PyMutex_Lock(&(queue)->ring_lock)
#define KEV_RING_UNLOCK(queue) PyMutex_Unlock(&(queue)->ring_lock)
#else
#define KEV_FACE_LOCK(state) ((void)(state))
#define KEV_FACE_UNLOCK(state) ((void)(state))
#define KEV_RING_LOCK(queue) ((void)(queue))
#define KEV_RING_UNLOCK(queue) ((void)(queue))
#endif

#endif
