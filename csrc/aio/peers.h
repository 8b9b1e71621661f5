/*
 * peers.h - who datagrams come from and go to: the addresses of the socket
 * module (tuples) and of the kernel (sockaddr), and the last of them.
 *
 * A peer that sends again is given the same tuple, and a tuple that comes back
 * as the address of an answer is known without being read.  One table for a
 * loop: a slot is taken over by whoever comes to it last.
 */
#ifndef KEV_AIO_PEERS_H
#define KEV_AIO_PEERS_H

#include "mod/python.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* An Internet address in the kernel's form; length 0: none. */
struct inet_name {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
    socklen_t length;
};

#define PEERS_BITS 9
#define PEERS_COUNT (1u << PEERS_BITS)

struct peer {
    struct inet_name name;
    PyObject *address;          // strong, or NULL
};

struct peers {
    struct peer slots[PEERS_COUNT];
    uint16_t by_object[PEERS_COUNT];  /* where a tuple may be found */
};

/* All zeroes is an empty table.  Lets go of everything. */
void KevPeers_Clear(struct peers *self);

int KevPeers_Traverse(const struct peers *self, visitproc visit, void *arg);

/* What recvfrom() of the socket module would give.  A new reference, or NULL
   with an exception. */
PyObject *KevPeers_Address(struct peers *self,
                           const struct sockaddr_storage *name,
                           socklen_t length);

/* The name of an address that KevPeers_Address has given lately, or NULL
   without an exception; valid until the next call. */
const struct inet_name *KevPeers_Find(const struct peers *self,
                                      PyObject *address);

/*
 * Reads a tuple of numbers as socket.sendto() would for that family: 1, or 0
 * if it is anything else (names, other types), which is no verdict: only the
 * socket module can tell.  No exception is set.
 */
int KevPeers_Parse(PyObject *address, int family, struct inet_name *ret_name);

#endif
