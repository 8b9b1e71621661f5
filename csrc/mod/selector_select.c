/*
 * selector_select.c - KeventSelector.select(): wait, and tell what is ready.
 *
 * The events are fetched to memory that the selector keeps; what is made anew
 * for each call is the list, and a pair only where another mask came of a key
 * than the last time.
 */
#include "mod/selector.h"

#include <math.h>

#include "kev/wait.h"
#include "mod/calls.h"
#include "mod/compat.h"

/* A timeout so long needs no exact arithmetic: 292 years. */
#define TIMEOUT_NS_MAX ((double)INT64_MAX)

/* Seconds to nanoseconds, never less than asked.  0 or -1. */
static int
timeout_of(PyObject *object, uint64_t *ret_ns)
{
    if (object == NULL || object == Py_None) {
        *ret_ns = KEVENT_WAIT_FOREVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError,
                        "cannot convert float NaN to integer");
        return -1;
    }
    if (isinf(seconds) && seconds > 0) {
        PyErr_SetString(PyExc_OverflowError,
                        "cannot convert float infinity to integer");
        return -1;
    }
    double ns = ceil(seconds * 1e9);
    *ret_ns = ns <= 0 ? 0
        : ns >= TIMEOUT_NS_MAX ? (uint64_t)INT64_MAX : (uint64_t)ns;
    return 0;
}

/* Memory for count records: the selector's own, or if a select() in another
   thread has it, memory of the caller's.  NULL with MemoryError. */
static struct ukevent *
records_borrow(SelectorObject *self, unsigned count)
{
    if (self->records_busy) {
        struct ukevent *records = PyMem_Calloc(count, sizeof(*records));
        return records == NULL ? (void *)PyErr_NoMemory() : records;
    }
    if (self->records_size < count) {
        unsigned size = count < 16 ? 16 : count + count / 2;
        struct ukevent *records = PyMem_Malloc(size * sizeof(*records));
        if (records == NULL) {
            return (void *)PyErr_NoMemory();
        }
        PyMem_Free(self->records);   /* nothing in it is of use */
        self->records = records;
        self->records_size = size;
    }
    self->records_busy = 1;
    return self->records;
}

static void
records_return(SelectorObject *self, struct ukevent *records)
{
    if (records == self->records) {
        self->records_busy = 0;
    }
    else {
        PyMem_Free(records);
    }
}

/*
 * Fetch what is ready, each watch once; how many records, or -1.
 *
 * One fetch takes no more than a harvest of the core, a fair share for a
 * queue of many kinds.  A selector is asked for everything: as long as a
 * fetch brings a harvest's worth, look again.  Levels come round, so the first
 * one seen again says that all have been seen.
 */
static int
fetch_all(SelectorObject *self, struct face_queue *queue,
          struct kev_wait *wait, struct ukevent *records)
{
    int total = 0;
    /* A harvest of the core that brings fewer was not cut short. */
    int full = self->selecting > 1 ? KEV_GLANCE_MAX : KEV_HARVEST_MAX;
    int fetched = KevCall_Fetch(queue, "select", wait, records);
    if (fetched < full) {
        return fetched;
    }
    uint32_t round = ++self->round;
    int is_new = 1;
    while (fetched > 0 && is_new) {
        int end = total + fetched;
        for (int i = total; i < end; i++) {
            struct watch *watch =
                watches_get(&self->watches, records[i].user[0]);
            is_new = watch == NULL || watch->round != round;
            if (is_new) {
                if (watch != NULL) {
                    watch->round = round;
                }
                records[total++] = records[i];
            }
        }
        fetched = 0;
        if (is_new && (unsigned)total < wait->max) {
            fetched = kev_queue_get_events(
                queue->core, 0, wait->max - (unsigned)total, 0,
                records + total, 0, NULL);
        }
    }
    return total;
}

/* The (key, mask) of one event: a new reference; NULL without an exception
   if it is of no watch, with one if there is no memory. */
static PyObject *
ready_pair(SelectorObject *self, const struct ukevent *record)
{
    int fd = (int)record->user[0];
    struct watch *watch = watches_get(&self->watches, fd);
    if (watch == NULL || watch->serial != record->user[1]) {
        return NULL;
    }
    uint32_t happened = record->ret_data[0];
    uint32_t mask =
        ((happened & ~KEVENT_POLL_POLLIN) != 0 ? EVENT_WRITE : 0)
        | ((happened & ~KEVENT_POLL_POLLOUT) != 0 ? EVENT_READ : 0);
    mask &= watch->events;
    if (watch->told != NULL && watch->told_mask == mask) {
        return Py_NewRef(watch->told);
    }
    PyObject *key = Py_NewRef(watch->key);
    PyObject *pair = Py_BuildValue("(NI)", key, mask);
    /* The allocation may have run a finalizer that changed the table. */
    watch = watches_get(&self->watches, fd);
    if (pair != NULL && watch != NULL && watch->key == key) {
        watch->told_mask = mask;
        Py_XSETREF(watch->told, Py_NewRef(pair));
    }
    return pair;
}

static PyObject *
ready_list(SelectorObject *self, const struct ukevent *records, int count)
{
    PyObject *list = PyList_New(count);
    if (list == NULL) {
        return NULL;
    }
    int filled = 0;
    for (int i = 0; i < count; i++) {
        PyObject *pair = ready_pair(self, &records[i]);
        if (pair != NULL) {
            PyList_SET_ITEM(list, filled, pair);
            filled++;
        }
        else if (PyErr_Occurred()) {
            /* Level-triggered: what is not told now is told next time. */
            Py_DECREF(list);
            return NULL;
        }
    }
    if (filled < count && PyList_SetSlice(list, filled, count, NULL) < 0) {
        Py_CLEAR(list);
    }
    return list;
}

PyObject *
KevSelector_SelectLocked(SelectorObject *self, PyObject *timeout)
{
    struct kev_wait wait = {.min = 1};
    if (timeout_of(timeout, &wait.timeout_ns) < 0) {
        return NULL;
    }
    struct face_queue *queue = KevSelector_Enter(self);
    if (queue == NULL) {
        return NULL;
    }
    PyObject *list = NULL;
    wait.max = self->watches.count > 0 ? (unsigned)self->watches.count : 1;
    struct ukevent *records = records_borrow(self, wait.max);
    if (records != NULL) {
        self->selecting++;
        int r = fetch_all(self, queue, &wait, records);
        self->selecting--;
        if (r >= 0) {
            list = ready_list(self, records, r);
        }
        records_return(self, records);
    }
    KevFd_Leave(self->state, queue);
    return list;
}
