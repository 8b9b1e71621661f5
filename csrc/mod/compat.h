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

/* A word that another thread may change meanwhile: seen or set whole.  And a
   count that several threads add to, which nothing depends on. */
#define KEV_PEEK(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define KEV_POKE(word, value)                                             \
    __atomic_store_n(&(word), (value), __ATOMIC_RELAXED)
#ifdef Py_GIL_DISABLED
#define KEV_COUNT(count, more)                                            \
    ((void)__atomic_fetch_add(&(count), (more), __ATOMIC_RELAXED))
#else
#define KEV_COUNT(count, more) ((void)((count) += (more)))
#endif

/* ThreadSanitizer does not see CPython's locks, unless CPython was built with
   it: tell it what they order. */
#if defined(__SANITIZE_THREAD__) && defined(Py_GIL_DISABLED)
#include <sanitizer/tsan_interface.h>
#define KEV_TSAN_ENTERED(lock) __tsan_acquire((void *)(lock))
#define KEV_TSAN_LEAVES(lock) __tsan_release((void *)(lock))
#else
#define KEV_TSAN_ENTERED(lock) ((void)0)
#define KEV_TSAN_LEAVES(lock) ((void)0)
#endif

/* The two ends of a block in which an object is this thread's. */
#if defined(__SANITIZE_THREAD__) && defined(Py_GIL_DISABLED)
#define KEV_GUARD(monitor)                                                \
    Py_BEGIN_CRITICAL_SECTION((PyObject *)(monitor));                     \
    void *kev_monitor_ = (monitor);                                       \
    KEV_TSAN_ENTERED(kev_monitor_)
#define KEV_UNGUARD()                                                     \
    KEV_TSAN_LEAVES(kev_monitor_);                                        \
    Py_END_CRITICAL_SECTION()
#else
#define KEV_GUARD(monitor) Py_BEGIN_CRITICAL_SECTION((PyObject *)(monitor))
#define KEV_UNGUARD() Py_END_CRITICAL_SECTION()
#endif

/* The module's own lock over its table of descriptors. */
#ifdef Py_GIL_DISABLED
#define KEV_MUTEX_LOCK(mutex)                                             \
    (PyMutex_Lock(mutex), KEV_TSAN_ENTERED(mutex))
#define KEV_MUTEX_UNLOCK(mutex)                                           \
    (KEV_TSAN_LEAVES(mutex), PyMutex_Unlock(mutex))
#define KEV_FACE_LOCK(state) KEV_MUTEX_LOCK(&(state)->face.lock)
#define KEV_FACE_UNLOCK(state) KEV_MUTEX_UNLOCK(&(state)->face.lock)
#define KEV_RING_LOCK(queue) KEV_MUTEX_LOCK(&(queue)->ring_lock)
#define KEV_RING_UNLOCK(queue) KEV_MUTEX_UNLOCK(&(queue)->ring_lock)
#else
#define KEV_FACE_LOCK(state) ((void)(state))
#define KEV_FACE_UNLOCK(state) ((void)(state))
#define KEV_RING_LOCK(queue) ((void)(queue))
#define KEV_RING_UNLOCK(queue) ((void)(queue))
#endif

#endif
