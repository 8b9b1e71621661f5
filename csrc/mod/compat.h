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

/* The module's own lock over its table of descriptors. */
#ifdef Py_GIL_DISABLED
#define KEV_FACE_LOCK(state) PyMutex_Lock(&(state)->face.lock)
#define KEV_FACE_UNLOCK(state) PyMutex_Unlock(&(state)->face.lock)
#else
#define KEV_FACE_LOCK(state) ((void)(state))
#define KEV_FACE_UNLOCK(state) ((void)(state))
#endif

#endif
