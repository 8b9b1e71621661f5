/*
 * selector_map.c - what a selector's get_map() returns: its keys by file
 * object, a view that cannot be written.
 *
 * kevent.selectors derives the public type from this one and Mapping, which
 * brings keys(), values(), items() and comparison.
 */
#include "mod/compat.h"
#include "mod/selector.h"

typedef struct {
    PyObject_HEAD
    SelectorObject *selector;    /* strong */
} MapObject;

static int
map_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((MapObject *)op)->selector);
    return 0;
}

static int
map_tp_clear(PyObject *op)
{
    Py_CLEAR(((MapObject *)op)->selector);
    return 0;
}

static void
map_tp_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)map_tp_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* 1 and a new reference to the key, 0 if there is none, -1 on error. */
static int
map_find(PyObject *op, PyObject *fileobj, PyObject **ret_key)
{
    SelectorObject *selector = ((MapObject *)op)->selector;
    if (selector == NULL) {
        return 0;
    }
    int found;
    KEV_GUARD(selector);
    long fd = KevSelector_Lookup(selector, fileobj);
    struct watch *watch = fd < 0 ? NULL : watches_get(&selector->watches, fd);
    found = fd < 0 ? -1 : watch != NULL;
    if (watch != NULL) {
        *ret_key = Py_NewRef(watch->key);
    }
    KEV_UNGUARD();
    return found;
}

static Py_ssize_t
map_mp_length(PyObject *op)
{
    SelectorObject *selector = ((MapObject *)op)->selector;
    Py_ssize_t count = 0;
    if (selector != NULL) {
        KEV_GUARD(selector);
        count = selector->watches.count;
        KEV_UNGUARD();
    }
    return count;
}

static PyObject *
map_mp_subscript(PyObject *op, PyObject *fileobj)
{
    PyObject *key = NULL;
    int found = map_find(op, fileobj, &key);
    return found == 0 ? KevSelector_NotRegistered(fileobj) : key;
}

static int
map_sq_contains(PyObject *op, PyObject *fileobj)
{
    PyObject *key = NULL;
    int found = map_find(op, fileobj, &key);
    Py_XDECREF(key);
    return found;
}

static PyObject *
map_get(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError,
                     "get() takes 1 or 2 arguments (%zd given)", nargs);
        return NULL;
    }
    PyObject *key = NULL;
    if (map_find(op, args[0], &key) == 0) {
        return Py_NewRef(nargs > 1 ? args[1] : Py_None);
    }
    return key;
}

/* The descriptors, oldest first, as they are now: a selector may change while
   its keys are walked. */
static PyObject *
map_tp_iter(PyObject *op)
{
    PyObject *fds = PyList_New(0);
    SelectorObject *selector = ((MapObject *)op)->selector;
    if (fds == NULL || selector == NULL) {
        return fds == NULL ? NULL : PySeqIter_New(fds);
    }
    int r = 0;
    KEV_GUARD(selector);
    struct watches *watches = &selector->watches;
    int fd = watches->first;
    while (r == 0 && fd >= 0 && fd < watches->size) {
        PyObject *item = PyLong_FromLong(fd);
        r = item == NULL ? -1 : PyList_Append(fds, item);
        Py_XDECREF(item);
        fd = watches->by_fd[fd].next;
    }
    KEV_UNGUARD();
    PyObject *iterator = r < 0 ? NULL : PySeqIter_New(fds);
    Py_DECREF(fds);
    return iterator;
}

PyDoc_STRVAR(map_doc,
"The keys of a selector by file object or descriptor; read only.");

PyDoc_STRVAR(get_doc,
"get($self, fileobj, default=None, /)\n--\n\n"
"The SelectorKey of a registered file object, else the default.");

static PyMethodDef map_methods[] = {
    {"get", (PyCFunction)(void (*)(void))map_get, METH_FASTCALL, get_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot map_slots[] = {
    {Py_tp_doc, (void *)map_doc},
    {Py_tp_traverse, map_tp_traverse},
    {Py_tp_clear, map_tp_clear},
    {Py_tp_dealloc, map_tp_dealloc},
    {Py_tp_iter, map_tp_iter},
    {Py_tp_methods, map_methods},
    {Py_mp_length, map_mp_length},
    {Py_mp_subscript, map_mp_subscript},
    {Py_sq_contains, map_sq_contains},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "kevent._core.SelectorMap",
    .basicsize = sizeof(MapObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
        | Py_TPFLAGS_MAPPING | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};

PyObject *
KevSelectorMap_New(SelectorObject *selector)
{
    PyObject *class = PyObject_GetAttrString(
        (PyObject *)Py_TYPE(selector), "_map_type");
    if (class == NULL) {
        return NULL;
    }
    PyTypeObject *base = (PyTypeObject *)selector->state->selector_map_type;
    MapObject *map = NULL;
    if (!PyType_Check(class) || !PyType_IsSubtype((PyTypeObject *)class, base))
    {
        PyErr_Format(PyExc_TypeError, "_map_type is %R, no SelectorMap",
                     class);
    }
    else {
        map = (MapObject *)((PyTypeObject *)class)->tp_alloc(
            (PyTypeObject *)class, 0);
    }
    Py_DECREF(class);
    if (map != NULL) {
        map->selector = (SelectorObject *)Py_NewRef((PyObject *)selector);
    }
    return (PyObject *)map;
}

int
KevSelectorMap_Setup(PyObject *module, ModState *state)
{
    return KevModule_AddType(module, &map_spec, NULL,
                             &state->selector_map_type, 1);
}
