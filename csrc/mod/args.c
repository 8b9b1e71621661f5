/*
 * args.c - arguments of the kevent calls, from Python to C.
 */
#include "mod/args.h"

#include "kev/kevent.h"

static int
spread_keyword(const struct arg_spec *spec, PyObject *keyword, PyObject *value,
               PyObject **slots)
{
    for (int i = 0; i < spec->count; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, spec->names[i]) != 0) {
            continue;
        }
        if (slots[i] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument '%s'",
                         spec->call, spec->names[i]);
            return -1;
        }
        slots[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "%s() got an unexpected keyword argument '%U'",
                 spec->call, keyword);
    return -1;
}

static int
spread_positional(const struct arg_spec *spec, PyObject *const *args,
                  Py_ssize_t nargs, PyObject **slots)
{
    if (nargs > spec->count) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d arguments (%zd given)",
                     spec->call, spec->count, nargs);
        return -1;
    }
    for (int i = 0; i < spec->count; i++) {
        slots[i] = i < nargs ? args[i] : NULL;
    }
    return 0;
}

static int
spread_check(const struct arg_spec *spec, PyObject **slots)
{
    for (int i = 0; i < spec->required; i++) {
        if (slots[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing required argument '%s' (pos %d)",
                         spec->call, spec->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}

int
KevArgs_Spread(const struct arg_spec *spec, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames, PyObject **slots)
{
    if (spread_positional(spec, args, nargs, slots) < 0) {
        return -1;
    }
    if (kwnames != NULL) {
        Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
        for (Py_ssize_t i = 0; i < count; i++) {
            if (spread_keyword(spec, PyTuple_GET_ITEM(kwnames, i),
                               args[nargs + i], slots) < 0) {
                return -1;
            }
        }
    }
    return spread_check(spec, slots);
}

int
KevArgs_SpreadTuple(const struct arg_spec *spec, PyObject *args,
                    PyObject *kwargs, PyObject **slots)
{
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    PyObject *items[KEV_ARGS_MAX];
    for (Py_ssize_t i = 0; i < nargs && i < KEV_ARGS_MAX; i++) {
        items[i] = PyTuple_GET_ITEM(args, i);
    }
    if (spread_positional(spec, items, nargs, slots) < 0) {
        return -1;
    }
    if (kwargs != NULL) {
        Py_ssize_t at = 0;
        PyObject *keyword;
        PyObject *value;
        while (PyDict_Next(kwargs, &at, &keyword, &value)) {
            if (spread_keyword(spec, keyword, value, slots) < 0) {
                return -1;
            }
        }
    }
    return spread_check(spec, slots);
}

int
KevArgs_U64(const char *call, const char *name, PyObject *object,
            uint64_t *ret_value)
{
    if (object == NULL) {
        return 0;
    }
    PyObject *number = PyNumber_Index(object);
    if (number == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s(): %s must be an int, not %s",
                         call, name, Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    unsigned long long value = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Format(PyExc_OverflowError,
                     "%s(): %s must be from 0 to 2**64 - 1, not %R",
                     call, name, object);
        return -1;
    }
    *ret_value = value;
    return 0;
}

int
KevArgs_U32(const char *call, const char *name, PyObject *object,
            uint32_t *ret_value)
{
    if (object == NULL) {
        return 0;
    }
    uint64_t value;
    if (KevArgs_U64(call, name, object, &value) < 0) {
        return -1;
    }
    if (value > UINT32_MAX) {
        PyErr_Format(PyExc_OverflowError,
                     "%s(): %s must be from 0 to 2**32 - 1, not %R",
                     call, name, object);
        return -1;
    }
    *ret_value = (uint32_t)value;
    return 0;
}

int
KevArgs_Timeout(const char *call, PyObject *object, uint64_t *ret_ns)
{
    if (object == NULL || object == Py_None) {
        *ret_ns = KEVENT_WAIT_FOREVER;
        return 0;
    }
    if (PyLong_Check(object)) {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (overflow < 0 || (overflow == 0 && value < 0)) {
            PyErr_Format(PyExc_ValueError,
                         "%s(): timeout must not be negative, not %R "
                         "(nanoseconds; None waits for ever)", call, object);
            return -1;
        }
    }
    return KevArgs_U64(call, "timeout", object, ret_ns);
}

static int
id_from_pair(const char *call, PyObject *pair, uint64_t *ret_id)
{
    struct kevent_id id;
    if (PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError,
                     "%s(): id must have 2 halves, not %zd",
                     call, PyTuple_GET_SIZE(pair));
        return -1;
    }
    if (KevArgs_U32(call, "id[0]", PyTuple_GET_ITEM(pair, 0),
                    &id.raw[0]) < 0
        || KevArgs_U32(call, "id[1]", PyTuple_GET_ITEM(pair, 1),
                       &id.raw[1]) < 0)
    {
        return -1;
    }
    *ret_id = id.raw_u64;
    return 0;
}

int
KevArgs_Id(const char *call, PyObject *object, uint64_t *ret_id)
{
    if (PyTuple_Check(object)) {
        return id_from_pair(call, object, ret_id);
    }
    if (PyLong_Check(object) || PyIndex_Check(object)) {
        return KevArgs_U64(call, "id", object, ret_id);
    }
    int fd = PyObject_AsFileDescriptor(object);
    if (fd < 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "%s(): id must be an int, a pair of ints, or have a "
                         "fileno() method, not %s",
                         call, Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    *ret_id = (uint64_t)fd;
    return 0;
}

int
KevArgs_Sigmask(const char *call, PyObject *object, sigset_t *ret_set)
{
    if (object == NULL || object == Py_None) {
        return 0;
    }
    PyObject *signals = PySequence_Tuple(object);
    if (signals == NULL) {
        return -1;
    }
    sigset_t set;
    (void)sigemptyset(&set);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(signals); i++) {
        PyObject *item = PyTuple_GET_ITEM(signals, i);
        uint32_t number = 0;
        if (KevArgs_U32(call, "sigmask", item, &number) < 0) {
            Py_DECREF(signals);
            return -1;
        }
        if (number == 0 || number >= (uint32_t)NSIG
            || sigaddset(&set, (int)number) < 0)
        {
            PyErr_Format(PyExc_ValueError,
                         "%s(): sigmask has %R, which is no signal",
                         call, item);
            Py_DECREF(signals);
            return -1;
        }
    }
    Py_DECREF(signals);
    *ret_set = set;
    return 1;
}
