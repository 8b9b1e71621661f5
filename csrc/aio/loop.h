/*
 * loop.h - the loop as its own files see it.
 *
 * One thread owns a loop.  It waits on a kevent queue of its own, walks the
 * ring, and calls each entry's owner: the table of descriptors leads there by
 * number and generation, so an entry of a descriptor that was let go, or is
 * somebody else's by now, finds nobody.
 */
#ifndef KEV_AIO_LOOP_H
#define KEV_AIO_LOOP_H

#include "mod/state.h"

#include "aio/handle.h"
#include "aio/own.h"
#include "aio/ready.h"
#include "aio/spare.h"
#include "aio/timers.h"
#include "kev/kevent.h"
#include "kev/owned.h"

struct OpObject;
struct StreamObject;
struct TransportObject;
struct datagram_arena;

enum fd_owner {
    FD_FREE,
    FD_CALLBACKS,     /* add_reader / add_writer */
    FD_STREAM,        /* a stream transport */
    FD_DATAGRAM,      /* a datagram transport */
};

struct loop_fd {
    uint32_t generation;      /* goes into the kevent's cookie */
    uint32_t owner;           /* enum fd_owner */
    uint32_t reader_pass;     /* pass in which the callback was set: it is */
    uint32_t writer_pass;     /* not told of what was harvested before */
    union {
        struct {
            PyObject *reader;             // strong, a handle, or NULL
            PyObject *writer;             // strong, a handle, or NULL
        };
        struct TransportObject *transport;  // strong while it is anchored
    };
};

/* A registration that waits for the next call of sock.c. */
struct loop_idle {
    int fd;
    uint32_t generation;
    uint32_t pass;
};

/* Reads and drains that are over and serve again (streams_op.c). */
#define LOOP_SPARE_OPS 16

typedef struct LoopObject {
    PyObject_HEAD
    ModState *state;
    PyObject *module;             /* strong: keeps state, also in a cycle */
    struct kev_queue *queue;      /* NULL once closed */
    struct kevent_ring *ring;
    uint32_t ring_seen;           /* the slot to read next */
    uint32_t ring_pending;        /* entries not read yet */
    uint32_t ring_read;           /* read, and not given back yet */
    uint32_t pass;                /* number of this iteration */
    uint32_t turn;                /* number of this callback */
    uint32_t unoffered;           /* callbacks since offer_gil() */
    ReadyObject *ready;
    ReadyObject *due;             /* timers whose time has come */
    ReadyObject *again;           /* transports with more to read */
    ReadyObject *held;            /* those with writes of this callback */
    struct timer_heap timers;
    struct loop_fd *fds;
    int fds_count;
    struct loop_idle *idle;       /* in the order of their passes */
    uint32_t idle_count;
    uint32_t idle_room;
    char *receive_buffer;         /* made when first needed */
    struct datagram_arena *datagrams;  /* the same */
    uint32_t gathering;           /* batches of datagrams being delivered:
                                     what they send is held */
    uint32_t single_delivery;     /* number of a batch of one, else 0 */
    uint32_t single_deliveries;   /* twice how many there were */
    struct spares spares;
    struct OpObject *ops[LOOP_SPARE_OPS];  // strong
    unsigned ops_count;
    PyObject *stop;               // strong: a StopIteration that serves again
    PyObject *done;               // strong: a future that is, or NULL
    PyObject *get_loop;           // strong: what gives the loop, or NULL
    struct own own;               /* LOOP_METHODS */
    PyObject *task_factory;       // strong; NULL or None: there is none
    PyObject *transports;         /* asyncio's own: WeakValueDictionary */
    PyObject *transports_data;    /* its dict, to see if it is empty */
    unsigned long thread_id;      /* 0: not running; Python may set it */
    unsigned long pass_thread;    /* who is inside a pass */
    uint32_t pass_depth;          /* passes under way, one in another */
    int polling;                  /* that thread is in the queue, without the
                                     interpreter lock: see leave_poll() */
    char lucky;                   /* the last look before a sleep paid */
    unsigned char waits;
    char debug;
    char stopping;
    char closed;
    char dispatching;             /* a callback runs: writes may be held */
    char asleep;                  /* may be in the wait: knock */
    char time_patched;            /* self.time() is not ours */
    char run_once_patched;        /* self._run_once() is not ours */
    char call_at_patched;         /* self.call_at() is not ours */
    char dict_given;              /* a program may put anything into it */
    char no_sendmmsg;             /* the kernel has none, or hides it */
    uint64_t callbacks_run;
    uint64_t events_seen;
} LoopObject;

#define LOOP_RING_NUM 1024u
#define LOOP_RECEIVE_SIZE (256 * 1024)
#define LOOP_LARGEST_MESSAGE (1024 * 1024)

/* ---- loop.c --------------------------------------------------------- */

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t KevLoop_Now(void);

/* self.time() as nanoseconds, whoever patched it.  -1 with an exception. */
int KevLoop_TimeNs(LoopObject *self, int64_t *ret_ns);

/* RuntimeError if the loop is closed. */
int KevLoop_CheckOpen(LoopObject *self);

/* In debug mode: _check_thread() and _check_callback(). */
int KevLoop_DebugCheck(LoopObject *self, PyObject *callback,
                       const char *method);

/* Queue callback(*args); a new reference to the handle, or NULL. */
PyObject *KevLoop_CallSoon(LoopObject *self, PyObject *callback,
                           PyObject *const *args, Py_ssize_t nargs,
                           PyObject *context);

/*
 * What a future does to its loop is done without a look-up if the methods that
 * it would call are ours and there is nothing that debug mode would add: 1 or
 * 0.  MakesFutures also asks whether create_future() would make asyncio's in
 * C: 1, 0, or -1 with an exception.
 */
enum loop_method {
    LOOP_CALL_SOON, LOOP_CREATE_FUTURE, LOOP_GET_DEBUG, LOOP_METHODS,
};
extern const struct own_method KevLoop_Own[LOOP_METHODS];
int KevLoop_OwnsFutures(LoopObject *self);
int KevLoop_MakesFutures(LoopObject *self);

/* Takes a cancelled timer out of the heap. */
void KevLoop_TimerCancelled(LoopObject *self, TimerObject *timer);

/* Wake the loop if it may be asleep. */
void KevLoop_Wake(LoopObject *self);

int KevLoop_Setup(PyObject *module, ModState *state);

/* May a transport hold what is written now until the callback returns?  With
   the GIL another thread's callback cannot return in between. */
static inline int
KevLoop_IsPassThread(const LoopObject *self)
{
#ifdef Py_GIL_DISABLED
    return self->pass_thread == PyThread_get_thread_ident();
#else
    (void)self;
    return 1;
#endif
}

#ifdef Py_GIL_DISABLED
/* Whose guard is the loop's (guard.h). */
static inline PyObject *
KevLoop_Monitor(PyObject *self)
{
    return (PyObject *)((LoopObject *)self)->ready;
}
#endif

/* ---- loop_attrs.c --------------------------------------------------- */

/* Sets an attribute; sees whether time() or _run_once() is replaced. */
int KevLoop_SetAttr(PyObject *self, PyObject *name, PyObject *value);
PyObject *KevLoop_LookForPatches(PyObject *self, PyObject *ignored);

extern PyGetSetDef KevLoop_GetSet[];

/* ---- loop_run.c ----------------------------------------------------- */

/* One iteration; until stopped.  0 or -1 with an exception. */
int KevLoop_RunOnce(LoopObject *self);

/* Waits for limit_ns at most.  1: there is something for KevLoop_HandOut();
   0: there is not; -1 with an exception. */
int KevLoop_Poll(LoopObject *self, uint64_t limit_ns);

/* Tells descriptors and transports what KevLoop_Poll() found, and runs timers
   that an exception left behind.  0 or -1 with an exception. */
int KevLoop_HandOut(LoopObject *self);
int KevLoop_Run(LoopObject *self);


/* ---- loop_fd.c ------------------------------------------------------ */

/* The table's row for fd, made if need be; NULL with MemoryError. */
struct loop_fd *KevLoop_FdRow(LoopObject *self, int fd);

/* Hand a ready descriptor to its owner.  0 or -1 with an exception. */
int KevLoop_Dispatch(LoopObject *self, const struct ukevent *event);

/*
 * Give fd to a stream (edge-triggered reading), anchored: the table keeps a
 * strong reference, until KevLoop_TransportDetach or while
 * KevLoop_TransportAnchor says otherwise.  0 or -1 with an exception.
 */
int KevLoop_StreamAttach(LoopObject *self, int fd,
                         struct StreamObject *stream);

/* The same in two steps for a datagram transport: fd is its own, not
   anchored; and it is told when there is something to read. */
int KevLoop_DatagramClaim(LoopObject *self, int fd,
                          struct TransportObject *datagram);
int KevLoop_DatagramWatch(LoopObject *self, int fd);

/* The end of either. */
void KevLoop_TransportDetach(LoopObject *self, int fd,
                             struct TransportObject *transport);

/* Whether the table's reference is strong: a transport that neither reads nor
   writes lives, as asyncio's does, only as long as somebody else wants it. */
void KevLoop_TransportAnchor(struct TransportObject *transport, int anchored);

/* Also report when fd can be written to, or no longer. */
int KevLoop_StreamWantWrite(LoopObject *self, int fd, int want);
int KevLoop_DatagramWantWrite(LoopObject *self, int fd, int want);

/* The receive buffer is there.  0 or -1 with MemoryError. */
int KevLoop_MakeReceiveBuffer(LoopObject *self);

/* Put a call of sock.c in the place of fd's reader or writer: 0 or -1 with an
   exception.  Take it away if it is there: never fails. */
int KevLoop_SockWatch(LoopObject *self, int fd, PyObject *call, int writing);
void KevLoop_SockUnwatch(LoopObject *self, int fd, PyObject *call,
                         int writing);

/* Forget registrations that KevLoop_SockUnwatch() left: all, or old ones. */
void KevLoop_SockSweep(LoopObject *self, int all);

/* RuntimeError if a transport that is not closing uses fd; fileobj, for the
   message, may be NULL. */
int KevLoop_CheckNoTransport(LoopObject *self, int fd, PyObject *fileobj);

/* Forget every descriptor. */
void KevLoop_FdsClear(LoopObject *self);

/* Methods: add_reader() and its like check that no transport uses the
   descriptor and return None; the *Any forms do not check, take context=, and
   the adding ones return the handle. */
PyObject *KevLoop_AddReader(PyObject *self, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevLoop_AddWriter(PyObject *self, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevLoop_AddReaderAny(PyObject *self, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevLoop_AddWriterAny(PyObject *self, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevLoop_RemoveReader(PyObject *self, PyObject *fileobj);
PyObject *KevLoop_RemoveWriter(PyObject *self, PyObject *fileobj);
PyObject *KevLoop_RemoveReaderAny(PyObject *self, PyObject *fileobj);
PyObject *KevLoop_RemoveWriterAny(PyObject *self, PyObject *fileobj);
PyObject *KevLoop_EnsureNoTransport(PyObject *self, PyObject *fileobj);

/* loop_task.c: create_task(coro, **kwargs), create_future(). */
PyObject *KevLoop_CreateTask(PyObject *self, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevLoop_CreateFuture(PyObject *self, PyObject *ignored);

/* accept.c: accept what waits on a listening socket (see there). */
PyObject *KevLoop_AcceptStreams(PyObject *self, PyObject *const *args,
                                Py_ssize_t nargs);

/* {fd: (events, reader, writer)} of all descriptors with callbacks or a
   stream; events as selectors has them. */
PyObject *KevLoop_Watched(PyObject *self, PyObject *ignored);

#endif
