/*
 * response.h - reads one HTTP/1.1 response and compares its body.
 *
 * Strict where a server can be wrong: a status that was not asked for, a
 * length that is not a number, a body that is framed twice or not at all.
 */
#ifndef LOAD_RESPONSE_H
#define LOAD_RESPONSE_H

#include "load.h"

#define RESPONSE_LINE_MAX 8192

enum response_state {
    RESPONSE_STATUS,
    RESPONSE_HEADER,
    RESPONSE_BODY,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER,
    RESPONSE_WHOLE,
};

enum answer {
    ANSWER_MORE,        /* all bytes are used and more are needed */
    ANSWER_WHOLE,
    ANSWER_BROKEN,      /* not HTTP, or the connection cannot go on */
};

/* What a request expects. */
struct expectation {
    const char *what;           /* for messages */
    unsigned status;
    bool is_chunked;            /* it has to be */
    const char *body;           /* borrowed */
    size_t body_bytes;
    const char *accept;         /* Sec-WebSocket-Accept, or NULL */
    unsigned client;
    uint64_t message;
};

struct response {
    enum response_state state;
    struct expectation expected;
    unsigned status;
    bool has_length;
    bool is_chunked;
    bool is_accepted;
    bool is_wrong;
    size_t body_left;           /* of the body or of the chunk */
    size_t body_seen;
    size_t line_bytes;
    char line[RESPONSE_LINE_MAX];
};

/* The next bytes belong to the answer to this. */
void
response_expect(struct response *response,
                const struct expectation *expected);

/* Reads on.  *ret_used bytes were the response's; response->is_wrong tells of
   a whole one whether it was the expected one. */
enum answer
response_feed(struct load *load, struct response *response,
              const char *bytes, size_t count, size_t *ret_used);

#endif
