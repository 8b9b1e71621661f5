/*
 * module.c - kevent._core: where the layers are put together.
 *
 * Multi-phase initialisation, heap types, no static data of our own: each
 * sub-interpreter that imports the module has its own state, so each may have
 * a GIL of its own, too.  Nor is there need of any GIL: the face locks by
 * queue and by selector (descriptor.c, selector.c), the loop as aio/guard.h
 * says.
 */
#include "mod/state.h"

int
KevModule_AddType(PyObject *module, PyType_Spec *spec, PyObject *bases,
                  PyObject **slot, int is_public)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    if (type == NULL) {
        return -1;
    }
    Py_XSETREF(*slot, type);
    if (is_public) {
        return PyModule_AddType(module, (PyTypeObject *)type);
    }
    return 0;
}

static int
module_exec(PyObject *module)
{
    ModState *state = KevState_OfModule(module);
    if (KevFace_Setup(module, state) < 0) {
        return -1;
    }
    return KevAio_Setup(module, state);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    ModState *state = KevState_OfModule(module);
#define X(name) Py_VISIT(state->name);
    KEV_FACE_STATE(X)
    KEV_AIO_STATE(X)
#undef X
    return 0;
}

static int
module_clear(PyObject *module)
{
    ModState *state = KevState_OfModule(module);
    KevAio_Teardown(state);
    KevFace_Teardown(state);
#define X(name) Py_CLEAR(state->name);
    KEV_FACE_STATE(X)
    KEV_AIO_STATE(X)
#undef X
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear((PyObject *)module);
}

PyDoc_STRVAR(module_doc,
"The C half of kevent: queue and ring, the kevent calls, the event loop.");

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef KevModule_Def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "kevent._core",
    .m_doc = module_doc,
    .m_size = sizeof(ModState),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&KevModule_Def);
}
