/*
 * errors.c - OSError with the call and the argument that it is about.
 */
#include "mod/errors.h"

#include <stdarg.h>
#include <string.h>

PyObject *
KevErr_Set(int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *about = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (about == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("%s: %U", strerror(err), about);
    Py_DECREF(about);
    if (text == NULL) {
        return NULL;
    }
    PyObject *pair = Py_BuildValue("(iN)", err, text);
    if (pair != NULL) {
        PyErr_SetObject(PyExc_OSError, pair);
        Py_DECREF(pair);
    }
    return NULL;
}
