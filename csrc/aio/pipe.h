/*
 * pipe.h - pipe transports: what they add to the module.
 */
#ifndef KEV_AIO_PIPE_H
#define KEV_AIO_PIPE_H

#include "mod/state.h"

int KevPipe_Setup(PyObject *module, ModState *state);

#endif
