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
    for (int i = 0; i < count; i++) {
        found |= (unsigned)is_own(state, type, &table[i]) << i;
    }
    self->is_own = (unsigned char)(found & ~(unsigned)self->replaced);
    /* The look-ups have given the class a tag, if there was one to be had. */
    self->version = type->tp_version_tag;
}

int
KevOwn_SetAttr(struct own *self, const ModState *state, PyObject *op,
               const struct own_method *table, int count, PyObject *name,
               PyObject *value)
{
    int r = PyObject_GenericSetAttr(op, name, value);
    for (int i = 0; i < count && state != NULL; i++) {
        if (name == name_of(state, &table[i])) {
            self->replaced |= (unsigned char)(1u << i);
            self->version = 0;
        }
    }
    return r;
}
