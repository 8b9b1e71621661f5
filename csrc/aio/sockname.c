/*
 * sockname.c - socket addresses as the socket module shows them.
 */
#include "aio/sockname.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

int
KevSockname_Known(int family)
{
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

static PyObject *
unix_name(const struct sockaddr_un *address, socklen_t length)
{
    size_t size = length > offsetof(struct sockaddr_un, sun_path)
        ? length - offsetof(struct sockaddr_un, sun_path) : 0;
    if (size == 0) {
        return PyUnicode_FromString("");
    }
    if (address->sun_path[0] == '\0') {
        /* Abstract: bytes, with the leading zero. */
        return PyBytes_FromStringAndSize(address->sun_path,
                                         (Py_ssize_t)size);
    }
    return PyUnicode_DecodeFSDefaultAndSize(
        address->sun_path, (Py_ssize_t)strnlen(address->sun_path, size));
}

PyObject *
KevSockname_ToPython(const struct sockaddr_storage *address, socklen_t length)
{
    char text[INET6_ADDRSTRLEN];
    if (length < (socklen_t)sizeof(sa_family_t)) {
        Py_RETURN_NONE;
    }
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        if (inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)) == NULL) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        return Py_BuildValue("si", text, ntohs(in->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        if (inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text))
            == NULL) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        return Py_BuildValue("siII", text, ntohs(in6->sin6_port),
                             (unsigned)ntohl(in6->sin6_flowinfo),
                             (unsigned)in6->sin6_scope_id);
    }
    return unix_name((const void *)address, length);
}

struct sock_names *
KevSockname_Both(int fd, const struct sock_peer *peer)
{
    struct sock_peer asked = {.length = sizeof(asked.address)};
    struct sock_peer local = {.length = sizeof(local.address)};
    if (getsockname(fd, (struct sockaddr *)&local.address, &local.length)
        < 0) {
        local.length = 0;
    }
    if (peer == NULL) {
        peer = &asked;
        if (getpeername(fd, (struct sockaddr *)&asked.address, &asked.length)
            < 0) {
            asked.length = 0;
        }
    }
    struct sock_names *names = PyMem_Malloc(
        sizeof(*names) + local.length + peer->length);
    if (names == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    names->local_length = (uint8_t)local.length;
    names->peer_length = (uint8_t)peer->length;
    memcpy(names->bytes, &local.address, local.length);
    memcpy(names->bytes + local.length, &peer->address, peer->length);
    return names;
}

static PyObject *
kept_name(const char *bytes, socklen_t length)
{
    struct sockaddr_storage address;
    memcpy(&address, bytes, length);
    return KevSockname_ToPython(&address, length);
}

PyObject *
KevSockname_BothToPython(const struct sock_names *names)
{
    PyObject *local = kept_name(names->bytes, names->local_length);
    PyObject *peer = local == NULL ? NULL
        : kept_name(names->bytes + names->local_length, names->peer_length);
    if (peer == NULL) {
        Py_XDECREF(local);
        return NULL;
    }
    return Py_BuildValue("NN", local, peer);
}
