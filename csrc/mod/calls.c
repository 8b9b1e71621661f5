/*
 * calls.c - the kevent calls as functions on descriptors.
 *
 * They take what the calls of 2006 took: ints, and buffers of 40-byte records
 * that are read and written in place; or lists of ukevent, which are copied.
 */
#include "mod/calls.h"

#include <errno.h>
#include <string.h>

#include "mod/args.h"
#include "mod/compat.h"
#include "mod/errors.h"
#include "mod/records.h"
#include "mod/ring_type.h"
#include "mod/ukevent.h"

#define RECORD_SIZE ((Py_ssize_t)sizeof(struct ukevent))

/* Batches up to this many records need no allocation, */
#define STACK_RECORDS 32
/* and from this many on other threads may run while ctl works. */
#define CTL_RELEASES_GIL 64u

/* ---- buffers of records ----------------------------------------------- */

/* A writable view of whole, aligned records.  0 or -1 with an exception. */
static int
records_view(const char *call, PyObject *object, Py_buffer *ret_view)
{
    if (PyObject_GetBuffer(object, ret_view, PyBUF_WRITABLE) < 0) {
        return -1;
    }
    if (((uintptr_t)ret_view->buf & 7u) != 0 && ret_view->len > 0) {
        PyErr_Format(PyExc_ValueError,
                     "%s(): the buffer must start at a multiple of 8", call);
        PyBuffer_Release(ret_view);
        return -1;
    }
    return 0;
}

static struct ukevent *
records_alloc(struct ukevent *on_stack, size_t count)
{
    if (count <= STACK_RECORDS) {
        return on_stack;
    }
    struct ukevent *records = PyMem_RawMalloc(count * sizeof(*records));
    if (records == NULL) {
        PyErr_NoMemory();
    }
    return records;
}

static void
records_free(const struct ukevent *on_stack, struct ukevent *records)
{
    if (records != on_stack) {
        PyMem_RawFree(records);
    }
}

/* ---- ctl -------------------------------------------------------------- */

static int
ctl_run(struct face_queue *queue, uint32_t cmd, unsigned num,
        struct ukevent *records)
{
    int r;
    if (num < CTL_RELEASES_GIL) {
        r = kevent_ctl(queue->core, cmd, num, records);
    }
    else {
        Py_BEGIN_ALLOW_THREADS
        r = kevent_ctl(queue->core, cmd, num, records);
        Py_END_ALLOW_THREADS
    }
    if (r < 0) {
        KevErr_Set(-r, "kevent_ctl(cmd=%u, %u events)", (unsigned)cmd, num);
        return -1;
    }
    KEV_COUNT(queue->changes, num);
    return r;
}

/* MODIFY and REMOVE tell in each element, not by moving it: move the failed
   ones to the front, as the other commands do, and count them. */
static int
ctl_compact_broken(struct ukevent *records, unsigned num)
{
    int count = 0;
    for (unsigned i = 0; i < num; i++) {
        if ((records[i].ret_flags & KEVENT_RET_BROKEN) != 0) {
            records[count++] = records[i];
        }
    }
    return count;
}

/* Copies the ukevents of a list or tuple.  Their number, or -1. */
static Py_ssize_t
ctl_collect(ModState *state, PyObject *events, struct ukevent *on_stack,
            struct ukevent **ret_records)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(events);
    struct ukevent *records = records_alloc(on_stack, (size_t)count);
    if (records == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(events, i);
        struct ukevent *event = KevUkevent_Get(state, item);
        if (event == NULL) {
            records_free(on_stack, records);
            return -1;
        }
        records[i] = *event;
    }
    *ret_records = records;
    return count;
}

static PyObject *
ctl_list(ModState *state, struct face_queue *queue, uint32_t cmd,
         PyObject *events)
{
    struct ukevent on_stack[STACK_RECORDS];
    struct ukevent *records = NULL;
    Py_ssize_t count;
    KEV_GUARD(events);
    count = ctl_collect(state, events, on_stack, &records);
    KEV_UNGUARD();
    if (count < 0) {
        return NULL;
    }
    int r = ctl_run(queue, cmd, (unsigned)count, records);
    PyObject *list = NULL;
    if (r >= 0) {
        if (cmd == KEVENT_CTL_READY) {
            r = (int)count - r;   /* those not found are in front */
        }
        else if (cmd != KEVENT_CTL_ADD) {
            r = ctl_compact_broken(records, (unsigned)count);
        }
        list = KevUkevent_List(state, records, count == 0 ? 0 : r);
    }
    records_free(on_stack, records);
    return list;
}

static PyObject *
ctl_buffer(struct face_queue *queue, uint32_t cmd, PyObject *buffer)
{
    Py_buffer view;
    if (records_view("kevent_ctl", buffer, &view) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (view.len % RECORD_SIZE != 0) {
        PyErr_Format(PyExc_ValueError,
                     "kevent_ctl(): a buffer of %zd bytes does not hold "
                     "whole events of 40", view.len);
    }
    else {
        int r = ctl_run(queue, cmd, (unsigned)(view.len / RECORD_SIZE),
                        view.buf);
        result = r < 0 ? NULL : PyLong_FromLong(r);
    }
    PyBuffer_Release(&view);
    return result;
}

PyObject *
KevCall_Ctl(ModState *state, struct face_queue *queue, PyObject *const *slots)
{
    uint32_t cmd = 0;
    if (KevArgs_U32("kevent_ctl", "cmd", slots[0], &cmd) < 0) {
        return NULL;
    }
    PyObject *events = slots[1];
    if (PyList_Check(events) || PyTuple_Check(events)) {
        return ctl_list(state, queue, cmd, events);
    }
    return ctl_buffer(queue, cmd, events);
}

/* ---- get_events, wait ------------------------------------------------- */

/*
 * The list of what was fetched.  If there is no memory for it, what can still
 * be told again is queued again: no event is lost for want of a list.
 */
static PyObject *
fetched_list(ModState *state, struct face_queue *queue,
             struct ukevent *records, int count)
{
    PyObject *list = KevUkevent_List(state, records, count);
    if (list == NULL) {
        (void)kevent_ctl(queue->core, KEVENT_CTL_READY, (unsigned)count,
                         records);
    }
    return list;
}

static PyObject *
get_events_list(ModState *state, struct face_queue *queue,
                const struct kev_wait *wait)
{
    struct ukevent on_stack[STACK_RECORDS];
    struct ukevent *records = records_alloc(on_stack, wait->max);
    if (records == NULL) {
        return NULL;
    }
    PyObject *list = NULL;
    int r = KevCall_Fetch(queue, "kevent_get_events", wait, records);
    if (r >= 0) {
        list = fetched_list(state, queue, records, r);
    }
    records_free(on_stack, records);
    return list;
}

static PyObject *
get_events_buffer(struct face_queue *queue, const struct kev_wait *wait,
                  PyObject *buffer)
{
    Py_buffer view;
    if (records_view("kevent_get_events", buffer, &view) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (view.len / RECORD_SIZE < (Py_ssize_t)wait->max) {
        PyErr_Format(PyExc_ValueError,
                     "kevent_get_events(): buf of %zd bytes is too small for "
                     "max_nr=%u events of 40", view.len, wait->max);
    }
    else {
        int r = KevCall_Fetch(queue, "kevent_get_events", wait, view.buf);
        result = r < 0 ? NULL : PyLong_FromLong(r);
    }
    PyBuffer_Release(&view);
    return result;
}

PyObject *
KevCall_GetEvents(ModState *state, struct face_queue *queue,
                  PyObject *const *slots)
{
    static const char call[] = "kevent_get_events";
    struct kev_wait wait = {.min = 1, .max = 64};
    sigset_t mask;
    if (KevArgs_U32(call, "min_nr", slots[0], &wait.min) < 0
        || KevArgs_U32(call, "max_nr", slots[1], &wait.max) < 0
        || KevArgs_Timeout(call, slots[2], &wait.timeout_ns) < 0
        || KevArgs_U32(call, "flags", slots[4], &wait.flags) < 0)
    {
        return NULL;
    }
    if (wait.max == 0 || wait.min > wait.max || wait.max > INT_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "kevent_get_events(): max_nr=%u must be at least 1 and "
                     "at least min_nr=%u", wait.max, wait.min);
        return NULL;
    }
    int has_mask = KevArgs_Sigmask(call, slots[5], &mask);
    if (has_mask < 0) {
        return NULL;
    }
    wait.sigmask = has_mask ? &mask : NULL;
    if (slots[3] != NULL && slots[3] != Py_None) {
        return get_events_buffer(queue, &wait, slots[3]);
    }
    return get_events_list(state, queue, &wait);
}

/* commit= of a wait: the slots up to there are free.  The generation is the
   present one, since the only consumer of the ring is who calls. */
static int
wait_commit(ModState *state, struct face_queue *queue, PyObject *object)
{
    uint32_t new_uidx = 0;
    if (object == NULL || object == Py_None) {
        return 0;
    }
    if (KevArgs_U32("kevent_wait", "commit", object, &new_uidx) < 0) {
        return -1;
    }
    /* Held, and asked for only now: reading the argument may have run somebody
       who detached it, and without the GIL anybody may. */
    RingObject *ring = KevFd_Ring(state, queue);
    int r = ring == NULL ? -EINVAL
        : kevent_commit(queue->core, new_uidx,
                        __atomic_load_n(&ring->memory->ring_over,
                                        __ATOMIC_ACQUIRE));
    Py_XDECREF((PyObject *)ring);
    if (r < 0) {
        KevErr_Set(-r, "kevent_wait(commit=%u)", (unsigned)new_uidx);
    }
    return r < 0 ? -1 : 0;
}

PyObject *
KevCall_Wait(ModState *state, struct face_queue *queue,
             PyObject *const *slots)
{
    static const char call[] = "kevent_wait";
    /* Not held while it waits: the core keeps a ring that is waited for. */
    RingObject *ring = KevFd_Ring(state, queue);
    unsigned ring_size = ring == NULL ? 0 : ring->num;
    Py_XDECREF((PyObject *)ring);
    struct kev_wait wait = {.max = ring_size};
    PyObject *seen = slots[1] == Py_None ? NULL : slots[1];
    sigset_t mask;
    if ((slots[0] != Py_None
         && KevArgs_U32(call, "num", slots[0], &wait.max) < 0)
        || KevArgs_U32(call, "seen", seen, &wait.seen) < 0
        || KevArgs_Timeout(call, slots[2], &wait.timeout_ns) < 0
        || KevArgs_U32(call, "flags", slots[3], &wait.flags) < 0)
    {
        return NULL;
    }
    if (seen != NULL) {
        wait.flags |= KEVENT_FLAGS_SEEN;
    }
    else if ((wait.flags & KEVENT_FLAGS_SEEN) != 0) {
        PyErr_SetString(PyExc_ValueError,
                        "kevent_wait(): KEVENT_FLAGS_SEEN needs seen=");
        return NULL;
    }
    if (ring == NULL || wait.max > ring_size) {
        return ring == NULL
            ? KevErr_Set(EINVAL, "kevent_wait(): no ring is attached")
            : KevErr_Set(EINVAL, "kevent_wait(num=%u): the ring has %u slots",
                         wait.max, ring_size);
    }
    int has_mask = KevArgs_Sigmask(call, slots[4], &mask);
    if (has_mask < 0 || wait_commit(state, queue, slots[5]) < 0) {
        return NULL;
    }
    wait.sigmask = has_mask ? &mask : NULL;
    int r = KevCall_Fetch(queue, call, &wait, NULL);
    return r < 0 ? NULL : PyLong_FromLong(r);
}

/* ---- ring_init, commit ------------------------------------------------ */

/* Another ring for the queue, NULL for none: what kevent_ring_init() says.
   Steals ring if that is 0.  The core has its own lock; this one keeps the
   core's idea of the ring and ours the same. */
static int
ring_swap(ModState *state, struct face_queue *queue, RingObject *ring)
{
    KEV_RING_LOCK(queue);
    int r = ring == NULL ? kevent_ring_init(queue->core, NULL, 0)
        : kevent_ring_init(queue->core, ring->memory, ring->num);
    RingObject *before = NULL;
    if (r >= 0) {
        KEV_FACE_LOCK(state);
        before = queue->ring;
        queue->ring = ring;
        KEV_FACE_UNLOCK(state);
    }
    KEV_RING_UNLOCK(queue);
    if (before != NULL) {
        (void)KevRing_SetAttached(before, 0);
        Py_DECREF(before);
    }
    return r;
}

PyObject *
KevCall_RingInit(ModState *state, struct face_queue *queue,
                 PyObject *const *slots)
{
    if (slots[0] == Py_None) {
        int r = ring_swap(state, queue, NULL);
        if (r < 0) {
            return KevErr_Set(-r, "kevent_ring_init(ring=None)");
        }
        Py_RETURN_NONE;
    }
    RingObject *ring = KevRing_From(state, slots[0]);
    if (ring == NULL) {
        return NULL;
    }
    if (KevRing_SetAttached(ring, 1)) {
        Py_DECREF(ring);
        return KevErr_Set(EBUSY, "kevent_ring_init(): the ring is attached");
    }
    int has_one = KEV_PEEK(queue->ring) != NULL;
    int r = ring_swap(state, queue, ring);
    if (r < 0) {
        (void)KevRing_SetAttached(ring, 0);
        KevErr_Set(-r, "kevent_ring_init(): ring of %u%s", ring->num,
                   has_one ? ", the queue has one already" : "");
        Py_DECREF(ring);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
KevCall_Commit(ModState *state, struct face_queue *queue,
               PyObject *const *slots)
{
    uint32_t new_uidx = 0;
    uint32_t over = 0;
    if (KevArgs_U32("kevent_commit", "new_uidx", slots[0], &new_uidx) < 0
        || KevArgs_U32("kevent_commit", "over", slots[1], &over) < 0)
    {
        return NULL;
    }
    int r = kevent_commit(queue->core, new_uidx, over);
    if (r < 0) {
        return KevErr_Set(-r, "kevent_commit(new_uidx=%u, over=%u)",
                          (unsigned)new_uidx, (unsigned)over);
    }
    return PyLong_FromLong(r);
}

/* ---- the functions ---------------------------------------------------- */

typedef PyObject *(*queue_call)(ModState *, struct face_queue *,
                                PyObject *const *);

/* Spread the arguments, enter the queue that the first one names, call. */
static PyObject *
on_descriptor(PyObject *module, const struct arg_spec *spec, queue_call call,
              PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    PyObject *slots[KEV_ARGS_MAX];
    if (KevArgs_Spread(spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    ModState *state = KevState_OfModule(module);
    struct face_queue *queue =
        KevFd_EnterFd(state, spec->call, slots[0]);
    if (queue == NULL) {
        return NULL;
    }
    PyObject *result = call(state, queue, slots + 1);
    KevFd_Leave(state, queue);
    return result;
}

static PyObject *
calls_ctl(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_ctl", .names = {"fd", "cmd", "events"},
        .count = 3, .required = 3,
    };
    return on_descriptor(module, &spec, KevCall_Ctl, args, nargs, kwnames);
}

static PyObject *
calls_get_events(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_get_events",
        .names = {"fd", "min_nr", "max_nr", "timeout", "buf", "flags",
                  "sigmask"},
        .count = 7, .required = 3,
    };
    return on_descriptor(module, &spec, KevCall_GetEvents, args, nargs,
                         kwnames);
}

static PyObject *
calls_wait(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_wait",
        .names = {"fd", "num", "seen", "timeout", "flags", "sigmask",
                  "commit"},
        .count = 7, .required = 2,
    };
    return on_descriptor(module, &spec, KevCall_Wait, args, nargs, kwnames);
}

static PyObject *
calls_ring_init(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_ring_init", .names = {"fd", "ring"},
        .count = 2, .required = 2,
    };
    return on_descriptor(module, &spec, KevCall_RingInit, args, nargs,
                         kwnames);
}

static PyObject *
calls_commit(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_commit", .names = {"fd", "new_uidx", "over"},
        .count = 3, .required = 3,
    };
    return on_descriptor(module, &spec, KevCall_Commit, args, nargs,
                         kwnames);
}

static PyObject *
calls_timer(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_timer",
        .names = {"fd", "cmd", "event", "initial", "interval", "flags"},
        .count = 6, .required = 3,
    };
    return on_descriptor(module, &spec, KevCall_Timer, args, nargs, kwnames);
}

static PyObject *
calls_record(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_record", .names = {"fd", "event"},
        .count = 2, .required = 2,
    };
    return on_descriptor(module, &spec, KevCall_Record, args, nargs, kwnames);
}

/* KEVENT_OPEN_OWNED is refused: what takes no lock is not for a language
   whose threads switch inside the call. */
static struct face_queue *
open_checked(ModState *state, const char *call, PyObject *flags_object)
{
    uint32_t flags = 0;
    if (KevArgs_U32(call, "flags", flags_object, &flags) < 0) {
        return NULL;
    }
    if (flags != 0) {
        KevErr_Set(EINVAL, "%s(flags=0x%x): no flag is known", call,
                   (unsigned)flags);
        return NULL;
    }
    return KevFd_Open(state, call);
}

/* Nothing but its descriptor, the result, leads to the queue from now on. */
static PyObject *
named_only(ModState *state, struct face_queue *queue)
{
    int fd = queue->fd;
    KevFd_Leave(state, queue);
    return PyLong_FromLong(fd);
}

static PyObject *
calls_open(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_open", .names = {"flags"}, .count = 1,
    };
    PyObject *slots[1];
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0) {
        return NULL;
    }
    struct face_queue *queue =
        open_checked(KevState_OfModule(module), "kevent_open", slots[0]);
    return queue == NULL ? NULL : named_only(KevState_OfModule(module), queue);
}

/* kevent_init's ring: as the record of 2006 has it, EINVAL when exactly one
   of ring and num is given; a Ring knows its num.  1, 0 if none, or -1. */
static int
init_ring(ModState *state, PyObject *ring_object, PyObject *num_object,
          RingObject **ret_ring)
{
    uint32_t num = 0;
    if (KevArgs_U32("kevent_init", "num", num_object, &num) < 0) {
        return -1;
    }
    if (ring_object == NULL || ring_object == Py_None) {
        if (num != 0) {
            KevErr_Set(EINVAL, "kevent_init(ring=None, num=%u)",
                       (unsigned)num);
            return -1;
        }
        return 0;
    }
    int is_ring = Py_IS_TYPE(ring_object, (PyTypeObject *)state->ring_type);
    RingObject *ring = KevRing_From(state, ring_object);
    if (ring == NULL) {
        return -1;
    }
    if (num > ring->num || (num == 0 && !is_ring)
        || (num != 0 && num != ring->num && is_ring))
    {
        KevErr_Set(EINVAL, "kevent_init(num=%u): the ring has %u slots",
                   (unsigned)num, ring->num);
        Py_DECREF(ring);
        return -1;
    }
    if (num != 0) {
        ring->num = num;   /* our own wrapper of the caller's buffer */
    }
    *ret_ring = ring;
    return 1;
}

static PyObject *
calls_init(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    static const struct arg_spec spec = {
        .call = "kevent_init", .names = {"ring", "num", "flags"}, .count = 3,
    };
    PyObject *slots[3];
    RingObject *ring = NULL;
    ModState *state = KevState_OfModule(module);
    if (KevArgs_Spread(&spec, args, nargs, kwnames, slots) < 0
        || init_ring(state, slots[0], slots[1], &ring) < 0)
    {
        return NULL;
    }
    struct face_queue *queue = open_checked(state, "kevent_init", slots[2]);
    PyObject *result = NULL;
    if (queue != NULL && ring != NULL) {
        PyObject *const ring_slots[1] = {(PyObject *)ring};
        PyObject *done = KevCall_RingInit(state, queue, ring_slots);
        if (done == NULL) {
            KevFd_Disown(state, &queue);
        }
        Py_XDECREF(done);
    }
    if (queue != NULL) {
        result = named_only(state, queue);
    }
    Py_XDECREF(ring);
    return result;
}

static PyObject *
calls_close(PyObject *module, PyObject *fd)
{
    if (KevFd_CloseFd(KevState_OfModule(module), "kevent_close", fd) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
calls_features(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(kevent_features());
}

PyDoc_STRVAR(features_doc,
"kevent_features($module, /)\n--\n\n"
"What this build can do: 1 << type for each event type that can be added,\n"
"and KEVENT_FEATURE_* for the rest.");

PyDoc_STRVAR(open_doc,
"kevent_open($module, /, flags=0)\n--\n\n"
"Make a queue and return its descriptor, which polls readable while an event\n"
"may be fetched.  Close it with kevent_close().");

PyDoc_STRVAR(init_doc,
"kevent_init($module, /, ring=None, num=0, flags=0)\n--\n\n"
"Make a queue with a ring: a Ring, or a writable buffer for num events.");

PyDoc_STRVAR(close_doc,
"kevent_close($module, fd, /)\n--\n\n"
"Close a queue and forget all that is registered.  Threads that wait in it\n"
"get OSError (EBADF).");

PyDoc_STRVAR(ctl_doc,
"kevent_ctl($module, /, fd, cmd, events)\n--\n\n"
"Add, remove, modify or make ready a batch of events.\n\n"
"events is a list or tuple of ukevent: the result is a list of those that\n"
"failed (ret_flags has KEVENT_RET_BROKEN, ret_data[1] is -errno) or, for\n"
"KEVENT_CTL_ADD, were ready at once and so are not registered.\n"
"Or it is a writable buffer of records: they are written in place, for ADD\n"
"and READY moved to the front, and the result is the count of the C call.\n"
"KEVENT_CTL_READY with no event wakes one sleeper.");

PyDoc_STRVAR(get_events_doc,
"kevent_get_events($module, /, fd, min_nr, max_nr, timeout=None, buf=None,\n"
"                  flags=0, sigmask=None)\n--\n\n"
"Wait for min_nr events and fetch up to max_nr, oldest first.\n\n"
"timeout is in nanoseconds, None for ever; with KEVENT_FLAGS_ABSTIME it is a\n"
"point in time.  A list of ukevent, or with buf (a writable buffer of max_nr\n"
"records) the count.  When time is up there are fewer, or none.");

PyDoc_STRVAR(wait_doc,
"kevent_wait($module, /, fd, num, seen=None, timeout=None, flags=0,\n"
"            sigmask=None, commit=None)\n--\n\n"
"Wait for an event, move up to num to the free slots of the ring, and return\n"
"how many.  With seen, return at once if ring.kidx is not seen any more.\n"
"commit releases the slots up to there first, as kevent_commit() does; it is\n"
"for the only consumer of the ring.");

PyDoc_STRVAR(ring_init_doc,
"kevent_ring_init($module, /, fd, ring)\n--\n\n"
"Attach a ring (a Ring or a writable buffer of 8 + 40 * num bytes), whose\n"
"kidx and over are set to 0; None detaches.");

PyDoc_STRVAR(commit_doc,
"kevent_commit($module, /, fd, new_uidx, over)\n--\n\n"
"Release the slots of the ring up to new_uidx; over is ring.over as it was\n"
"when you read them.  OSError (EOVERFLOW) if another consumer was faster.");

PyDoc_STRVAR(timer_doc,
"kevent_timer($module, /, fd, cmd, event, initial=0, interval=0, flags=0)\n"
"--\n\n"
"ADD or MODIFY a timer whose id is any number: first due initial nanoseconds\n"
"from now or, with KEVENT_FLAGS_ABSTIME, when the clock shows initial; then\n"
"every interval nanoseconds, if that is not 0.");

PyDoc_STRVAR(record_doc,
"kevent_record($module, /, fd, event)\n--\n\n"
"The siginfo or inode_record that belongs to an event, or to a number that\n"
"was an event's ret_data[1].  OSError (ENOENT) if there is none any more.");

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef calls_methods[] = {
    {"kevent_open", FAST(calls_open), METH_FASTCALL | METH_KEYWORDS,
     open_doc},
    {"kevent_features", calls_features, METH_NOARGS, features_doc},
    {"kevent_init", FAST(calls_init), METH_FASTCALL | METH_KEYWORDS,
     init_doc},
    {"kevent_close", calls_close, METH_O, close_doc},
    {"kevent_ctl", FAST(calls_ctl), METH_FASTCALL | METH_KEYWORDS, ctl_doc},
    {"kevent_get_events", FAST(calls_get_events),
     METH_FASTCALL | METH_KEYWORDS, get_events_doc},
    {"kevent_wait", FAST(calls_wait), METH_FASTCALL | METH_KEYWORDS,
     wait_doc},
    {"kevent_ring_init", FAST(calls_ring_init),
     METH_FASTCALL | METH_KEYWORDS, ring_init_doc},
    {"kevent_commit", FAST(calls_commit), METH_FASTCALL | METH_KEYWORDS,
     commit_doc},
    {"kevent_timer", FAST(calls_timer), METH_FASTCALL | METH_KEYWORDS,
     timer_doc},
    {"kevent_record", FAST(calls_record), METH_FASTCALL | METH_KEYWORDS,
     record_doc},
    {NULL, NULL, 0, NULL},
};

int
KevCalls_Setup(PyObject *module)
{
    return PyModule_AddFunctions(module, calls_methods);
}
