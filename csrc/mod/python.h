/*
 * python.h - Python.h as every file of the binding layers includes it.
 */
#ifndef KEV_MOD_PYTHON_H
#define KEV_MOD_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030B0000
#error "kevent needs CPython 3.11 or newer"
#endif

#endif
