/*
 * records.h - the extensions as both faces call them: timers with a time and
 * a clock of their own, and the records beside SIGNAL and INODE events.
 */
#ifndef KEV_MOD_RECORDS_H
#define KEV_MOD_RECORDS_H

#include "mod/descriptor.h"
#include "mod/state.h"

/*
 * kevent_timer() with (initial, interval, flags) out of slots[3], NULL where
 * not given.  The caller has entered.  0, or -1 with an exception.
 */
int KevRecords_SetTimer(struct face_queue *queue, const char *call,
                        unsigned cmd, const struct ukevent *event,
                        PyObject *const *slots);

/* Calls like those of calls.h. */
PyObject *KevCall_Timer(ModState *state, struct face_queue *queue,
                        PyObject *const *slots);
PyObject *KevCall_Record(ModState *state, struct face_queue *queue,
                         PyObject *const *slots);

/* Adds the types of the records.  0 or -1. */
int KevRecords_Setup(PyObject *module, ModState *state);

#endif
