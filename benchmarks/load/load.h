/*
 * load.h - what the parts of the load generator share.
 *
 * A run has `clients`, each a closed loop: it has at most `depth` requests
 * outstanding and sends the next when an answer came.  What a request is and
 * what answers it is a workload's business (echo.c, churn.c, http.c);
 * connections, bytes in flight, the phases of a run and the clocks are the
 * engine's
 * (loadgen.c, connection.c).
 *
 * Every payload is a slice of one pool of random bytes.  Where it begins
 * follows from the client and the message, so each is another, nothing is
 * copied to send it, and a memcmp finds any byte that came back wrong, out of
 * order or on another connection.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "histogram.h"

#define LOAD_OUT_MAX    64
#define LOAD_ROUTES_MAX 64
#define LOAD_POOL_BYTES (1u << 20)      /* and the longest payload after it */
#define LOAD_READ_BYTES (256u * 1024)
#define LOAD_UNLIMITED  UINT64_MAX

struct load;
struct client;
struct tls;
struct connection;

struct workload {
    const char *name;

    /* Once, after the options are known.  Returns -1 after load_complain. */
    int (*prepare)(struct load *load);

    /* Opens a client's connections.  Returns -1 after load_complain. */
    int (*open)(struct load *load, struct client *client);

    /* Queues requests while load_take allows it and the depth is not used up;
       also called again after each answer and when a full queue has left. */
    void (*fill)(struct load *load, struct client *client);

    /* Bytes came.  Returns -1 when the connection makes no sense any more,
       after load_complain: the engine closes it. */
    int (*receive)(struct load *load, struct connection *connection,
                   const char *bytes, size_t count);
};

extern const struct workload echo_workload;
extern const struct workload http_workload;
extern const struct workload churn_workload;

struct connection {
    struct client *client;              /* borrowed */
    int fd;                             /* -1 once closed */
    struct tls *tls;                    /* NULL: in the clear */
    bool is_armed_for_write;
    unsigned out_first;
    unsigned out_count;
    struct iovec out[LOAD_OUT_MAX];     /* borrowed bytes, not sent yet */
    uint64_t outstanding;               /* taken and not answered */
    void *state;                        /* the workload's */
};

struct client {
    unsigned index;
    unsigned connections_count;
    struct connection *connections[2];
    void *state;                        /* the workload's */
};

/* One kind of request: its own latencies, its own name in the report. */
struct route {
    const char *name;
    void *state;                        /* the workload's */
    struct histogram latency;
};

struct options {
    const char *mode;
    const char *host;
    unsigned port;
    const char *unix_path;
    unsigned connections;
    unsigned depth;
    size_t size_bytes;
    uint64_t duration_ns;
    uint64_t requests;                  /* 0: by duration */
    uint64_t warmup_ns;
    uint64_t warmup_requests;
    uint64_t patience_ns;
    pid_t server_pid;
    int cpu;
    bool is_busy;
    bool is_held;
    bool is_lockstep;
    bool is_udp;                        /* echo: a message is a datagram */
    bool is_lines;                      /* echo: its last byte is a newline,
                                           and no other */
    bool is_tls;
    uint64_t seed;
    const char *route_specs[LOAD_ROUTES_MAX];
    unsigned routes_count;
};

/* What a process had used at one moment. */
struct usage {
    uint64_t cpu_ns;                    /* all threads, by its CPU clock */
    uint64_t user_ticks;
    uint64_t system_ticks;
    uint64_t waited_ns;                 /* ready to run, and not running */
};

struct mark {
    uint64_t now_ns;
    uint64_t own_cpu_ns;
    struct usage server;
};

struct load {
    struct options options;
    const struct workload *workload;
    struct client *clients;
    struct route routes[LOAD_ROUTES_MAX];
    unsigned routes_count;
    char *pool;
    char *read_buffer;
    int epoll_fd;
    bool is_measuring;
    uint64_t now_ns;                    /* as of the last wake-up */
    uint64_t progress_ns;               /* of the last answer */
    uint64_t issue_left;
    uint64_t outstanding;
    unsigned batch_left;                /* in lockstep, until all is answered */
    unsigned open_connections;
    unsigned sources;                   /* addresses used to connect from */

    struct mark begin;
    struct mark end;
    uint64_t answers;                   /* in all phases */
    uint64_t received_bytes;            /* in the measured window */
    uint64_t wrong_bytes;               /* in all phases, as all below */
    uint64_t wrong_answers;
    uint64_t lost_connections;
    uint64_t stalls;
    char first_error[512];
};

/* loadgen.c */

/* The monotonic clock. */
uint64_t
load_clock_ns(void);

/* True if one more request may be sent; it is counted as outstanding on the
   connection until load_done or the connection's end. */
bool
load_take(struct load *load, struct connection *connection);

/* A request got its whole answer. */
void
load_done(struct load *load, struct connection *connection,
          struct route *route, uint64_t started_ns, bool is_right);

/* Keeps the first error of a run for the report. */
void
load_complain(struct load *load, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Where the payload of a client's message begins; valid for size_bytes of the
   options and of every route. */
const char *
load_payload(const struct load *load, unsigned client, uint64_t message);

/* A number that differs for each client and message. */
uint64_t
load_mix(const struct load *load, unsigned client, uint64_t message);

/* Counts the bytes that differ; complains about the first.  Returns how many. */
size_t
load_compare(struct load *load, const char *got, const char *expected,
             size_t count, const char *what, unsigned client,
             uint64_t message, uint64_t offset);

/* connection.c */

/* Opens a connection and watches it.  Returns NULL after load_complain. */
struct connection *
connection_open(struct load *load, struct client *client);

/* Connects a closed connection again.  Returns -1 after load_complain. */
int
connection_reopen(struct load *load, struct connection *connection);

/* Closes and forgets what was outstanding; harmless when repeated. */
void
connection_close(struct load *load, struct connection *connection);

/* Queues bytes, which stay the caller's.  Returns false when the queue is
   full; then nothing was queued. */
bool
connection_push(struct connection *connection, const void *bytes,
                size_t count);

/* Sends what is queued and watches for room for the rest.  Returns -1 and
   closes when the peer is gone. */
int
connection_flush(struct load *load, struct connection *connection);

/* The fd is ready: reads once, hands over, refills, sends. */
void
connection_ready(struct load *load, struct connection *connection,
                 uint32_t events);

/* usage.c */

/* Reads both clocks.  pid 0: the server's usage is all zero. */
void
mark_take(struct mark *mark, pid_t pid);

/* Waits until the process sleeps in a system call.  Returns false if it does
   not before until_ns, or is gone. */
bool
usage_wait_asleep(pid_t pid, uint64_t until_ns);

/* report.c */

/* One line of JSON.  Returns true if nothing was wrong. */
bool
report_print(const struct load *load);

#endif
