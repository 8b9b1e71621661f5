/*
 * tls.h - a connection's TLS, by the OpenSSL that the machine has.
 *
 * The library is opened when it is first asked for, so that load
 * generator and server in C need neither its headers nor itself where nobody
 * uses TLS.
 */
#ifndef BENCHMARKS_TLS_H
#define BENCHMARKS_TLS_H

#include <stddef.h>
#include <sys/types.h>

struct tls;

/* Finds the library, for servers with a file of certificate and key, for
   clients with NULL.  Returns NULL, or what is wrong. */
const char *
tls_prepare(const char *certificate);

/* TLS on a socket, which stays the caller's.  A client shakes hands at once,
   on a blocking socket, and believes any certificate; a server with its first
   tls_receive.  Returns NULL if that cannot be had. */
struct tls *
tls_open(int fd);

/* Frees it, without a word to the peer; harmless with NULL. */
void
tls_close(struct tls *tls);

/* As recv(2) and send(2) on a socket that does not block: a count, 0 at the
   end of the stream, or -1 with errno. */
ssize_t
tls_receive(struct tls *tls, void *buffer, size_t size);

ssize_t
tls_send(struct tls *tls, const void *bytes, size_t count);

#endif
