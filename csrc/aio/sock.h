/*
 * sock.h - sock_recv(), sock_recv_into() and sock_sendall(): what of them runs
 * for each message.  kevent/loop.py has the coroutines around it.
 */
#ifndef KEV_AIO_SOCK_H
#define KEV_AIO_SOCK_H

#include "aio/loop.h"

/* A call that waits for its socket stands in the loop's table of descriptors
   in the place of a reader's or writer's handle. */
static inline int
KevSock_IsCall(const ModState *state, PyObject *handle)
{
    return Py_IS_TYPE(handle, (PyTypeObject *)state->sock_call_type);
}

/* The socket is ready: go on with the call.  0, or -1 with an exception that
   must end the pass. */
int KevSock_Ready(LoopObject *self, int fd, PyObject *call, int writing);

/*
 * Methods.  What the call gives if it can be done at once; else a future that
 * will have it; NotImplemented if asyncio's own coroutine shall do it.
 */
PyObject *KevSock_Recv(PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs);
PyObject *KevSock_RecvInto(PyObject *self, PyObject *const *args,
                           Py_ssize_t nargs);
PyObject *KevSock_SendAll(PyObject *self, PyObject *const *args,
                          Py_ssize_t nargs);

/* _forget_call(sock, future): nobody awaits that future any more. */
PyObject *KevSock_Forget(PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs);

int KevSock_Setup(PyObject *module, ModState *state);

#endif
