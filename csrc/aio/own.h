/*
 * own.h - which methods of an object are still ours.
 *
 * Calling our own method from C without a look-up is right only as long as
 * nobody has put another in its place: in a subclass, in the class later, or
 * in the one object.  The class's version tag tells of the first two; the
 * type's setattro, KevOwn_SetAttr(), of the third.
 */
#ifndef KEV_AIO_OWN_H
#define KEV_AIO_OWN_H

#include "mod/state.h"

struct own_method {
    size_t name;             /* where in ModState its interned name is */
    PyCFunction function;
};

#define OWN_METHOD(field, method)              \
    {offsetof(ModState, field),                \
     (PyCFunction)(void (*)(void))(method)}

/* One in each object; zero to begin with. */
struct own {
    unsigned int version;    /* of the class, at the last look; 0: none */
    unsigned char is_own;    /* a bit for each method of the table */
    unsigned char replaced;  /* those that were set in the object itself */
};

/* Looks at the class again. */
void KevOwn_Look(struct own *self, const ModState *state, PyTypeObject *type,
                 const struct own_method *table, int count);

/* Whether calling method number `which` would call ours. */
static inline int
KevOwn_Has(struct own *self, const ModState *state, PyTypeObject *type,
           const struct own_method *table, int count, int which)
{
    if (self->version == 0 || self->version != type->tp_version_tag) {
        KevOwn_Look(self, state, type, table, count);
    }
    return (self->is_own >> which) & 1;
}

/* The same without a look, which may run a program: no if one is needed. */
static inline int
KevOwn_Knows(const struct own *self, PyTypeObject *type, int which)
{
    return self->version != 0 && self->version == type->tp_version_tag
        && ((self->is_own >> which) & 1);
}

/* What tp_setattro does: PyObject_GenericSetAttr, and takes notice. */
int KevOwn_SetAttr(struct own *self, const ModState *state, PyObject *op,
                   const struct own_method *table, int count, PyObject *name,
                   PyObject *value);

/*
 * hand_down(cls): cls, a class in Python on a type of ours, gets descriptors
 * of its own for the methods that it inherits from us.  The interpreter calls
 * a method in C directly only where the object is exactly of the class whose
 * the descriptor is; through an inherited one it goes the long way.
 */
PyObject *KevOwn_HandDown(PyObject *module, PyObject *cls);

#endif
