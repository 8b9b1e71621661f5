/*
 * args.h - arguments of the kevent calls, from Python to C.
 *
 * Every converter says in its message which argument of which call is wrong,
 * which is why each takes both names.
 */
#ifndef KEV_MOD_ARGS_H
#define KEV_MOD_ARGS_H

#include "mod/python.h"

#include <signal.h>
#include <stdint.h>

/* The most arguments that a call here has. */
#define KEV_ARGS_MAX 8

struct arg_spec {
    const char *call;
    const char *names[KEV_ARGS_MAX];   /* in order of position */
    int count;
    int required;                      /* how many of the first are */
};

/*
 * Spreads a vectorcall's arguments over slots[spec->count], borrowed; those
 * not given are NULL.  0, or -1 with TypeError.
 */
int KevArgs_Spread(const struct arg_spec *spec, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, PyObject **slots);

/* The same for tp_new's and tp_init's tuple and dict. */
int KevArgs_SpreadTuple(const struct arg_spec *spec, PyObject *args,
                        PyObject *kwargs, PyObject **slots);

/* An int in [0, 2**32); NULL object leaves *ret_value.  0 or -1. */
int KevArgs_U32(const char *call, const char *name, PyObject *object,
                uint32_t *ret_value);

/* An int in [0, 2**64).  0 or -1 with TypeError or OverflowError. */
int KevArgs_U64(const char *call, const char *name, PyObject *object,
                uint64_t *ret_value);

/* A timeout in ns: None (or not given) and KEVENT_WAIT_FOREVER mean for
   ever, a negative number is a ValueError. */
int KevArgs_Timeout(const char *call, PyObject *object, uint64_t *ret_ns);

/* An id: an int, a pair of 32-bit ints, or an object with fileno(). */
int KevArgs_Id(const char *call, PyObject *object, uint64_t *ret_id);

/* A set of signal numbers: 1 and *ret_set, 0 if None or not given, -1. */
int KevArgs_Sigmask(const char *call, PyObject *object, sigset_t *ret_set);

#endif
