/*
 * response.c - reads one HTTP/1.1 response and compares its body.
 *
 * Everything but bodies is lines, so a line is collected, whole, and the state
 * says what it has to be.
 */
#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
response_expect(struct response *response, const struct expectation *expected)
{
    response->state = RESPONSE_STATUS;
    response->expected = *expected;
    response->status = 0;
    response->has_length = false;
    response->is_chunked = false;
    response->is_accepted = false;
    response->is_wrong = false;
    response->body_left = 0;
    response->body_seen = 0;
    response->line_bytes = 0;
}

static enum answer
response_broken(struct load *load, const struct response *response,
                const char *why)
{
    load_complain(load, "client %u, message %llu, %s: %s: '%.80s'",
                  response->expected.client,
                  (unsigned long long)response->expected.message,
                  response->expected.what, why, response->line);
    return ANSWER_BROKEN;
}

static void
response_wrong(struct load *load, struct response *response, const char *why)
{
    response->is_wrong = true;
    load_complain(load, "client %u, message %llu, %s: %s (status %u, %zu "
                  "bytes of body)", response->expected.client,
                  (unsigned long long)response->expected.message,
                  response->expected.what, why, response->status,
                  response->body_seen);
}

/* The whole of the text is one number: strtoull alone would take "12 apples",
   "-1" and "". */
static bool
parse_size(const char *text, int base, size_t *ret_size)
{
    const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
    size_t length = strspn(text, digits);

    if (length == 0 || length > 15 || text[length] != '\0') {
        return false;
    }
    *ret_size = (size_t)strtoull(text, NULL, base);
    return true;
}

static enum answer
response_finish(struct load *load, struct response *response)
{
    const struct expectation *expected = &response->expected;

    response->state = RESPONSE_WHOLE;
    if (response->status != expected->status) {
        response_wrong(load, response, "another status was expected");
    }
    if (response->body_seen != expected->body_bytes) {
        size_t seen = response->body_seen;
        size_t wanted = expected->body_bytes;
        load->wrong_bytes += seen < wanted ? wanted - seen : 0;
        response_wrong(load, response, "the body's length is wrong");
    }
    if (expected->is_chunked != response->is_chunked) {
        response_wrong(load, response, expected->is_chunked
                       ? "it is not chunked" : "it is chunked");
    }
    if (expected->accept != NULL && !response->is_accepted) {
        response_wrong(load, response, "no Sec-WebSocket-Accept, or wrong");
    }
    return ANSWER_WHOLE;
}

static enum answer
response_status_line(struct load *load, struct response *response)
{
    const char *line = response->line;
    char digits[4] = "";
    size_t status;

    if (strncmp(line, "HTTP/1.1 ", 9) != 0 || strlen(line) < 12) {
        return response_broken(load, response, "not a status line");
    }
    memcpy(digits, line + 9, 3);
    if (!parse_size(digits, 10, &status)
        || (line[12] != ' ' && line[12] != '\0')) {
        return response_broken(load, response, "not a status");
    }
    response->status = (unsigned)status;
    response->state = RESPONSE_HEADER;
    return ANSWER_MORE;
}

static enum answer
response_head_end(struct load *load, struct response *response)
{
    if (response->is_chunked && response->has_length) {
        return response_broken(load, response, "chunked and with a length");
    }
    if (response->is_chunked) {
        response->state = RESPONSE_CHUNK_SIZE;
        return ANSWER_MORE;
    }
    if (response->has_length && response->body_left != 0) {
        response->state = RESPONSE_BODY;
        return ANSWER_MORE;
    }
    if (!response->has_length && response->status != 101
        && response->status != 204 && response->status != 304) {
        return response_broken(load, response,
                               "neither a length nor chunked");
    }
    return response_finish(load, response);
}

static bool
header_is(const char *line, const char *name)
{
    size_t length = strlen(name);

    return strncasecmp(line, name, length) == 0 && line[length] == ':';
}

static enum answer
response_header(struct load *load, struct response *response)
{
    const char *line = response->line;
    const char *colon = strchr(line, ':');

    if (line[0] == '\0') {
        return response_head_end(load, response);
    }
    if (colon == NULL || colon == line) {
        return response_broken(load, response, "not a header");
    }
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    if (header_is(line, "content-length")) {
        if (response->has_length
            || !parse_size(value, 10, &response->body_left)) {
            return response_broken(load, response, "Content-Length");
        }
        response->has_length = true;
    }
    else if (header_is(line, "transfer-encoding")) {
        if (strcasecmp(value, "chunked") != 0) {
            return response_broken(load, response, "Transfer-Encoding");
        }
        response->is_chunked = true;
    }
    else if (header_is(line, "connection")
             && strcasecmp(value, "close") == 0) {
        return response_broken(load, response, "the connection is to end");
    }
    else if (header_is(line, "sec-websocket-accept")
             && response->expected.accept != NULL) {
        response->is_accepted =
            strcmp(value, response->expected.accept) == 0;
    }
    return ANSWER_MORE;
}

static enum answer
response_line(struct load *load, struct response *response)
{
    switch (response->state) {
    case RESPONSE_STATUS:
        return response_status_line(load, response);
    case RESPONSE_HEADER:
        return response_header(load, response);
    case RESPONSE_CHUNK_SIZE:
        if (!parse_size(response->line, 16, &response->body_left)) {
            return response_broken(load, response, "not a chunk's size");
        }
        response->state = response->body_left != 0
            ? RESPONSE_CHUNK : RESPONSE_TRAILER;
        return ANSWER_MORE;
    case RESPONSE_CHUNK_END:
        if (response->line[0] != '\0') {
            return response_broken(load, response,
                                   "a chunk is longer than it said");
        }
        response->state = RESPONSE_CHUNK_SIZE;
        return ANSWER_MORE;
    case RESPONSE_TRAILER:
        return response->line[0] == '\0'
            ? response_finish(load, response) : ANSWER_MORE;
    default:
        abort();
    }
}

/* Moves one line into response->line.  Returns how many bytes that used; the
   line is whole if *ret_whole. */
static size_t
response_collect(struct response *response, const char *bytes, size_t count,
                 bool *ret_whole)
{
    const char *end = memchr(bytes, '\n', count);
    size_t used = end != NULL ? (size_t)(end - bytes) + 1 : count;
    size_t kept = end != NULL ? used - 1 : used;
    size_t room = RESPONSE_LINE_MAX - 1 - response->line_bytes;

    /* What does not fit is cut off: a line that matters is far shorter. */
    kept = kept < room ? kept : room;
    memcpy(response->line + response->line_bytes, bytes, kept);
    response->line_bytes += kept;
    *ret_whole = end != NULL;
    if (end != NULL) {
        size_t length = response->line_bytes;
        if (length != 0 && response->line[length - 1] == '\r') {
            length--;
        }
        response->line[length] = '\0';
        response->line_bytes = 0;
    }
    return used;
}

static size_t
response_body(struct load *load, struct response *response,
              const char *bytes, size_t count)
{
    const struct expectation *expected = &response->expected;
    size_t part = count < response->body_left ? count : response->body_left;
    size_t known = response->body_seen < expected->body_bytes
        ? expected->body_bytes - response->body_seen : 0;
    size_t compared = part < known ? part : known;

    if (compared != 0
        && load_compare(load, bytes, expected->body + response->body_seen,
                        compared, expected->what, expected->client,
                        expected->message, response->body_seen) != 0) {
        response->is_wrong = true;
    }
    load->wrong_bytes += part - compared;   /* more than there should be */
    response->body_seen += part;
    response->body_left -= part;
    return part;
}

enum answer
response_feed(struct load *load, struct response *response,
              const char *bytes, size_t count, size_t *ret_used)
{
    enum answer answer = ANSWER_MORE;
    size_t used = 0;

    while (answer == ANSWER_MORE && used != count) {
        bool is_body = response->state == RESPONSE_BODY;
        if (is_body || response->state == RESPONSE_CHUNK) {
            used += response_body(load, response, bytes + used, count - used);
            if (response->body_left == 0 && is_body) {
                answer = response_finish(load, response);
            }
            else if (response->body_left == 0) {
                response->state = RESPONSE_CHUNK_END;
            }
            continue;
        }
        bool is_whole;
        used += response_collect(response, bytes + used, count - used,
                                 &is_whole);
        if (is_whole) {
            answer = response_line(load, response);
        }
    }
    *ret_used = used;
    return answer;
}
