/*
 * echo.c - raw echo: messages of one size, each expected back as it was sent.
 *
 * A line is a payload without newlines and one newline behind it, sent from
 * two places.
 */
#include "load.h"

#include <stdlib.h>

struct echo_state {
    uint64_t sent;                  /* messages queued to leave */
    uint64_t received;              /* messages wholly back */
    size_t received_bytes;          /* of the next one */
    bool is_wrong;                  /* so far, the next one */
    uint64_t started_ns[];          /* of message i at i % depth */
};

static int
echo_prepare(struct load *load)
{
    load->routes_count = 1;
    load->routes[0].name = "echo";
    return 0;
}

static int
echo_open(struct load *load, struct client *client)
{
    struct connection *connection = connection_open(load, client);

    if (connection == NULL) {
        return -1;
    }
    struct echo_state *state = calloc(
        1, sizeof(*state) + load->options.depth * sizeof(uint64_t));
    if (state == NULL) {
        load_complain(load, "out of memory");
        return -1;
    }
    connection->state = state;
    return 0;
}

static const char line_end[] = "\n";

/* Of a message, how many bytes are payload. */
static size_t
echo_payload_bytes(const struct options *options)
{
    return options->size_bytes - (options->is_lines ? 1 : 0);
}

static void
echo_push(struct load *load, struct client *client, uint64_t message)
{
    struct connection *connection = client->connections[0];
    size_t count = echo_payload_bytes(&load->options);

    if (count != 0) {
        connection_push(connection,
                        load_payload(load, client->index, message), count);
    }
    if (load->options.is_lines) {
        connection_push(connection, line_end, 1);
    }
}

static void
echo_fill(struct load *load, struct client *client)
{
    struct connection *connection = client->connections[0];
    struct echo_state *state = connection->state;
    const struct options *options = &load->options;

    while (connection->fd >= 0
           && state->sent - state->received < options->depth
           && connection->out_count + 1 < LOAD_OUT_MAX
           && load_take(load, connection)) {
        echo_push(load, client, state->sent);
        state->started_ns[state->sent % options->depth] = load_clock_ns();
        state->sent++;
    }
}

/* Compares a part of a message that begins at offset. */
static bool
echo_is_right(struct load *load, unsigned client, uint64_t message,
              size_t offset, const char *bytes, size_t count)
{
    size_t payload = echo_payload_bytes(&load->options);
    size_t part = offset + count <= payload ? count : payload - offset;
    size_t wrong = load_compare(
        load, bytes, load_payload(load, client, message) + offset, part,
        "echo", client, message, offset);

    if (part != count) {
        wrong += load_compare(load, bytes + part, line_end, 1, "end of line",
                              client, message, payload);
    }
    return wrong == 0;
}

static int
echo_receive(struct load *load, struct connection *connection,
             const char *bytes, size_t count)
{
    struct echo_state *state = connection->state;
    const struct options *options = &load->options;
    unsigned client = connection->client->index;

    while (count != 0) {
        if (state->received == state->sent) {
            load->wrong_bytes += count;
            load_complain(load, "client %u: %zu bytes that nobody sent",
                          client, count);
            return -1;
        }
        size_t left = options->size_bytes - state->received_bytes;
        size_t part = count < left ? count : left;
        if (!echo_is_right(load, client, state->received,
                           state->received_bytes, bytes, part)) {
            state->is_wrong = true;
        }
        bytes += part;
        count -= part;
        state->received_bytes += part;
        if (state->received_bytes == options->size_bytes) {
            uint64_t started_ns =
                state->started_ns[state->received % options->depth];
            state->received++;
            state->received_bytes = 0;
            load_done(load, connection, &load->routes[0], started_ns,
                      !state->is_wrong);
            state->is_wrong = false;
        }
    }
    return 0;
}

const struct workload echo_workload = {
    .name = "echo",
    .prepare = echo_prepare,
    .open = echo_open,
    .fill = echo_fill,
    .receive = echo_receive,
};
