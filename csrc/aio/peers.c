/*
 * peers.c - the addresses of datagrams.
 */
#include "aio/peers.h"

#include <arpa/inet.h>
#include <string.h>

#include "aio/sockname.h"

#define SPREAD 0x9E3779B97F4A7C15u  /* 2**64 by the golden ratio */

void
KevPeers_Clear(struct peers *self)
{
    for (unsigned i = 0; i < PEERS_COUNT; i++) {
        self->slots[i].name.length = 0;
        Py_CLEAR(self->slots[i].address);
    }
}

int
KevPeers_Traverse(const struct peers *self, visitproc visit, void *arg)
{
    for (unsigned i = 0; i < PEERS_COUNT; i++) {
        Py_VISIT(self->slots[i].address);
    }
    return 0;
}

static inline unsigned
slot_of(uint64_t key)
{
    return (unsigned)((key * SPREAD) >> (64 - PEERS_BITS));
}

static unsigned
slot_of_name(const struct sockaddr_storage *name)
{
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)name;
        return slot_of(((uint64_t)in->sin_addr.s_addr << 16) | in->sin_port);
    }
    const struct sockaddr_in6 *in6 = (const void *)name;
    uint64_t halves[2];
    memcpy(halves, &in6->sin6_addr, sizeof(halves));
    return slot_of((halves[0] * SPREAD) ^ halves[1] ^ in6->sin6_scope_id
                   ^ ((uint64_t)in6->sin6_port << 48));
}

static inline unsigned
slot_of_object(const PyObject *address)
{
    return slot_of((uintptr_t)address);
}

PyObject *
KevPeers_Address(struct peers *self, const struct sockaddr_storage *name,
                 socklen_t length)
{
    if (!(length == sizeof(struct sockaddr_in) && name->ss_family == AF_INET)
        && !(length == sizeof(struct sockaddr_in6)
             && name->ss_family == AF_INET6)) {
        return KevSockname_ToPython(name, length);
    }
    unsigned slot = slot_of_name(name);
    struct peer *peer = &self->slots[slot];
    if (peer->name.length == length
        && memcmp(&peer->name.any, name, length) == 0) {
        return Py_NewRef(peer->address);
    }
    PyObject *address = KevSockname_ToPython(name, length);
    if (address == NULL) {
        return NULL;
    }
    PyObject *old = peer->address;
    memcpy(&peer->name.any, name, length);
    peer->name.length = length;
    peer->address = Py_NewRef(address);
    self->by_object[slot_of_object(address)] = (uint16_t)slot;
    Py_XDECREF(old);  /* a tuple of ours: nothing runs */
    return address;
}

const struct inet_name *
KevPeers_Find(const struct peers *self, PyObject *address)
{
    const struct peer *peer =
        &self->slots[self->by_object[slot_of_object(address)]];
    return peer->address == address ? &peer->name : NULL;
}

/* A number of at most max that Python code cannot have redefined: 1 or 0. */
static int
plain_number(PyObject *object, unsigned long max, uint32_t *ret_value)
{
    if (!PyLong_CheckExact(object)) {
        return 0;
    }
    unsigned long value = PyLong_AsUnsignedLong(object);
    if (value == (unsigned long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    *ret_value = (uint32_t)value;
    return value <= max;
}

int
KevPeers_Parse(PyObject *address, int family, struct inet_name *ret_name)
{
    uint32_t port;
    uint32_t flow = 0;
    uint32_t scope = 0;
    if (!PyTuple_CheckExact(address)) {
        return 0;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(address);
    if (count < 2 || count > (family == AF_INET6 ? 4 : 2)
        || !PyUnicode_CheckExact(PyTuple_GET_ITEM(address, 0))
        || !plain_number(PyTuple_GET_ITEM(address, 1), 0xffff, &port)
        || (count > 2
            && !plain_number(PyTuple_GET_ITEM(address, 2), 0xfffff, &flow))
        || (count > 3
            && !plain_number(PyTuple_GET_ITEM(address, 3), 0xffffffff,
                             &scope))) {
        return 0;
    }
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(address, 0),
                                               &size);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (strlen(text) != (size_t)size) {
        return 0;
    }
    memset(ret_name, 0, sizeof(*ret_name));
    if (family == AF_INET) {
        ret_name->in.sin_family = AF_INET;
        ret_name->in.sin_port = htons((uint16_t)port);
        ret_name->length = sizeof(ret_name->in);
        return inet_pton(AF_INET, text, &ret_name->in.sin_addr) == 1;
    }
    ret_name->in6.sin6_family = AF_INET6;
    ret_name->in6.sin6_port = htons((uint16_t)port);
    ret_name->in6.sin6_flowinfo = htonl(flow);
    ret_name->in6.sin6_scope_id = scope;
    ret_name->length = sizeof(ret_name->in6);
    return family == AF_INET6
        && inet_pton(AF_INET6, text, &ret_name->in6.sin6_addr) == 1;
}
