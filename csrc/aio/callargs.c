/*
 * callargs.c - the uncommon ways to call call_soon() and its like.
 */
#include "aio/callargs.h"

int
KevCall_IsContextSlow(ModState *state, PyObject *name)
{
    if (PyUnicode_CompareWithASCIIString(name, "context") != 0) {
        return 0;
    }
#ifdef Py_GIL_DISABLED
    /* The first one stays: others may be reading it. */
    PyObject *none = NULL;
    Py_INCREF(name);
    if (!__atomic_compare_exchange_n(&state->context_alias, &none, name, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        Py_DECREF(name);
    }
#else
    Py_XSETREF(state->context_alias, Py_NewRef(name));
#endif
    return 1;
}

int
KevCall_ParseSlow(const char *function, const char *const *names,
                  Py_ssize_t named, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames, struct call_args *ret)
{
    Py_ssize_t positional = nargs < named ? nargs : named;
    for (Py_ssize_t i = 0; i < named; i++) {
        ret->named[i] = i < positional ? args[i] : NULL;
    }
    ret->rest = args + positional;
    ret->rest_count = nargs - positional;
    ret->context = NULL;

    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        PyObject *value = args[nargs + k];
        if (PyUnicode_CompareWithASCIIString(name, "context") == 0) {
            ret->context = value;
            continue;
        }
        Py_ssize_t i = 0;
        while (i < named
               && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) {
            i++;
        }
        if (i == named) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got an unexpected keyword argument %R",
                         function, name);
            return -1;
        }
        if (ret->named[i] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument %R",
                         function, name);
            return -1;
        }
        ret->named[i] = value;
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        if (ret->named[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing required argument '%s'", function,
                         names[i]);
            return -1;
        }
    }
    return 0;
}

int
KevCall_OneArgumentSlow(const char *method, const char *name,
                        PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames, PyObject **ret)
{
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs + keywords > 1) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most 1 argument (%zd given)", method,
                     nargs + keywords);
        return -1;
    }
    if (keywords == 1
        && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0),
                                            name) != 0) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument %R", method,
                     PyTuple_GET_ITEM(kwnames, 0));
        return -1;
    }
    if (nargs + keywords == 1) {
        *ret = args[0];
    }
    if (*ret == NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%s() missing 1 required positional argument: '%s'",
                     method, name);
        return -1;
    }
    return 0;
}
