/*
 * setup.c - what the loop layer needs from Python, looked up at import.
 */
#include "aio/datagram.h"
#include "aio/handle.h"
#include "aio/loop.h"
#include "aio/own.h"
#include "aio/pipe.h"
#include "aio/ready.h"
#include "aio/sock.h"
#include "aio/stream.h"
#include "aio/streams.h"

static int
intern_names(ModState *state)
{
#define X(field, text)                                                    \
    state->field = PyUnicode_InternFromString(text);                      \
    if (state->field == NULL) {                                           \
        return -1;                                                        \
    }
    KEV_AIO_NAMES(X)
#undef X
    return 0;
}

/* module.attribute, a new reference in *slot; None if optional and absent. */
static int
look_up(const char *module, const char *attribute, int optional,
        PyObject **slot)
{
    PyObject *imported = PyImport_ImportModule(module);
    if (imported == NULL) {
        return -1;
    }
    *slot = PyObject_GetAttrString(imported, attribute);
    Py_DECREF(imported);
    if (*slot == NULL && optional
        && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        *slot = Py_NewRef(Py_None);
    }
    return *slot == NULL ? -1 : 0;
}

/* module.class.method, a new reference in *slot. */
static int
look_up_method(const char *module, const char *cls, const char *method,
               PyObject **slot)
{
    PyObject *type = NULL;
    if (look_up(module, cls, 0, &type) < 0) {
        return -1;
    }
    *slot = PyObject_GetAttrString(type, method);
    Py_DECREF(type);
    return *slot == NULL ? -1 : 0;
}

static PyMethodDef aio_functions[] = {
    {"hand_down", KevOwn_HandDown, METH_O,
     "hand_down($module, cls, /)\n--\n\n"
     "Give cls, a class on a type of this module, descriptors of its own\n"
     "for the methods that it inherits from there, and return it: the\n"
     "interpreter calls such methods faster.  TypeError if it is no class."},
    {NULL, NULL, 0, NULL},
};

int
KevAio_Setup(PyObject *module, ModState *state)
{
    if (intern_names(state) < 0
        || PyModule_AddFunctions(module, aio_functions) < 0
        || look_up("asyncio.format_helpers", "extract_stack", 0,
                   &state->extract_stack) < 0
        || look_up("sys", "_getframe", 0, &state->getframe) < 0
        || look_up("asyncio.protocols", "BufferedProtocol", 0,
                   &state->buffered_protocol) < 0
        || look_up("asyncio.events", "_ThreadSafeHandle", 1,
                   &state->thread_safe_handle) < 0
        || look_up("asyncio.futures", "_set_result_unless_cancelled", 0,
                   &state->set_result_unless_cancelled) < 0
        || look_up("socket", "socket", 0, &state->socket_class) < 0
        || look_up("asyncio", "tasks", 0, &state->tasks_module) < 0
        || look_up("asyncio", "futures", 0, &state->futures_module) < 0
        || look_up("kevent.gil", "offer_gil", 0, &state->offer_gil) < 0
        || look_up_method("asyncio.base_events", "BaseEventLoop",
                          "create_task", &state->base_create_task) < 0) {
        return -1;
    }
    state->kwnames_loop = PyTuple_Pack(1, state->str_loop);
    state->kwnames_context = PyTuple_Pack(1, state->str_context);
    if (state->kwnames_loop == NULL || state->kwnames_context == NULL) {
        return -1;
    }
    if (KevHandle_Setup(module, state) < 0
        || KevSafeHandle_Setup(module, state) < 0
        || KevReady_Setup(module, state) < 0
        || KevSock_Setup(module, state) < 0
        || KevLoop_Setup(module, state) < 0) {
        return -1;
    }
    if (KevStream_Setup(module, state) < 0
        || KevDatagram_Setup(module, state) < 0) {
        return -1;
    }
    if (KevStreams_Setup(module, state) < 0) {
        return -1;
    }
    return KevPipe_Setup(module, state);
}

void
KevAio_Teardown(ModState *state)
{
    KevFreelist_Clear(&state->aio.handles);
    KevFreelist_Clear(&state->aio.waiters);
}
