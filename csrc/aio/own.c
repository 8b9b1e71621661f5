/*
 * own.c - which methods of an object are still ours.
 */
#include "aio/own.h"

static inline PyObject *
name_of(const ModState *state, const struct own_method *method)
{
    return *(PyObject *const *)((const char *)state + method->name);
}

/* Whether type (a class) has our method. */
static int
is_own(const ModState *state, PyTypeObject *type,
       const struct own_method *method)
{
    PyObject *found = PyObject_GetAttr((PyObject *)type,
                                       name_of(state, method));
    if (found == NULL) {
        PyErr_Clear();
        return 0;
    }
    int r = Py_IS_TYPE(found, &PyMethodDescr_Type)
        && ((PyMethodDescrObject *)found)->d_method->ml_meth
               == method->function;
    Py_DECREF(found);
    return r;
}

void
KevOwn_Look(struct own *self, const ModState *state, PyTypeObject *type,
            const struct own_method *table, int count)
{
    unsigned found = 0;
    /* What looks up its attributes in another way is asked each time. */
    if (type->tp_getattro != PyObject_GenericGetAttr) {
        count = 0;
    }
    for (int i = 0; i < count; i++) {
        found |= (unsigned)is_own(state, type, &table[i]) << i;
    }
    self->is_own = (unsigned char)(found & ~(unsigned)self->replaced);
    /* The look-ups have given the class a tag, if there was one to be had. */
    self->version = type->tp_version_tag;
}

/* Two interned strings are one if they are equal. */
static inline int
is_named(PyObject *name, PyObject *interned)
{
    return name == interned
        || (PyUnicode_Check(name) && !PyUnicode_CHECK_INTERNED(name)
            && PyUnicode_Compare(name, interned) == 0);
}

int
KevOwn_SetAttr(struct own *self, const ModState *state, PyObject *op,
               const struct own_method *table, int count, PyObject *name,
               PyObject *value)
{
    int r = PyObject_GenericSetAttr(op, name, value);
    for (int i = 0; i < count && state != NULL; i++) {
        if (is_named(name, name_of(state, &table[i]))) {
            self->replaced |= (unsigned char)(1u << i);
            self->version = 0;
        }
    }
    return r;
}

/* ---- handing down ----------------------------------------------------- */

/* cls gets a descriptor of its own for a method that it inherits from base.
   0 or -1. */
static int
hand_down(PyTypeObject *cls, PyTypeObject *base, PyMethodDef *method)
{
    if ((method->ml_flags & (METH_CLASS | METH_STATIC | METH_METHOD)) != 0) {
        return 0;
    }
    PyObject *found = PyObject_GetAttrString((PyObject *)cls,
                                             method->ml_name);
    if (found == NULL) {
        return -1;
    }
    int is_inherited = Py_IS_TYPE(found, &PyMethodDescr_Type)
        && ((PyMethodDescrObject *)found)->d_method == method
        && PyDescr_TYPE(found) == base;
    Py_DECREF(found);
    if (!is_inherited) {
        return 0;
    }
    PyObject *own = PyDescr_NewMethod(cls, method);
    if (own == NULL) {
        return -1;
    }
    int r = PyObject_SetAttrString((PyObject *)cls, method->ml_name, own);
    Py_DECREF(own);
    return r;
}

/* The class that most objects of a type are of. */
static void
remember(ModState *state, PyObject *base, PyObject *cls)
{
    if (base == state->reader_type) {
        Py_XSETREF(state->reader_class, Py_NewRef(cls));
    }
    else if (base == state->stream_protocol_type) {
        Py_XSETREF(state->stream_protocol_class, Py_NewRef(cls));
    }
    else if (base == state->loop_type) {
        Py_XSETREF(state->loop_class, Py_NewRef(cls));
    }
    else if (base == state->stream_type) {
        Py_XSETREF(state->stream_class, Py_NewRef(cls));
    }
}

/* Whether type (a class) is one of the module's in C. */
static int
is_ours(PyObject *module, PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        return 0;
    }
    PyObject *found = PyType_GetModule(type);
    if (found == NULL) {
        PyErr_Clear();
    }
    return found == module;
}

PyObject *
KevOwn_HandDown(PyObject *module, PyObject *op)
{
    if (!PyType_Check(op)) {
        PyErr_Format(PyExc_TypeError, "hand_down(): cls must be a class, "
                     "not '%.100s'", Py_TYPE(op)->tp_name);
        return NULL;
    }
    PyTypeObject *cls = (PyTypeObject *)op;
    ModState *state = KevState_OfModule(module);
    if (cls->tp_mro == NULL) {
        PyErr_SetString(PyExc_TypeError, "hand_down(): cls is not ready");
        return NULL;
    }
    PyObject *mro = Py_NewRef(cls->tp_mro);
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        PyMethodDef *method = is_ours(module, base) ? base->tp_methods : NULL;
        remember(state, (PyObject *)base, op);
        while (r == 0 && method != NULL && method->ml_name != NULL) {
            r = hand_down(cls, base, method++);
        }
    }
    Py_DECREF(mro);
    return r < 0 ? NULL : Py_NewRef(op);
}
