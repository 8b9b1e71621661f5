/*
 * sockname.h - socket addresses as the socket module shows them, and both
 * ends' of a connection, kept from its beginning: after a reset the kernel has
 * forgotten the peer's, and of a local one the port.
 */
#ifndef KEV_AIO_SOCKNAME_H
#define KEV_AIO_SOCKNAME_H

#include <Python.h>
#include <stdint.h>
#include <sys/socket.h>

/* What accept() said of the other end. */
struct sock_peer {
    struct sockaddr_storage address;
    socklen_t length;
};

/* Each address takes as many bytes as it has; 0 if the kernel gave none. */
struct sock_names {
    uint8_t local_length;
    uint8_t peer_length;
    char bytes[];               /* the local one, then the peer's */
};

/* Whether addresses of that family can be shown. */
int KevSockname_Known(int family);

/* As socket.getsockname() gives it; new reference or NULL. */
PyObject *KevSockname_ToPython(const struct sockaddr_storage *address,
                               socklen_t length);

/* Both names of a socket whose family is known; peer may be NULL, and is then
   asked of the kernel.  For PyMem_Free(); NULL with an exception. */
struct sock_names *KevSockname_Both(int fd, const struct sock_peer *peer);

/* (sockname, peername), each None if there is none; new reference or NULL. */
PyObject *KevSockname_BothToPython(const struct sock_names *names);

#endif
