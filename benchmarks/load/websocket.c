/*
 * websocket.c - one masked binary message out, the same message back.
 */
#include "websocket.h"

#include <string.h>

#define FRAME_FINAL_BINARY 0x82
#define FRAME_MASKED       0x80
#define LENGTH_16          126
#define LENGTH_64          127

size_t
websocket_size(size_t payload_bytes)
{
    return sizeof(struct websocket) + WEBSOCKET_HEAD_MAX + payload_bytes;
}

size_t
websocket_send(struct websocket *websocket,
               const struct expectation *expected, uint32_t mask)
{
    unsigned char *out = (unsigned char *)websocket->out;
    size_t size = expected->body_bytes;
    unsigned char key[4];
    size_t at = 0;

    out[at++] = FRAME_FINAL_BINARY;
    unsigned length_bytes = size < LENGTH_16 ? 0 : size <= 0xffff ? 2 : 8;
    if (length_bytes == 0) {
        out[at++] = (unsigned char)(FRAME_MASKED | size);
    }
    else {
        out[at++] = FRAME_MASKED | (length_bytes == 2 ? LENGTH_16 : LENGTH_64);
    }
    for (unsigned i = length_bytes; i-- != 0;) {
        out[at++] = (unsigned char)((uint64_t)size >> (8 * i));
    }
    memcpy(key, &mask, sizeof(key));
    memcpy(out + at, key, sizeof(key));
    at += sizeof(key);
    for (size_t i = 0; i < size; i++) {
        out[at + i] = (unsigned char)expected->body[i] ^ key[i % 4];
    }
    websocket->expected = *expected;
    websocket->is_wrong = false;
    websocket->head_bytes = 0;
    websocket->payload_seen = 0;
    websocket->payload_bytes = 0;
    return at + size;
}

/* How long the head is, as far as it is known; the length it tells is in
   *ret_payload once it is there. */
static size_t
frame_head(const unsigned char *head, size_t count, size_t *ret_payload)
{
    if (count < 2) {
        return 2;
    }
    unsigned size = head[1] & 0x7f;
    unsigned more = size < LENGTH_16 ? 0 : size == LENGTH_16 ? 2 : 8;
    if (count < 2 + more) {
        return 2 + more;
    }
    uint64_t payload = more == 0 ? size : 0;
    for (unsigned i = 0; i < more; i++) {
        payload = payload << 8 | head[2 + i];
    }
    *ret_payload = (size_t)payload;
    return 2 + more;
}

enum answer
websocket_feed(struct load *load, struct websocket *websocket,
               const char *bytes, size_t count, size_t *ret_used)
{
    const struct expectation *expected = &websocket->expected;
    size_t used = 0;

    while (websocket->head_bytes < frame_head(websocket->head,
                                              websocket->head_bytes,
                                              &websocket->payload_bytes)) {
        if (used == count) {
            *ret_used = used;
            return ANSWER_MORE;
        }
        websocket->head[websocket->head_bytes++] =
            (unsigned char)bytes[used++];
    }
    *ret_used = used;
    /* Nothing but the echo may come: no fragments, pings, closes or masks. */
    if (websocket->head[0] != FRAME_FINAL_BINARY
        || (websocket->head[1] & FRAME_MASKED) != 0
        || websocket->payload_bytes != expected->body_bytes) {
        load_complain(load, "client %u, message %llu, %s: another frame was "
                      "expected: %02x %02x, %zu bytes", expected->client,
                      (unsigned long long)expected->message, expected->what,
                      websocket->head[0], websocket->head[1],
                      websocket->payload_bytes);
        return ANSWER_BROKEN;
    }
    size_t left = websocket->payload_bytes - websocket->payload_seen;
    size_t part = count - used < left ? count - used : left;
    if (load_compare(load, bytes + used,
                     expected->body + websocket->payload_seen, part,
                     expected->what, expected->client, expected->message,
                     websocket->payload_seen) != 0) {
        websocket->is_wrong = true;
    }
    websocket->payload_seen += part;
    *ret_used = used + part;
    return websocket->payload_seen == websocket->payload_bytes
        ? ANSWER_WHOLE : ANSWER_MORE;
}
