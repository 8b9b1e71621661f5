/*
 * loop_task.c - create_task() and create_future(): one call each into
 * asyncio's C types, without a Python frame in between.  The types are looked
 * up where asyncio itself looks: programs put others there.
 */
#include "aio/loop.h"

#include "aio/compat.h"

#define KEYWORDS_MAX 8

/* module.name, a new reference or NULL, out of the module's dict: a module
   asks its type for each attribute first, which is three times the work. */
static PyObject *
class_in(PyObject *module, PyObject *name)
{
    PyObject *found = NULL;
    if (PyModule_Check(module)
        && KevDict_Get(PyModule_GetDict(module), name, &found) != 0) {
        return found;
    }
    return PyObject_GetAttr(module, name);
}

/* asyncio's own method: for task factories and debug mode. */
static PyObject *
create_task_slow(LoopObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *stack[KEYWORDS_MAX + 2];
    stack[0] = (PyObject *)self;
    Py_ssize_t count = nargs
        + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    for (Py_ssize_t i = 0; i < count; i++) {
        stack[i + 1] = args[i];
    }
    return PyObject_Vectorcall(self->state->base_create_task, stack,
                               (size_t)nargs + 1, kwnames);
}

/* task_class(coro, loop=self, **kwargs), args being coro and the values. */
static PyObject *
make_task(LoopObject *self, PyObject *task_class, PyObject *const *args,
          PyObject *kwnames, Py_ssize_t keywords)
{
    ModState *state = self->state;
    PyObject *op = (PyObject *)self;
    if (keywords == 0) {
        PyObject *stack[3] = {NULL, args[0], op};
        return PyObject_Vectorcall(task_class, stack + 1,
                                   1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                   state->kwnames_loop);
    }
    PyObject *names = PyTuple_New(keywords + 1);
    if (names == NULL) {
        return NULL;
    }
    PyObject *stack[KEYWORDS_MAX + 2];
    stack[0] = args[0];
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        stack[i + 1] = args[i + 1];
    }
    PyTuple_SET_ITEM(names, keywords, Py_NewRef(state->str_loop));
    stack[keywords + 1] = op;
    PyObject *task = PyObject_Vectorcall(task_class, stack, 1,
                                         names);
    Py_DECREF(names);
    return task;
}

/*
 * create_task(coro, **kwargs): Task(coro, loop=self, **kwargs).  Which
 * keywords there are is the running version's affair: name, context,
 * eager_start.
 */
PyObject *
KevLoop_CreateTask(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs > 1 || keywords > KEYWORDS_MAX) {
        PyErr_Format(PyExc_TypeError,
                     "create_task() takes 1 positional argument and at most "
                     "%d by keyword, not %zd and %zd", KEYWORDS_MAX, nargs,
                     keywords);
        return NULL;
    }
    if (self->debug || nargs == 0
        || (self->task_factory != NULL && self->task_factory != Py_None)) {
        return create_task_slow(self, args, nargs, kwnames);
    }
    if (KevLoop_CheckOpen(self) < 0) {
        return NULL;
    }
    PyObject *task_class = class_in(self->state->tasks_module,
                                    self->state->str_task_class);
    if (task_class == NULL) {
        return NULL;
    }
    PyObject *task = make_task(self, task_class, args, kwnames, keywords);
    Py_DECREF(task_class);
    return task;
}

int
KevLoop_MakesFutures(LoopObject *self)
{
    ModState *state = self->state;
    PyObject *future_class = class_in(state->futures_module,
                                      state->str_future_class);
    if (future_class == NULL) {
        return -1;
    }
    int is_known = future_class == state->future_type;
    Py_DECREF(future_class);
    return is_known && KevLoop_OwnsFutures(self);
}

PyObject *
KevLoop_CreateFuture(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ModState *state = ((LoopObject *)op)->state;
    PyObject *future_class = class_in(state->futures_module,
                                      state->str_future_class);
    if (future_class == NULL) {
        return NULL;
    }
    if (future_class == state->future_type) {
        /* The one in C takes the running loop if it is told none, which
           spares it a dict of keywords. */
        PyObject *running = PyObject_CallNoArgs(state->get_running_loop);
        if (running == op) {
            PyObject *future = PyObject_CallNoArgs(future_class);
            Py_DECREF(future_class);
            Py_DECREF(running);
            return future;
        }
        if (running == NULL) {
            Py_DECREF(future_class);
            return NULL;
        }
        Py_DECREF(running);
    }
    PyObject *stack[2] = {NULL, op};
    PyObject *future = PyObject_Vectorcall(
        future_class, stack + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
        state->kwnames_loop);
    Py_DECREF(future_class);
    return future;
}
