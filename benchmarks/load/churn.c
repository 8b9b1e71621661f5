/*
 * churn.c - a new connection for every message: connect, send, receive the
 * echo, close.  What is timed reaches from before the connect to the last
 * byte of the answer.
 */
#include "load.h"

#include <stdlib.h>

struct churn_state {
    uint64_t messages;              /* sent so far, each on its connection */
    uint64_t started_ns;
    size_t received_bytes;
    bool is_wrong;
};

static int
churn_prepare(struct load *load)
{
    if (load->options.depth != 1 || load->options.is_udp) {
        load_complain(load, "churn: one message a TCP or Unix connection");
        return -1;
    }
    load->routes_count = 1;
    load->routes[0].name = "churn";
    return 0;
}

static int
churn_open(struct load *load, struct client *client)
{
    struct connection *connection = connection_open(load, client);

    if (connection == NULL) {
        return -1;
    }
    connection->state = calloc(1, sizeof(struct churn_state));
    if (connection->state == NULL) {
        load_complain(load, "out of memory");
        return -1;
    }
    return 0;
}

static void
churn_fill(struct load *load, struct client *client)
{
    struct connection *connection = client->connections[0];
    struct churn_state *state = connection->state;

    if (connection->outstanding != 0 || !load_take(load, connection)) {
        return;
    }
    state->started_ns = load_clock_ns();
    if (connection->fd < 0 && connection_reopen(load, connection) < 0) {
        load->outstanding -= connection->outstanding;
        connection->outstanding = 0;
        load->lost_connections++;
        return;
    }
    connection_push(connection,
                    load_payload(load, client->index, state->messages),
                    load->options.size_bytes);
}

static int
churn_receive(struct load *load, struct connection *connection,
              const char *bytes, size_t count)
{
    struct churn_state *state = connection->state;
    size_t size_bytes = load->options.size_bytes;
    unsigned client = connection->client->index;
    const char *expected = load_payload(load, client, state->messages);

    if (connection->outstanding == 0
        || count > size_bytes - state->received_bytes) {
        load->wrong_bytes += count;
        load_complain(load, "client %u: %zu bytes that nobody sent", client,
                      count);
        return -1;
    }
    if (load_compare(load, bytes, expected + state->received_bytes, count,
                     "churn", client, state->messages,
                     state->received_bytes) != 0) {
        state->is_wrong = true;
    }
    state->received_bytes += count;
    if (state->received_bytes == size_bytes) {
        load_done(load, connection, &load->routes[0], state->started_ns,
                  !state->is_wrong);
        state->messages++;
        state->received_bytes = 0;
        state->is_wrong = false;
        connection_close(load, connection);
    }
    return 0;
}

const struct workload churn_workload = {
    .name = "churn",
    .prepare = churn_prepare,
    .open = churn_open,
    .fill = churn_fill,
    .receive = churn_receive,
};
