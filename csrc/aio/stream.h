/*
 * stream.h - the transport of a connected TCP or Unix socket.
 *
 * A subclass of asyncio.Transport (and of its flow control mixin, which
 * asyncio's sendfile asks for).  What runs per packet or per connection is
 * here; what a program asks rarely (repr, extra info, limits, logging) is in
 * the Python subclass, kevent.transports.StreamTransport, which is the class
 * that programs meet.
 */
#ifndef KEV_AIO_STREAM_H
#define KEV_AIO_STREAM_H

#include "aio/own.h"
#include "aio/guard.h"
#include "aio/transport.h"
#include "aio/wbuf.h"

#include "aio/sockname.h"

typedef struct StreamObject {
    TRANSPORT_HEAD
    PyObject *sock;             // strong: the socket object, once asked for
    PyObject *protocol;         // strong; NULL once lost
    PyObject *server;           // strong or NULL
    PyObject *context;          // strong: callbacks run in it
    PyObject *empty_waiter;     // strong or NULL
    struct sock_names *names;   /* NULL: not a family that we can show */
    struct wbuf wbuf;
    size_t high_water;
    size_t low_water;
    int fd;                     /* -1 once closed */
    int fd_number;              /* what it was, for repr */
    uint32_t conn_lost;         /* connection_lost is scheduled, or done */
    uint32_t last_turn;         /* the loop's turn when it last wrote */
    uint32_t last_read;         /* how many bytes the last read brought */
    uint32_t birth_pass;        /* the loop's pass in which it was made */
    short family;
    char protocol_connected;
    char buffered;              /* protocol is a BufferedProtocol */
    char feed;                  /* enum feed_way: how it takes data */
    char paused;
    char read_eof;              /* the peer ended, and we stay open */
    char write_eof;
    char steady;                /* reads in a row that were not larger */
    char readable;              /* there may be something to read */
    char follows;               /* this read is not the pass's first */
    char flushed;               /* sent, but resume_writing is not through */
    char drain;                 /* a short read does not mean empty */
    char want_write;            /* the loop reports when it can be sent */
    char gathers;               /* its callbacks write more than once */
    char wrote_more;            /* the last one that wrote did so */
    char protocol_paused;
    char extra_filled;          /* extra holds all there is to know */
    struct own own;             /* methods that writers call directly */
} StreamObject;

enum stream_method {
    STREAM_WRITE, STREAM_IS_CLOSING, STREAM_METHODS,
};

extern const struct own_method KevStream_Own[STREAM_METHODS];

/* Whether such a method is neither overridden nor replaced. */
static inline int
KevStream_Owns(StreamObject *self, const ModState *state,
               enum stream_method method)
{
    return KevOwn_Has(&self->own, state, Py_TYPE((PyObject *)self),
                      KevStream_Own, STREAM_METHODS, method);
}

#define STREAM_HIGH_WATER (64 * 1024)

/*
 * A new transport on fd, which it owns from now on, also on failure.  sock
 * may be NULL (made when asked for); all objects are borrowed, any of waiter,
 * extra, server, context may be NULL, and peer, if the kernel shall be asked.
 * connection_made is queued.
 */
PyObject *KevStream_New(PyTypeObject *type, LoopObject *loop, int fd,
                        int family, const struct sock_peer *peer,
                        PyObject *sock, PyObject *protocol, PyObject *waiter,
                        PyObject *extra, PyObject *server,
                        PyObject *context);

/* The loop has events for it.  0, or -1 with an exception that must end the
   pass. */
int KevStream_OnEvents(StreamObject *self, uint32_t events);

/* It stopped reading with more to come: read on.  As above. */
int KevStream_Again(StreamObject *self);

/* The callback that wrote has returned: send what is held.  0 or -1. */
int KevStream_AfterCallback(StreamObject *self);

/* What it waits for: 1 reading, 2 writing, as selectors has it. */
int KevStream_Polling(const StreamObject *self);

int KevStream_Setup(PyObject *module, ModState *state);

/* ---- between the stream's own files --------------------------------- */

/* An exception is set: let SystemExit and KeyboardInterrupt through (-1),
   give any other to self._fatal_error(exc, message) (0). */
int KevStream_Fatal(StreamObject *self, const char *message);

/* The same for an error of the socket: err is positive. */
int KevStream_FatalErrno(StreamObject *self, int err, const char *message);

/* Report the exception that is set to the loop's handler.  0 or -1. */
int KevStream_Report(StreamObject *self, const char *message);

/* close() and abort(): 0 or -1 with an exception. */
int KevStream_Close(StreamObject *self);
int KevStream_ForceClose(StreamObject *self, PyObject *exc);

/* The end: protocol.connection_lost(exc), then everything is let go. */
int KevStream_ConnectionLost(StreamObject *self, PyObject *exc);

/* Steps of birth and death: the loop's reports end (guard held); the socket
   is closed (by its object if there is one); the server forgets it; the
   protocol is set.  0 or -1 with an exception. */
void KevStream_Detach(StreamObject *self);

/* Reading or writing has begun or ended: does the loop keep it alive?  Guard
   held. */
void KevStream_Anchor(StreamObject *self);
int KevStream_CloseSocket(StreamObject *self);
int KevStream_DetachServer(StreamObject *self);
int KevStream_SetProtocol(StreamObject *self, PyObject *protocol);

/* stream_read.c */
int KevStream_ReadReady(StreamObject *self);
int KevStream_ResumeReading(StreamObject *self);

/* stream_write.c */
int KevStream_WriteReady(StreamObject *self);
int KevStream_MaybePauseProtocol(StreamObject *self);

/* Send what was held back for the end of the callback.  0 or -1.  Guard
   held. */
int KevStream_SendHeld(StreamObject *self);
PyObject *KevStream_Write(PyObject *self, PyObject *data);
PyObject *KevStream_Writelines(PyObject *self, PyObject *list);
PyObject *KevStream_WriteEof(PyObject *self, PyObject *ignored);

#endif
