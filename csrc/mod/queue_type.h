/*
 * queue_type.h - Queue: the object form of the kevent calls.
 */
#ifndef KEV_MOD_QUEUE_TYPE_H
#define KEV_MOD_QUEUE_TYPE_H

#include "mod/state.h"

int KevQueue_Setup(PyObject *module, ModState *state);

#endif
