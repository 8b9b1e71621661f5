/*
 * compat.h - what newer CPythons have and 3.11 has not, in one place.
 */
#ifndef KEV_AIO_COMPAT_H
#define KEV_AIO_COMPAT_H

#include "mod/python.h"

/* The exception being raised, normalised, taken off the thread: a new
   reference.  One must be set. */
static inline PyObject *
KevErr_GetRaised(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        (void)PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_XDECREF(type);
    return value;
#endif
}

/* 1 with a new reference, 0 if there is no such key, -1 with an exception. */
static inline int
KevDict_Get(PyObject *dict, PyObject *key, PyObject **ret)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyDict_GetItemRef(dict, key, ret);
#else
    *ret = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *ret != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
}

/* Put it back: steals exc, which may be NULL (then nothing is set). */
static inline void
KevErr_SetRaised(PyObject *exc)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exc);
#else
    if (exc == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exc)), exc,
                  PyException_GetTraceback(exc));
#endif
}

#endif
