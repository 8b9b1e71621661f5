/*
 * websocket.h - one masked binary message out, the same message back.
 */
#ifndef LOAD_WEBSOCKET_H
#define LOAD_WEBSOCKET_H

#include "load.h"
#include "response.h"

#define WEBSOCKET_HEAD_MAX 14

/* The key of RFC 6455's own example, and what a server has to make of it. */
#define WEBSOCKET_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WEBSOCKET_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct websocket {
    struct expectation expected;
    bool is_wrong;
    size_t head_bytes;
    size_t payload_seen;
    size_t payload_bytes;
    unsigned char head[WEBSOCKET_HEAD_MAX];
    char out[];                     /* room for a frame of the longest size */
};

/* How much memory a websocket with messages up to that size needs. */
size_t
websocket_size(size_t payload_bytes);

/* Makes the frame in websocket->out and returns its length; its echo is
   what the next bytes have to be. */
size_t
websocket_send(struct websocket *websocket,
               const struct expectation *expected, uint32_t mask);

/* Reads on, as response_feed does. */
enum answer
websocket_feed(struct load *load, struct websocket *websocket,
               const char *bytes, size_t count, size_t *ret_used);

#endif
