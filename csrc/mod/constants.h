/*
 * constants.h - the KEVENT_* names, as module constants and in a repr.
 */
#ifndef KEV_MOD_CONSTANTS_H
#define KEV_MOD_CONSTANTS_H

#include "mod/python.h"

#include <stdint.h>

/* Adds every KEVENT_* constant to the module.  0 or -1. */
int KevConst_AddAll(PyObject *module);

/* "KEVENT_POLL", or the number if it has no name.  A new str. */
PyObject *KevConst_TypeName(uint32_t type);

/* "KEVENT_POLL_POLLIN|KEVENT_POLL_POLLOUT|0x..." of a type's event mask. */
PyObject *KevConst_EventNames(uint32_t type, uint32_t mask);

/* The same for req_flags and ret_flags. */
PyObject *KevConst_ReqNames(uint32_t mask);
PyObject *KevConst_RetNames(uint32_t mask);

/* What is usually wanted of a type: the default of ukevent's event=. */
uint32_t KevConst_UsualEvents(uint32_t type);

#endif
