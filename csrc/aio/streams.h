/*
 * streams.h - StreamReader, StreamReaderProtocol and StreamWriter.
 *
 * What runs per packet or per read is here.  What runs once per connection is
 * asyncio's own code of the running version: the classes that programs meet
 * (kevent.streams) derive from ours first and from asyncio's second, and the
 * attributes that asyncio's methods know (_buffer, _waiter, _paused, ...) are
 * descriptors of our fields.
 *
 * What is awaited (read(), drain(), ...) is an object with a coroutine's
 * methods, which takes its result out of the buffer at once if it can, and
 * waits for a future if it cannot.
 */
#ifndef KEV_AIO_STREAMS_H
#define KEV_AIO_STREAMS_H

#include "mod/state.h"

#include "aio/callargs.h"
#include "aio/own.h"
#include "aio/rbuf.h"

struct LoopObject;
struct OpObject;

/* ---- what is awaited: streams_op.c ------------------------------------ */

enum op_step {
    OP_ERROR,        /* an exception is set */
    OP_DONE,         /* *ret is the result */
    OP_AWAIT,        /* KevOp_Await() was called: come back after that */
    OP_WAIT,         /* the same of a future that is given to the task */
    OP_YIELD,        /* let the loop make a pass, as sleep(0) does */
};

struct op_kind {
    const char *name;
    const char *qualname;
    /* Goes on as far as it can. */
    enum op_step (*step)(struct OpObject *op, PyObject **ret);
    /* What was awaited has ended in any way (`finally`), with an exception
       set or not, which it leaves alone; or NULL. */
    void (*settle)(struct OpObject *op);
    /* What was awaited raised, which may be caught here; or NULL. */
    enum op_step (*failed)(struct OpObject *op, PyObject **ret);
    /* The name of asyncio's method that waits for it, if another; or NULL. */
    const char *waits_as;
    /* Is there nothing to wait for, and None the result?  It calls nobody, and
       may say no if that is not plain; or NULL. */
    int (*is_none)(const struct OpObject *op);
};

typedef struct OpObject {
    PyObject_HEAD
    ModState *state;
    const struct op_kind *kind;
    struct LoopObject *loop;  // strong: its loop, if that is ours, or NULL
    PyObject *owner;        // strong: the reader, writer or protocol
    PyObject *inner;        // strong: iterator of what is awaited, or NULL
    PyObject *waiter;       // strong: the future that is awaited, or NULL
    PyObject *value;        // strong: what was awaited has returned, or NULL
    PyObject *arg;          // strong: whatever the kind keeps, or NULL
    Py_ssize_t size;        /* bytes asked for */
    Py_ssize_t offset;      /* bytes searched */
    char phase;             /* streams_op.c */
    char finalized;         /* the collector remembers it */
    char stage;             /* of the kind's own */
} OpObject;

/* A new one; owner, its loop and arg (both may be NULL) are borrowed. */
PyObject *KevOp_New(ModState *state, const struct op_kind *kind,
                    PyObject *owner, PyObject *loop, PyObject *arg,
                    Py_ssize_t size);

/* Wait for a future of the loop, made by the caller, whom settle() tells of
   the end; or for any awaitable.  Both borrowed.  OP_AWAIT, OP_WAIT or
   OP_ERROR. */
enum op_step KevOp_AwaitFuture(OpObject *op, PyObject *future);
enum op_step KevOp_Await(OpObject *op, PyObject *awaitable);

/* Raises a stored exception, as the raise statement does.  OP_ERROR. */
enum op_step KevOp_Raise(PyObject *exc);

/* The result of a step as an iterator gives it; value is stolen. */
PyObject *KevOp_AsIterator(PySendResult sent, PyObject *value);

/* The exception of throw(type[, value[, traceback]]) is set, or another. */
void KevOp_SetThrown(PyObject *type, PyObject *value, PyObject *traceback);

/* Lets go of those that a loop keeps to serve again. */
void KevOp_DropSpares(struct LoopObject *loop);

/*
 * The interpreter takes a result out of its StopIteration and lets that go at
 * once, so that one serves all reads of a loop's callbacks (LoopObject.stop),
 * as long as no program has been given it.  This is what it looks like then.
 */
static inline int
KevOp_IsOurs(PyObject *stop)
{
    const PyStopIterationObject *self = (const PyStopIterationObject *)stop;
    return Py_REFCNT(stop) == 1 && self->traceback == NULL
        && self->context == NULL && self->cause == NULL
        && self->dict == NULL && self->notes == NULL
        && !self->suppress_context
        && self->value != NULL && PyBytes_CheckExact(self->value)
        && self->args != NULL && PyTuple_CheckExact(self->args)
        && PyTuple_GET_SIZE(self->args) == 1
        && PyTuple_GET_ITEM(self->args, 0) == self->value;
}

/* Has it been through a frame of a program? */
static inline int
KevOp_WasGiven(PyObject *stop)
{
    return Py_REFCNT(stop) != 1
        || ((const PyStopIterationObject *)stop)->traceback != NULL;
}

/* It is kept no longer, nor the last result with it. */
void KevOp_DropStop(struct LoopObject *loop);

/* What a weak reference leads to: 1 with a new reference, 0 if it is gone,
   -1 with an exception. */
int KevStreams_Dereference(PyObject *reference, PyObject **ret);

/* PyObject_TypeCheck() for a type in C and the class that programs have, which
   most objects are of. */
static inline int
KevStreams_Is(PyObject *op, PyObject *cls, PyObject *type)
{
    return (PyObject *)Py_TYPE(op) == cls
        || PyObject_TypeCheck(op, (PyTypeObject *)type);
}

static inline int
KevStreams_IsReader(const ModState *state, PyObject *op)
{
    return KevStreams_Is(op, state->reader_class, state->reader_type);
}

static inline int
KevStreams_IsProtocol(const ModState *state, PyObject *op)
{
    return KevStreams_Is(op, state->stream_protocol_class,
                         state->stream_protocol_type);
}

static inline int
KevStreams_IsSet(const PyObject *field)
{
    return field != NULL && field != Py_None;
}

/* ---- the future that is awaited: streams_wait.c ------------------------ */

/* A future of the loop: loop.create_future(). */
PyObject *KevStreams_NewFuture(ModState *state, PyObject *loop);

/* Gives a future its result, None, unless it was cancelled.  0 or -1. */
int KevStreams_WakeUp(ModState *state, PyObject *waiter);

/* The same, asking first, as asyncio does: of a future that is not in C. */
int KevStreams_WakeAny(ModState *state, PyObject *future);

/* What `await future` does, for asyncio's future in C: before it is given to
   the task, 0 or -1; and when the task goes on.  PYGEN_NEXT: it waits on. */
int KevWait_Begin(ModState *state, PyObject *future);
PySendResult KevWait_End(ModState *state, PyObject *future, PyObject **ret);

/* ---- the reader: streams_reader.c, streams_read.c ---------------------- */

typedef struct {
    PyObject_HEAD
    ModState *state;
    struct rbuf buffer;
    PyObject *loop;         // strong; each of these may be NULL or None
    PyObject *limit;        // strong: as it was given
    PyObject *waiter;       // strong: the future of the one who reads
    PyObject *exception;    // strong
    PyObject *transport;    // strong
    Py_ssize_t limit_bytes;
    Py_ssize_t wanted;      /* bytes for which readexactly() waits */
    struct own own;
    char eof;
    char paused;
} ReaderObject;

/* The methods that others call. */
enum reader_method {
    READER_WAIT_FOR_DATA, READER_READ, READER_READUNTIL, READER_READLINE,
    READER_FEED_DATA, READER_EXCEPTION, READER_METHODS,
};

extern const struct own_method KevReader_Own[READER_METHODS];

/* Whether such a method is neither overridden nor replaced. */
static inline int
KevReader_Owns(ReaderObject *self, enum reader_method method)
{
    return KevOwn_Has(&self->own, self->state, Py_TYPE((PyObject *)self),
                      KevReader_Own, READER_METHODS, method);
}

/* reader.feed_data(data).  0 or -1. */
int KevReader_Feed(ReaderObject *self, PyObject *data);

/* Where a transport may put what the reader waits for: *ret_room bytes, or
   NULL.  KevReader_Commit() must follow: so many have been put there.  The
   reader's guard is held from one to the other. */
char *KevReader_Reserve(ReaderObject *self, Py_ssize_t *ret_room);
void KevReader_Commit(ReaderObject *self, Py_ssize_t size);

/* feed_data() of size bytes in memory, behind those just committed.  One who
   waits for more than there is then is left asleep.  0 or -1. */
int KevReader_FeedBytes(ReaderObject *self, const char *bytes,
                        Py_ssize_t size);

/* Would bytes of that size be kept as they are?  Then the same of a bytes
   object, and of rest_size bytes in memory behind it. */
static inline int
KevReader_TakesWhole(const ReaderObject *self, Py_ssize_t size)
{
    return !self->eof && self->wanted <= size && !self->buffer.shared
        && self->buffer.end == self->buffer.start;
}
int KevReader_FeedWhole(ReaderObject *self, PyObject *bytes, const char *rest,
                        Py_ssize_t rest_size);

/* Read on if the buffer is down to the limit.  0 or -1. */
int KevReader_MaybeResume(ReaderObject *self);

/* Resume a transport that was paused.  0 or -1. */
int KevReader_Resume(ReaderObject *self);

/* The settle() of all that reads: nobody waits any more. */
void KevReader_SettleWait(OpObject *op);

/* The methods that are awaited. */
PyObject *KevReader_Read(PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevReader_ReadExactly(PyObject *self, PyObject *const *args,
                                Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevReader_ReadUntil(PyObject *self, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevReader_ReadLine(PyObject *self, PyObject *ignored);
PyObject *KevReader_WaitForData(PyObject *self, PyObject *const *args,
                                Py_ssize_t nargs, PyObject *kwnames);
PyObject *KevReader_Anext(PyObject *self);

/* ---- the protocol: streams_protocol.c ---------------------------------- */

typedef struct {
    PyObject_HEAD
    ModState *state;
    PyObject *loop;             // strong; each of these may be NULL
    PyObject *reader_ref;       // strong: a weak reference, or None
    PyObject *drain_waiters;    // strong: a deque
    struct own own;
    char paused;
    char connection_lost;
} StreamProtocolObject;

enum protocol_method {
    PROTOCOL_DATA_RECEIVED, PROTOCOL_DRAIN_HELPER, PROTOCOL_METHODS,
};

extern const struct own_method KevStreamProtocol_Own[PROTOCOL_METHODS];

static inline int
KevStreamProtocol_Owns(StreamProtocolObject *self,
                       enum protocol_method method)
{
    return KevOwn_Has(&self->own, self->state, Py_TYPE((PyObject *)self),
                      KevStreamProtocol_Own, PROTOCOL_METHODS, method);
}

/* protocol._drain_helper(). */
PyObject *KevStreamProtocol_DrainHelper(PyObject *self, PyObject *ignored);

/* Its first step: OP_DONE if there is nothing to wait for; otherwise the
   protocol's _drain_helper() must be awaited. */
enum op_step KevStreamProtocol_MayWrite(StreamProtocolObject *self);

/* ---- from a transport: streams_feed.c ----------------------------------- */

/* How a transport's data comes to its protocol. */
enum feed_way {
    FEED_CALL,       /* by data_received() */
    FEED_OURS,       /* it is a StreamReaderProtocol of ours */
    FEED_STANDARD,   /* it is asyncio's, exactly */
};

enum feed_way KevFeed_Way(const ModState *state, PyObject *protocol);

/* The reader that protocol (of ours) would feed, if all of it is ours: a new
   reference, else NULL. */
ReaderObject *KevFeed_Reader(ModState *state, PyObject *protocol);

/* What data_received() of asyncio's does.  1: done; 0: call it; -1. */
int KevFeed_Standard(ModState *state, PyObject *protocol, const char *bytes,
                     Py_ssize_t size);

int KevFeed_Setup(ModState *state);

/* ---- the writer: streams_writer.c --------------------------------------- */

typedef struct {
    PyObject_HEAD
    ModState *state;
    PyObject *transport;    // strong; each of these may be NULL or None
    PyObject *protocol;     // strong
    PyObject *reader;       // strong
    PyObject *loop;         // strong
} WriterObject;

/* ---- setting up -------------------------------------------------------- */

/* All of it: what setup.c calls.  0 or -1. */
int KevStreams_Setup(PyObject *module, ModState *state);

int KevReader_Setup(PyObject *module, ModState *state);
int KevStreamProtocol_Setup(PyObject *module, ModState *state);
int KevWriter_Setup(PyObject *module, ModState *state);

#endif
