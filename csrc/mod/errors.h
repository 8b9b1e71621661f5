/*
 * errors.h - how a negative errno of the core becomes an exception.
 */
#ifndef KEV_MOD_ERRORS_H
#define KEV_MOD_ERRORS_H

#include "mod/python.h"

/*
 * Sets OSError(err, "<what errno says>: <format>"), err given positive; the
 * subclass is the one that Python picks for the errno.  Always returns NULL.
 */
PyObject *KevErr_Set(int err, const char *format, ...);

#endif
