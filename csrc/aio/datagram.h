/*
 * datagram.h - the transport of a UDP or Unix datagram socket.
 *
 * The loop reports edges.  One recvmmsg() takes what waits, up to
 * DATAGRAM_BATCH, into an arena of the loop; the datagrams become objects in
 * the inbox and are delivered from there.  What the callbacks of one batch
 * send waits in the outbox and leaves with one system call when the batch has
 * been delivered, before the loop polls again; what is sent at any other time
 * leaves at once, and the outbox then holds only what the socket did not take.
 */
#ifndef KEV_AIO_DATAGRAM_H
#define KEV_AIO_DATAGRAM_H

#include "aio/peers.h"
#include "aio/transport.h"

/* What one pass takes from one socket: asyncio would need as many passes. */
#define DATAGRAM_BATCH 32u

struct datagram_in {
    PyObject *data;             // strong, bytes
    PyObject *address;          // strong
};

struct datagram_out {
    PyObject *data;             // strong, bytes
    PyObject *address;          // strong or NULL; read when name has none
    struct inet_name name;
};

enum segments {
    SEGMENTS_UNKNOWN,
    SEGMENTS_CAN,
    SEGMENTS_NO,
};

typedef struct DatagramObject {
    TRANSPORT_HEAD
    PyObject *sock;             // strong; NULL once lost
    PyObject *protocol;         // strong; NULL once lost
    PyObject *address;          // strong; NULL: it may send to anybody
    PyObject *read_context;     // strong, once it reads
    PyObject *write_context;    // strong, once it had to wait
    struct datagram_in *inbox;  /* DATAGRAM_BATCH; made when first needed */
    struct datagram_out *outbox;  /* a ring */
    size_t out_bytes;           /* in the outbox, headers counted */
    size_t high_water;
    size_t low_water;
    struct inet_name name;      /* of address, if it has one */
    uint32_t in_first;
    uint32_t in_count;
    uint32_t out_first;
    uint32_t out_count;
    uint32_t out_capacity;      /* a power of two, or 0 */
    int fd;                     /* -1 once closed */
    int fd_number;              /* what it was, for repr */
    uint32_t conn_lost;         /* connection_lost is scheduled, or done */
    uint32_t last_delivery;     /* the loop's single_delivery when it sent */
    short family;
    char protocol_connected;
    char takes_lists;           /* its class has datagrams_received() */
    char has_peer;              /* send() and not sendto() */
    char paused;
    char watched;               /* the kernel has been asked for events */
    char readable;              /* there may be something to read */
    char drain;                 /* few datagrams do not mean that was all */
    char want_write;            /* the loop reports when it can be sent */
    char segments;              /* enum segments: can the kernel cut? */
    char protocol_paused;
} DatagramObject;

#define DATAGRAM_HIGH_WATER (64 * 1024)

/* What a datagram counts for in the outbox beyond its bytes. */
#if PY_VERSION_HEX >= 0x030D0000
#define DATAGRAM_HEADER 8
#else
#define DATAGRAM_HEADER 0
#endif

/* The loop has events for it.  0, or -1 with an exception that must end the
   pass. */
int KevDatagram_OnEvents(DatagramObject *self, uint32_t events);

/* It stopped reading with more to come.  As above. */
int KevDatagram_Again(DatagramObject *self);

/* Send what was held back for the end of the batch.  0 or -1. */
int KevDatagram_SendHeld(DatagramObject *self);

int KevDatagram_Polling(const DatagramObject *self);

int KevDatagram_Setup(PyObject *module, ModState *state);

/* What the loop keeps for its datagram sockets, made when one first reads. */
void KevDatagram_ArenaFree(LoopObject *loop);
int KevDatagram_ArenaTraverse(const LoopObject *loop, visitproc visit,
                              void *arg);
struct peers *KevDatagram_Peers(const LoopObject *loop);

/* ---- between the files of the datagram transport -------------------- */

/* Who is to be told, a new reference; NULL: the transport is lost. */
PyObject *KevDatagram_Protocol(DatagramObject *self);

/* protocol.error_received(OSError(err)); err is positive.  0 or -1. */
int KevDatagram_ErrorReceived(DatagramObject *self, int err);

/* An exception is set: SystemExit and KeyboardInterrupt pass through (-1), any
   other closes the transport: self._fatal_error(exc, message) (0). */
int KevDatagram_Fatal(DatagramObject *self, const char *message);

/* The same for one that concerns only the callback. */
int KevDatagram_Report(DatagramObject *self, const char *message);

/* The loop's handler hears of the exception that is set, unless that must
   end the pass.  0 or -1. */
int KevDatagram_CallbackFailed(DatagramObject *self, LoopObject *loop);

int KevDatagram_Close(DatagramObject *self);
int KevDatagram_ForceClose(DatagramObject *self, PyObject *exc);
int KevDatagram_ConnectionLost(DatagramObject *self, PyObject *exc);
void KevDatagram_Detach(DatagramObject *self);   /* guard held */
void KevDatagram_Anchor(DatagramObject *self);   /* guard held */
int KevDatagram_CloseSocket(DatagramObject *self);
int KevDatagram_SetProtocol(DatagramObject *self, PyObject *protocol);

/* connection_made has been called: read from now on.  0 or -1. */
int KevDatagram_Start(DatagramObject *self);

static inline int
KevDatagram_IsReading(const DatagramObject *self)
{
    return !self->closing && !self->paused;
}

/* datagram_read.c */
int KevDatagram_ReadReady(DatagramObject *self);
int KevDatagram_ResumeReading(DatagramObject *self);
void KevDatagram_ClearInbox(DatagramObject *self);

/* datagram_write.c */
int KevDatagram_WriteReady(DatagramObject *self);
int KevDatagram_MaybePauseProtocol(DatagramObject *self);
void KevDatagram_ClearOutbox(DatagramObject *self);
PyObject *KevDatagram_SendTo(PyObject *self, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames);

#endif
