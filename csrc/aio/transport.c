/*
 * transport.c - what the loop does with a transport of either kind.
 */
#include "aio/compat.h"
#include "aio/datagram.h"
#include "aio/stream.h"

int
KevTransport_Again(TransportObject *self)
{
    KEV_GUARD(self->monitor);
    self->queued_again = 0;
    KEV_UNGUARD();
    return self->kind == TRANSPORT_DATAGRAM
        ? KevDatagram_Again((DatagramObject *)self)
        : KevStream_Again((StreamObject *)self);
}

int
KevTransport_QueueAgain(TransportObject *self)
{
    if (self->queued_again || self->loop == NULL) {
        return 0;
    }
    if (KevReady_Push(self->loop->again, (PyObject *)self) < 0) {
        return -1;
    }
    self->queued_again = 1;
    return 0;
}

/* Takes the first of those that hold something, and has it sent: a new
   reference, or NULL if there is none. */
static TransportObject *
send_one(LoopObject *loop, int *ret_r)
{
    TransportObject *one = NULL;
    KEV_GUARD(loop->ready);
    if (KevReady_Len(loop->held) > 0) {
        one = (TransportObject *)KevReady_Pop(loop->held);
        *ret_r = one->kind == TRANSPORT_DATAGRAM
            ? KevDatagram_SendHeld((DatagramObject *)one)
            : KevStream_AfterCallback((StreamObject *)one);
    }
    KEV_UNGUARD();
    return one;
}

int
KevTransport_AfterCallback(LoopObject *loop, int r)
{
    PyObject *raised = r < 0 ? KevErr_GetRaised() : NULL;
    TransportObject *one;
    while ((one = send_one(loop, &r)) != NULL) {
        if (r < 0) {
            if (raised == NULL) {
                raised = KevErr_GetRaised();
            }
            PyErr_Clear();
        }
        Py_DECREF(one);
    }
    if (raised != NULL) {
        KevErr_SetRaised(raised);
        return -1;
    }
    return r;
}

int
KevTransport_Polling(const TransportObject *self)
{
    return self->kind == TRANSPORT_DATAGRAM
        ? KevDatagram_Polling((const DatagramObject *)self)
        : KevStream_Polling((const StreamObject *)self);
}
