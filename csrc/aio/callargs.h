/*
 * callargs.h - arguments of calls like (..., callback, *args, context=None).
 */
#ifndef KEV_AIO_CALLARGS_H
#define KEV_AIO_CALLARGS_H

#include "mod/compat.h"
#include "mod/state.h"

/*
 * What was given: `named` leading parameters, in order, by position or by
 * name; then the rest by position; context by name.  All borrowed.
 */
struct call_args {
    PyObject *named[2];
    PyObject *const *rest;
    Py_ssize_t rest_count;
    PyObject *context;
};

/* Everything that is not the common case.  0 or -1 with TypeError. */
int KevCall_ParseSlow(const char *function, const char *const *names,
                      Py_ssize_t named, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames,
                      struct call_args *ret);

/* Remembers a name that is not the interned one but says "context". */
int KevCall_IsContextSlow(ModState *state, PyObject *name);

static inline int
KevCall_IsContext(ModState *state, PyObject *name)
{
    /* asyncio's C tasks pass a string of their own. */
    return name == state->str_context
        || name == KEV_PEEK(state->context_alias)
        || KevCall_IsContextSlow(state, name);
}

static inline int
KevCall_Parse(ModState *state, const char *function,
              const char *const *names, Py_ssize_t named,
              PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
              struct call_args *ret)
{
    if (nargs >= named
        && (kwnames == NULL
            || (PyTuple_GET_SIZE(kwnames) == 1
                && KevCall_IsContext(state, PyTuple_GET_ITEM(kwnames, 0))))) {
        for (Py_ssize_t i = 0; i < named; i++) {
            ret->named[i] = args[i];
        }
        ret->rest = args + named;
        ret->rest_count = nargs - named;
        ret->context = kwnames == NULL ? NULL : args[nargs];
        return 0;
    }
    return KevCall_ParseSlow(function, names, named, args, nargs, kwnames,
                             ret);
}

/* The one argument that the method takes, by place or by name: borrowed in
   *ret, untouched if it was not given.  0 or -1 with TypeError. */
int KevCall_OneArgumentSlow(const char *method, const char *name,
                            PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames, PyObject **ret);

static inline int
KevCall_OneArgument(const char *method, const char *name,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames, PyObject **ret)
{
    if (nargs == 1 && kwnames == NULL) {
        *ret = args[0];
        return 0;
    }
    return KevCall_OneArgumentSlow(method, name, args, nargs, kwnames, ret);
}

/* Defines `named`, which calls function(op, arg) and takes its argument by
   name, too, as a method in Python does. */
#define KEV_ONE_ARGUMENT(named, function, method, name)                   \
    static PyObject *named(PyObject *op, PyObject *const *args,           \
                           Py_ssize_t nargs, PyObject *kwnames)           \
    {                                                                     \
        PyObject *arg = NULL;                                             \
        return KevCall_OneArgument(method, name, args, nargs, kwnames,    \
                                   &arg) < 0                              \
            ? NULL : function(op, arg);                                   \
    }

/* A function with METH_FASTCALL | METH_KEYWORDS as the table has it. */
#define KEYWORD_METHOD(function) ((PyCFunction)(void (*)(void))function)
#define KEYWORD_FLAGS (METH_FASTCALL | METH_KEYWORDS)

#endif
