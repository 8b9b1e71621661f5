/*
 * state.h - the one state of a module instance, and how to reach it.
 *
 * Each layer lists what it keeps in an X-macro, so that the struct, traverse
 * and clear cannot disagree.  A hot object caches the ModState pointer at
 * birth: it lives as long as the object's type, and the type keeps the module.
 */
#ifndef KEV_MOD_STATE_H
#define KEV_MOD_STATE_H

#include "mod/python.h"

#include "aio/state_list.h"
#include "mod/state_list.h"

typedef struct {
#define X(name) PyObject *name;
    KEV_FACE_STATE(X)
    KEV_AIO_STATE(X)
#undef X
    struct face_cache face;   /* what is no object */
    struct aio_cache aio;
} ModState;

extern struct PyModuleDef KevModule_Def;

/* The state of an instance's module; NULL with TypeError if there is none. */
static inline ModState *
KevState_OfType(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &KevModule_Def);
    return module == NULL ? NULL : (ModState *)PyModule_GetState(module);
}

/* Of the type of an object that dies: NULL, without an exception, once the
   collector has taken the module from the type. */
static inline ModState *
KevState_OfDying(PyTypeObject *type)
{
    ModState *state = (ModState *)PyType_GetModuleState(type);
    if (state == NULL) {
        PyErr_Clear();
    }
    return state;
}

static inline ModState *
KevState_OfModule(PyObject *module)
{
    return (ModState *)PyModule_GetState(module);
}

/* Makes a type from its spec in this module, stores it (a strong reference)
   in *slot, and adds it to the module if public.  0 or -1, exception set. */
int KevModule_AddType(PyObject *module, PyType_Spec *spec, PyObject *bases,
                      PyObject **slot, int is_public);

/* What each layer does at import.  0 or -1 with an exception. */
int KevFace_Setup(PyObject *module, ModState *state);
void KevFace_Teardown(ModState *state);
int KevAio_Setup(PyObject *module, ModState *state);
void KevAio_Teardown(ModState *state);

#endif
