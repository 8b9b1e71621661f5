/*
 * http.c - HTTP/1.1 with keep-alive, and WebSocket.
 *
 * Every client goes through the list of routes again and again, each from
 * another place, one request at a time: the mix of requests is the same
 * whichever of them the server answers fastest.  A client that has WebSocket
 * routes keeps a second connection for them, upgraded before its first
 * message.
 *
 * A route is a line: METHOD PATH [name=N] [status=N] [body=BYTES]
 * [expect=FILE] [chunked=1].  Its response has to be the bytes in FILE, the
 * body that was sent (no FILE, and body=), or empty.  WS PATH size=BYTES
 * [name=N] is a binary message and its echo.
 */
#include "load.h"
#include "response.h"
#include "websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_FIELD_MAX 512

struct http_route {
    bool is_websocket;
    char name[HTTP_FIELD_MAX];
    char head[4 * HTTP_FIELD_MAX];
    size_t head_bytes;
    size_t body_bytes;              /* sent, from the pool */
    bool is_echo;
    struct expectation expected;
};

/* What a connection reads: a response, or frames once it is upgraded. */
struct http_stream {
    bool is_awaiting;
    bool is_upgraded;
    struct websocket *websocket;
    struct response response;
};

struct http_client {
    struct connection *plain;       /* NULL if no route needs it */
    struct connection *upgraded;
    bool is_busy;
    uint64_t step;
    struct route *route;            /* of the request that is under way */
    uint64_t started_ns;
};

static char *
read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rbe");
    char *bytes = NULL;
    size_t count = 0;
    size_t got = 0;

    if (file == NULL) {
        return NULL;
    }
    do {
        char *larger = realloc(bytes, count + 65536);
        if (larger == NULL) {
            free(bytes);
            fclose(file);
            return NULL;
        }
        bytes = larger;
        got = fread(bytes + count, 1, 65536, file);
        count += got;
    } while (got != 0);
    fclose(file);
    *ret_size = count;
    return bytes;
}

static int
route_option(struct load *load, struct http_route *http, const char *word)
{
    const char *value = strchr(word, '=');
    size_t key = value != NULL ? (size_t)(value - word) : 0;

    if (key == 4 && memcmp(word, "name", key) == 0) {
        snprintf(http->name, sizeof(http->name), "%s", value + 1);
    }
    else if (key == 6 && memcmp(word, "status", key) == 0) {
        http->expected.status = (unsigned)strtoul(value + 1, NULL, 10);
    }
    else if (key == 4 && (memcmp(word, "body", key) == 0
                          || memcmp(word, "size", key) == 0)) {
        http->body_bytes = strtoul(value + 1, NULL, 10);
    }
    else if (key == 7 && memcmp(word, "chunked", key) == 0) {
        http->expected.is_chunked = value[1] == '1';
    }
    else if (key == 6 && memcmp(word, "expect", key) == 0) {
        http->expected.body = read_file(value + 1, &http->expected.body_bytes);
        if (http->expected.body == NULL) {
            load_complain(load, "cannot read %s", value + 1);
            return -1;
        }
    }
    else {
        load_complain(load, "what is '%s' in a route?", word);
        return -1;
    }
    return 0;
}

static void
route_compose(struct http_route *http, const char *method, const char *path)
{
    static const char upgrade[] =
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " WEBSOCKET_KEY "\r\n";
    char length[64] = "";

    if (!http->is_websocket && http->body_bytes != 0) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n"
                 "Content-Type: application/octet-stream\r\n",
                 http->body_bytes);
    }
    http->head_bytes = (size_t)snprintf(
        http->head, sizeof(http->head),
        "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadgen\r\n"
        "Accept: */*\r\n%s%s\r\n", http->is_websocket ? "GET" : method, path,
        length, http->is_websocket ? upgrade : "");
}

static int
route_parse(struct load *load, struct route *route, const char *spec)
{
    struct http_route *http = calloc(1, sizeof(*http));
    char method[HTTP_FIELD_MAX];
    char word[HTTP_FIELD_MAX];
    char path[HTTP_FIELD_MAX];
    int used = 0;

    if (http == NULL
        || sscanf(spec, "%511s %511s%n", method, path, &used) != 2) {
        load_complain(load, "a route is METHOD PATH [options]: '%s'", spec);
        return -1;
    }
    route->state = http;
    route->name = http->name;
    http->is_websocket = strcmp(method, "WS") == 0;
    snprintf(http->name, sizeof(http->name), "%.40s %.400s", method, path);
    http->expected.status = http->is_websocket ? 101 : 200;
    for (spec += used; sscanf(spec, "%511s%n", word, &used) == 1;
         spec += used) {
        if (route_option(load, http, word) < 0) {
            return -1;
        }
    }
    if (http->is_websocket && http->body_bytes == 0) {
        load_complain(load, "a WS route needs size=");
        return -1;
    }
    http->is_echo = http->body_bytes != 0 && http->expected.body == NULL;
    http->expected.what = http->name;
    if (http->body_bytes > load->options.size_bytes) {
        load->options.size_bytes = http->body_bytes;
    }
    route_compose(http, method, path);
    return 0;
}

static int
http_prepare(struct load *load)
{
    const struct options *options = &load->options;

    if (options->routes_count == 0) {
        load_complain(load, "http needs at least one --route");
        return -1;
    }
    if (options->depth != 1) {
        load_complain(load, "http sends one request at a time: no --depth");
        return -1;
    }
    for (unsigned i = 0; i < options->routes_count; i++) {
        if (route_parse(load, &load->routes[i], options->route_specs[i]) < 0) {
            return -1;
        }
    }
    load->routes_count = options->routes_count;
    return 0;
}

static struct connection *
stream_open(struct load *load, struct client *client, bool is_websocket)
{
    struct connection *connection = connection_open(load, client);
    struct http_stream *stream = calloc(1, sizeof(*stream));

    if (connection == NULL || stream == NULL) {
        free(stream);
        return NULL;
    }
    connection->state = stream;
    if (is_websocket) {
        stream->websocket = calloc(1,
                                   websocket_size(load->options.size_bytes));
        if (stream->websocket == NULL) {
            return NULL;
        }
    }
    return connection;
}

static int
http_open(struct load *load, struct client *client)
{
    struct http_client *http = calloc(1, sizeof(*http));

    if (http == NULL) {
        return -1;
    }
    client->state = http;
    http->step = client->index;
    for (unsigned i = 0; i < load->routes_count; i++) {
        const struct http_route *route = load->routes[i].state;
        struct connection **slot =
            route->is_websocket ? &http->upgraded : &http->plain;
        if (*slot == NULL) {
            *slot = stream_open(load, client, route->is_websocket);
            if (*slot == NULL) {
                return -1;
            }
        }
    }
    return 0;
}

/* Sends the next message of a connection that is a WebSocket by now. */
static void
http_send_frame(struct load *load, struct client *client,
                const struct expectation *expected)
{
    struct http_client *http = client->state;
    struct http_stream *stream = http->upgraded->state;
    uint32_t mask = (uint32_t)load_mix(load, client->index,
                                       ~expected->message);

    size_t count = websocket_send(stream->websocket, expected, mask);
    connection_push(http->upgraded, stream->websocket->out, count);
    http->started_ns = load_clock_ns();
}

static struct expectation
http_expectation(const struct load *load, const struct client *client,
                 const struct http_route *route, uint64_t message)
{
    struct expectation expected = route->expected;

    expected.client = client->index;
    expected.message = message;
    if (route->is_echo) {
        expected.body = load_payload(load, client->index, message);
        expected.body_bytes = route->body_bytes;
    }
    return expected;
}

static void
http_send(struct load *load, struct client *client,
          struct connection *connection, const struct http_route *route)
{
    struct http_client *http = client->state;
    struct http_stream *stream = connection->state;
    struct expectation expected =
        http_expectation(load, client, route, http->step);

    stream->is_awaiting = true;
    if (stream->is_upgraded) {
        http_send_frame(load, client, &expected);
        return;
    }
    if (route->is_websocket) {
        expected.body = NULL;
        expected.body_bytes = 0;
        expected.accept = WEBSOCKET_ACCEPT;
    }
    response_expect(&stream->response, &expected);
    connection_push(connection, route->head, route->head_bytes);
    if (!route->is_websocket && route->body_bytes != 0) {
        connection_push(connection,
                        load_payload(load, client->index, http->step),
                        route->body_bytes);
    }
    http->started_ns = load_clock_ns();
}

static void
http_fill(struct load *load, struct client *client)
{
    struct http_client *http = client->state;

    if (http->is_busy) {
        return;
    }
    struct route *next = &load->routes[http->step % load->routes_count];
    const struct http_route *route = next->state;
    struct connection *connection =
        route->is_websocket ? http->upgraded : http->plain;
    if (connection->fd >= 0 && load_take(load, connection)) {
        http->is_busy = true;
        http->route = next;
        http_send(load, client, connection, route);
    }
}

static int
http_receive(struct load *load, struct connection *connection,
             const char *bytes, size_t count)
{
    struct client *client = connection->client;
    struct http_client *http = client->state;
    struct http_stream *stream = connection->state;
    bool is_frame = stream->is_upgraded;
    size_t used = 0;

    if (!stream->is_awaiting) {
        load->wrong_bytes += count;
        load_complain(load, "client %u: %zu bytes that answer nothing",
                      client->index, count);
        return -1;
    }
    enum answer answer = is_frame
        ? websocket_feed(load, stream->websocket, bytes, count, &used)
        : response_feed(load, &stream->response, bytes, count, &used);
    if (answer == ANSWER_BROKEN) {
        load->wrong_answers++;
        return -1;
    }
    if (used != count) {
        load->wrong_bytes += count - used;
        load_complain(load, "client %u, %s: %zu bytes after the answer",
                      client->index, http->route->name, count - used);
        return -1;
    }
    if (answer == ANSWER_MORE) {
        return 0;
    }
    bool is_right = !(is_frame ? stream->websocket->is_wrong
                      : stream->response.is_wrong);
    const struct http_route *route = http->route->state;
    if (route->is_websocket && !is_frame) {
        if (!is_right) {
            load->wrong_answers++;
            return -1;
        }
        /* The upgrade is no request of its own: its message follows. */
        stream->is_upgraded = true;
        struct expectation expected =
            http_expectation(load, client, route, http->step);
        http_send_frame(load, client, &expected);
        return 0;
    }
    stream->is_awaiting = false;
    http->is_busy = false;
    http->step++;
    load_done(load, connection, http->route, http->started_ns, is_right);
    return 0;
}

const struct workload http_workload = {
    .name = "http",
    .prepare = http_prepare,
    .open = http_open,
    .fill = http_fill,
    .receive = http_receive,
};
