/*
 * records.c - timers of the caller's choice, and what does not fit in an
 * event.
 */
#include "mod/records.h"

#include <string.h>

#include "mod/args.h"
#include "mod/errors.h"
#include "mod/ukevent.h"

/* ---- timers ----------------------------------------------------------- */

int
KevRecords_SetTimer(struct face_queue *queue, const char *call, unsigned cmd,
                    const struct ukevent *event, PyObject *const *slots)
{
    uint64_t initial_ns = 0;
    uint64_t interval_ns = 0;
    uint32_t flags = 0;
    if (KevArgs_U64(call, "initial", slots[0], &initial_ns) < 0
        || KevArgs_U64(call, "interval", slots[1], &interval_ns) < 0
        || KevArgs_U32(call, "flags", slots[2], &flags) < 0)
    {
        return -1;
    }
    int r = kevent_timer(queue->core, cmd, event, initial_ns, interval_ns,
                         flags);
    if (r < 0) {
        KevErr_Set(-r, "%s(id=%llu, type=%u)", call,
                   (unsigned long long)event->id.raw_u64,
                   (unsigned)event->type);
        return -1;
    }
    queue->changes++;
    return 0;
}

PyObject *
KevCall_Timer(ModState *state, struct face_queue *queue,
              PyObject *const *slots)
{
    uint32_t cmd = 0;
    const struct ukevent *event = KevUkevent_Get(state, slots[1]);
    if (event == NULL
        || KevArgs_U32("kevent_timer", "cmd", slots[0], &cmd) < 0
        || KevRecords_SetTimer(queue, "kevent_timer", cmd, event,
                               slots + 2) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- records ---------------------------------------------------------- */

static PyStructSequence_Field siginfo_fields[] = {
    {"si_signo", "signal number"},
    {"si_code", "why it was sent: SI_USER, SI_QUEUE, CLD_EXITED, ..."},
    {"si_errno", "an errno, or 0"},
    {"si_pid", "process that sent it, or the child"},
    {"si_uid", "its real user id"},
    {"si_status", "SIGCHLD: exit status or signal"},
    {"si_band", "SIGIO: what poll(2) would say"},
    {"si_value", "SI_QUEUE: the int that was sent along"},
    {"count", "signals merged into this record; it describes the last"},
    {NULL, NULL},
};

static PyStructSequence_Desc siginfo_desc = {
    .name = "kevent.siginfo",
    .doc = "What is known of a signal besides its number.",
    .fields = siginfo_fields,
    .n_in_sequence = 9,
};

static PyStructSequence_Field inode_fields[] = {
    {"mask", "as inotify(7) says it"},
    {"cookie", "the same in both halves of a rename, else 0"},
    {"name", "of the directory's entry; '' for the watched inode itself"},
    {NULL, NULL},
};

static PyStructSequence_Desc inode_desc = {
    .name = "kevent.inode_record",
    .doc = "Which entry of a directory an INODE event is about.",
    .fields = inode_fields,
    .n_in_sequence = 3,
};

/* The items are stolen; one that is NULL (exception set) fails it all. */
static PyObject *
sequence_new(PyObject *type, PyObject *const *items, Py_ssize_t count)
{
    PyObject *sequence = PyStructSequence_New((PyTypeObject *)type);
    int failed = sequence == NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        failed |= items[i] == NULL;
        if (sequence == NULL) {
            Py_XDECREF(items[i]);
        }
        else {
            PyStructSequence_SetItem(sequence, i, items[i]);
        }
    }
    if (failed) {
        Py_CLEAR(sequence);
    }
    return sequence;
}

static PyObject *
record_object(ModState *state, const struct kevent_record *record)
{
    if (record->type == KEVENT_INODE) {
        const char *name = record->inode.name;
        PyObject *const items[] = {
            PyLong_FromUnsignedLong(record->inode.mask),
            PyLong_FromUnsignedLong(record->inode.cookie),
            PyUnicode_DecodeFSDefaultAndSize(name,
                                             (Py_ssize_t)strlen(name)),
        };
        return sequence_new(state->inode_record_type, items, 3);
    }
    const struct signalfd_siginfo *signal = &record->signal;
    PyObject *const items[] = {
        PyLong_FromUnsignedLong(signal->ssi_signo),
        PyLong_FromLong(signal->ssi_code),
        PyLong_FromLong(signal->ssi_errno),
        PyLong_FromUnsignedLong(signal->ssi_pid),
        PyLong_FromUnsignedLong(signal->ssi_uid),
        PyLong_FromLong(signal->ssi_status),
        PyLong_FromUnsignedLong(signal->ssi_band),
        PyLong_FromLong(signal->ssi_int),
        PyLong_FromUnsignedLong(record->count),
    };
    return sequence_new(state->siginfo_type, items, 9);
}

PyObject *
KevCall_Record(ModState *state, struct face_queue *queue,
               PyObject *const *slots)
{
    static const char call[] = "kevent_record";
    struct kevent_record record;
    uint32_t number = 0;
    if (Py_IS_TYPE(slots[0], (PyTypeObject *)state->ukevent_type)) {
        const struct ukevent *event = KevUkevent_Get(state, slots[0]);
        if (event->type == KEVENT_SIGNAL || event->type == KEVENT_INODE) {
            number = event->ret_data[1];
        }
    }
    else if (KevArgs_U32(call, "number", slots[0], &number) < 0) {
        return NULL;
    }
    int r = kevent_record(queue->core, number, &record);
    if (r < 0) {
        return KevErr_Set(-r, "%s(number=%u): none, or too old", call,
                          (unsigned)number);
    }
    return record_object(state, &record);
}

static int
type_add(PyObject *module, PyStructSequence_Desc *desc, PyObject **slot)
{
    PyTypeObject *type = PyStructSequence_NewType(desc);
    if (type == NULL) {
        return -1;
    }
    Py_XSETREF(*slot, (PyObject *)type);
    return PyModule_AddType(module, type);
}

int
KevRecords_Setup(PyObject *module, ModState *state)
{
    if (type_add(module, &siginfo_desc, &state->siginfo_type) < 0) {
        return -1;
    }
    return type_add(module, &inode_desc, &state->inode_record_type);
}
