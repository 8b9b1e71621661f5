/*
 * loadgen.c - load on a server, and the truth about what came back.
 *
 * One thread, one epoll set, a closed loop per client (load.h).  A run is:
 * open every connection; warm up; take the clocks, the server's CPU clock
 * among them; measure; take them again; wait for what is still outstanding;
 * print one line of JSON.  All answers are verified, in every phase.
 *
 * Warm-up and measurement run into each other when they are bounded by time.
 * When either is bounded by a number of requests, or with --hold, all answers
 * to the warm-up are in before the measurement begins, so that the server
 * sees exactly the requests asked for.
 *
 *     cc -O2 -D_GNU_SOURCE -o loadgen loadgen.c load/connection.c ...
 *
 * Exit status: 0 all was right, 1 something was not (the report says what),
 * 2 wrong usage, 3 no run was possible.
 */
#include "load/load.h"
#include "tls/tls.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256

static const char usage_text[] =
    "usage: loadgen --mode echo|churn|http\n"
    "               (--port N [--host A] | --unix PATH) ...\n"
    "  --connections N      clients, each a closed loop (1)\n"
    "  --size BYTES         of an echo message (1024)\n"
    "  --udp                echo: each message is a datagram\n"
    "  --lines              echo: the last byte is a newline, no other\n"
    "  --tls                on every connection; any certificate will do\n"
    "  --depth N            echo requests under way on a connection (1)\n"
    "  --route SPEC         http: METHOD PATH [name=N] [status=N]\n"
    "                       [body=BYTES] [expect=FILE] [chunked=1], or\n"
    "                       WS PATH size=BYTES; repeat for a mix\n"
    "  --duration SECONDS   measure that long (1), or\n"
    "  --requests N         that many requests\n"
    "  --warmup SECONDS     before it (0.2), or\n"
    "  --warmup-requests N  so many requests before it\n"
    "  --pid PID            the server, whose CPU clock is read\n"
    "  --busy               poll without sleeping\n"
    "  --cpu N              run on that CPU only\n"
    "  --lockstep           send only while the server (--pid) sleeps, all\n"
    "                       --depth requests in one piece; one connection\n"
    "  --hold               say when warm, and when measured, and wait for a\n"
    "                       line on stdin each time\n"
    "  --timeout SECONDS    without any answer: give up (10)\n"
    "  --seed N             of the payloads (1)\n";

uint64_t
load_clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
load_complain(struct load *load, const char *format, ...)
{
    va_list arguments;

    if (load->first_error[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    vsnprintf(load->first_error, sizeof(load->first_error), format,
              arguments);
    va_end(arguments);
}

/* Without this, how much of its pass a server has done when the next request
   comes is chance, and with it the number of its passes and reads. */
static bool
load_is_in_step(struct load *load)
{
    const struct options *options = &load->options;

    if (load->outstanding == 0) {
        if (!usage_wait_asleep(options->server_pid,
                               load_clock_ns() + options->patience_ns)) {
            load_complain(load, "the server does not go to sleep");
            return false;
        }
        load->batch_left = options->depth;
    }
    if (load->batch_left == 0) {
        return false;
    }
    load->batch_left--;
    return true;
}

bool
load_take(struct load *load, struct connection *connection)
{
    if (load->issue_left == 0
        || (load->options.is_lockstep && !load_is_in_step(load))) {
        return false;
    }
    if (load->issue_left != LOAD_UNLIMITED) {
        load->issue_left--;
    }
    connection->outstanding++;
    load->outstanding++;
    return true;
}

void
load_done(struct load *load, struct connection *connection,
          struct route *route, uint64_t started_ns, bool is_right)
{
    connection->outstanding--;
    load->outstanding--;
    load->answers++;
    if (!is_right) {
        load->wrong_answers++;
    }
    if (load->is_measuring) {
        histogram_add(&route->latency, load->now_ns > started_ns
                      ? load->now_ns - started_ns : 0);
    }
}

/* The finalizer of splitmix64 over all three numbers. */
uint64_t
load_mix(const struct load *load, unsigned client, uint64_t message)
{
    uint64_t x = load->options.seed * 0x9e3779b97f4a7c15u
                 + ((uint64_t)client << 40) + message;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

const char *
load_payload(const struct load *load, unsigned client, uint64_t message)
{
    return load->pool + load_mix(load, client, message) % LOAD_POOL_BYTES;
}

size_t
load_compare(struct load *load, const char *got, const char *expected,
             size_t count, const char *what, unsigned client,
             uint64_t message, uint64_t offset)
{
    size_t wrong = 0;

    if (memcmp(got, expected, count) == 0) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (got[i] == expected[i]) {
            continue;
        }
        if (wrong++ == 0) {
            load_complain(load, "client %u, message %llu, %s: byte %llu is "
                          "%02x instead of %02x", client,
                          (unsigned long long)message, what,
                          (unsigned long long)(offset + i),
                          (unsigned char)got[i], (unsigned char)expected[i]);
        }
    }
    load->wrong_bytes += wrong;
    return wrong;
}

static int
load_prepare(struct load *load)
{
    const struct options *options = &load->options;

    if (options->is_tls) {
        const char *wrong = tls_prepare(NULL);
        if (wrong != NULL) {
            load_complain(load, "no TLS here: %s", wrong);
            return -1;
        }
    }
    if (load->workload->prepare(load) < 0) {
        return -1;
    }
    size_t pool_bytes = LOAD_POOL_BYTES + options->size_bytes;
    load->pool = malloc((pool_bytes + 7) / 8 * 8);
    load->read_buffer = malloc(LOAD_READ_BYTES);
    load->clients = calloc(options->connections, sizeof(*load->clients));
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->pool == NULL || load->read_buffer == NULL
        || load->clients == NULL || load->epoll_fd < 0) {
        load_complain(load, "out of memory or descriptors");
        return -1;
    }
    for (size_t i = 0; i < pool_bytes; i += 8) {
        uint64_t word = load_mix(load, 0xffffffu, i);
        memcpy(load->pool + i, &word, sizeof(word));
    }
    if (options->is_lines) {
        char *place = load->pool;
        char *end = load->pool + pool_bytes;
        while ((place = memchr(place, '\n', (size_t)(end - place))) != NULL) {
            *place = '\v';
        }
    }
    for (unsigned i = 0; i < options->connections; i++) {
        load->clients[i].index = i;
        if (load->workload->open(load, &load->clients[i]) < 0) {
            load_complain(load, "client %u: out of memory", i);
            return -1;
        }
    }
    return 0;
}

static void
load_start(struct load *load, uint64_t requests)
{
    load->issue_left = requests;
    load->now_ns = load_clock_ns();
    load->progress_ns = load->now_ns;
    for (unsigned i = 0; i < load->options.connections; i++) {
        struct client *client = &load->clients[i];
        load->workload->fill(load, client);
        for (unsigned c = 0; c < client->connections_count; c++) {
            (void)connection_flush(load, client->connections[c]);
        }
    }
}

/* Handles what comes until the time is up (0: never) or nothing is
   outstanding.  Returns -1 when the run cannot go on. */
static int
load_run(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const struct options *options = &load->options;

    while (load->outstanding != 0
           && (until_ns == 0 || load->now_ns < until_ns)) {
        int wait_ms = 0;
        if (!options->is_busy) {
            uint64_t end_ns = load->progress_ns + options->patience_ns;
            if (until_ns != 0 && until_ns < end_ns) {
                end_ns = until_ns;
            }
            wait_ms = end_ns > load->now_ns
                ? (int)((end_ns - load->now_ns + 999999) / 1000000) : 0;
        }
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, wait_ms);
        if (count < 0 && errno != EINTR) {
            load_complain(load, "epoll_wait: %s", strerror(errno));
            return -1;
        }
        load->now_ns = load_clock_ns();
        for (int i = 0; i < count; i++) {
            connection_ready(load, events[i].data.ptr, events[i].events);
        }
        if (load->now_ns > load->progress_ns + options->patience_ns) {
            load->stalls++;
            load_complain(load, "no answer for %.1f s, %llu outstanding",
                          (double)options->patience_ns / 1e9,
                          (unsigned long long)load->outstanding);
            return -1;
        }
    }
    return load->open_connections != 0
        || load->workload == &churn_workload ? 0 : -1;
}

static void
load_hold(const struct load *load, const char *event)
{
    char line[64];

    if (load->options.is_held) {
        printf("{\"event\": \"%s\"}\n", event);
        fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL) {
            exit(3);                    /* whoever held us is gone */
        }
    }
}

static int
load_measure(struct load *load)
{
    const struct options *options = &load->options;
    bool is_exact = options->requests != 0 || options->warmup_requests != 0
                    || options->is_held;
    uint64_t warmup = options->warmup_requests;
    int status = 0;

    if (warmup != 0 || options->warmup_ns != 0) {
        load_start(load, warmup != 0 ? warmup : LOAD_UNLIMITED);
        status = load_run(load, warmup != 0 ? 0
                          : load->now_ns + options->warmup_ns);
        if (is_exact && status == 0) {
            load->issue_left = 0;
            status = load_run(load, 0);
        }
    }
    if (status < 0) {
        return -1;
    }
    load_hold(load, "warm");
    mark_take(&load->begin, options->server_pid);
    load->is_measuring = true;
    if (is_exact || load->outstanding == 0) {
        load_start(load, options->requests != 0 ? options->requests
                   : LOAD_UNLIMITED);
    }
    status = load_run(load, options->requests != 0 ? 0
                      : load->begin.now_ns + options->duration_ns);
    mark_take(&load->end, options->server_pid);
    load->is_measuring = false;
    load->issue_left = 0;
    if (status == 0) {
        status = load_run(load, 0);
    }
    load_hold(load, "measured");
    return status;
}

static uint64_t
parse_number(const char *text, const char *option)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        fprintf(stderr, "loadgen: --%s needs a number: '%s'\n", option, text);
        exit(2);
    }
    return value;
}

static uint64_t
parse_seconds(const char *text, const char *option)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0.0 && value < 1e6)) {
        fprintf(stderr, "loadgen: --%s needs seconds: '%s'\n", option, text);
        exit(2);
    }
    return (uint64_t)(value * 1e9);
}

enum option_key {
    KEY_MODE, KEY_HOST, KEY_PORT, KEY_UNIX, KEY_CONNECTIONS, KEY_SIZE,
    KEY_DEPTH, KEY_ROUTE, KEY_DURATION, KEY_REQUESTS, KEY_WARMUP,
    KEY_WARMUP_REQUESTS, KEY_PID, KEY_BUSY, KEY_CPU, KEY_HOLD, KEY_TIMEOUT,
    KEY_SEED, KEY_UDP, KEY_LINES, KEY_TLS, KEY_LOCKSTEP, KEY_COUNT,
};

static const struct option option_table[KEY_COUNT + 1] = {
    [KEY_MODE] = {"mode", required_argument, NULL, 0},
    [KEY_HOST] = {"host", required_argument, NULL, 0},
    [KEY_PORT] = {"port", required_argument, NULL, 0},
    [KEY_UNIX] = {"unix", required_argument, NULL, 0},
    [KEY_CONNECTIONS] = {"connections", required_argument, NULL, 0},
    [KEY_SIZE] = {"size", required_argument, NULL, 0},
    [KEY_DEPTH] = {"depth", required_argument, NULL, 0},
    [KEY_ROUTE] = {"route", required_argument, NULL, 0},
    [KEY_DURATION] = {"duration", required_argument, NULL, 0},
    [KEY_REQUESTS] = {"requests", required_argument, NULL, 0},
    [KEY_WARMUP] = {"warmup", required_argument, NULL, 0},
    [KEY_WARMUP_REQUESTS] = {"warmup-requests", required_argument, NULL, 0},
    [KEY_PID] = {"pid", required_argument, NULL, 0},
    [KEY_BUSY] = {"busy", no_argument, NULL, 0},
    [KEY_CPU] = {"cpu", required_argument, NULL, 0},
    [KEY_HOLD] = {"hold", no_argument, NULL, 0},
    [KEY_TIMEOUT] = {"timeout", required_argument, NULL, 0},
    [KEY_SEED] = {"seed", required_argument, NULL, 0},
    [KEY_UDP] = {"udp", no_argument, NULL, 0},
    [KEY_LINES] = {"lines", no_argument, NULL, 0},
    [KEY_TLS] = {"tls", no_argument, NULL, 0},
    [KEY_LOCKSTEP] = {"lockstep", no_argument, NULL, 0},
};

static void
options_set_text(struct options *options, enum option_key key,
                 const char *text)
{
    switch (key) {
    case KEY_MODE:
        options->mode = text;
        break;
    case KEY_HOST:
        options->host = text;
        break;
    case KEY_UNIX:
        options->unix_path = text;
        break;
    case KEY_ROUTE:
        if (options->routes_count == LOAD_ROUTES_MAX) {
            fprintf(stderr, "loadgen: too many routes\n");
            exit(2);
        }
        options->route_specs[options->routes_count++] = text;
        break;
    case KEY_BUSY:
        options->is_busy = true;
        break;
    case KEY_HOLD:
        options->is_held = true;
        break;
    case KEY_UDP:
        options->is_udp = true;
        break;
    case KEY_LINES:
        options->is_lines = true;
        break;
    case KEY_TLS:
        options->is_tls = true;
        break;
    case KEY_LOCKSTEP:
        options->is_lockstep = true;
        break;
    case KEY_DURATION:
        options->duration_ns = parse_seconds(text, "duration");
        break;
    case KEY_WARMUP:
        options->warmup_ns = parse_seconds(text, "warmup");
        break;
    case KEY_TIMEOUT:
        options->patience_ns = parse_seconds(text, "timeout");
        break;
    default:
        break;
    }
}

static void
options_set_number(struct options *options, enum option_key key,
                   const char *text)
{
    const char *name = option_table[key].name;

    switch (key) {
    case KEY_PORT:
        options->port = (unsigned)parse_number(text, name);
        break;
    case KEY_CONNECTIONS:
        options->connections = (unsigned)parse_number(text, name);
        break;
    case KEY_SIZE:
        options->size_bytes = (size_t)parse_number(text, name);
        break;
    case KEY_DEPTH:
        options->depth = (unsigned)parse_number(text, name);
        break;
    case KEY_REQUESTS:
        options->requests = parse_number(text, name);
        break;
    case KEY_WARMUP_REQUESTS:
        options->warmup_requests = parse_number(text, name);
        break;
    case KEY_PID:
        options->server_pid = (pid_t)parse_number(text, name);
        break;
    case KEY_CPU:
        options->cpu = (int)parse_number(text, name);
        break;
    case KEY_SEED:
        options->seed = parse_number(text, name);
        break;
    default:
        options_set_text(options, key, text);
        break;
    }
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    int key;
    int found;

    while ((found = getopt_long(argc, argv, "", option_table, &key)) != -1) {
        if (found != 0) {
            fputs(usage_text, stderr);
            exit(2);
        }
        options_set_number(options, (enum option_key)key, optarg);
    }
    if (optind != argc || options->mode == NULL || options->connections == 0
        || options->connections > 1000000 || options->depth == 0
        || options->depth > 100000 || options->size_bytes == 0
        || options->size_bytes > (1u << 30)
        || (options->is_udp && (options->size_bytes > 65507
                                || options->is_lines
                                || options->is_tls
                                || options->unix_path != NULL))
        || (options->is_lockstep && (options->connections != 1
                                     || options->server_pid == 0))
        || (options->unix_path == NULL
            && (options->port == 0 || options->port > 65535))) {
        fputs(usage_text, stderr);
        exit(2);
    }
}

static void
settle(const struct options *options)
{
    struct rlimit limit;
    cpu_set_t cpus;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer may be enough */
    }
    if (options->cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET((size_t)options->cpu, &cpus);
        if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0) {
            fprintf(stderr, "loadgen: CPU %d: %s\n", options->cpu,
                    strerror(errno));
            exit(2);
        }
    }
}

int
main(int argc, char **argv)
{
    static struct load load = {
        .options = {
            .host = "127.0.0.1",
            .connections = 1,
            .depth = 1,
            .size_bytes = 1024,
            .duration_ns = 1000000000u,
            .warmup_ns = 200000000u,
            .patience_ns = 10000000000u,
            .cpu = -1,
            .seed = 1,
        },
    };
    const struct workload *const workloads[] = {
        &echo_workload, &churn_workload, &http_workload};

    options_parse(&load.options, argc, argv);
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(load.options.mode, workloads[i]->name) == 0) {
            load.workload = workloads[i];
        }
    }
    if (load.workload == NULL) {
        fputs(usage_text, stderr);
        return 2;
    }
    settle(&load.options);
    if (load_prepare(&load) < 0) {
        (void)report_print(&load);
        return 3;
    }
    int status = load_measure(&load);
    bool is_right = report_print(&load);
    return status == 0 && is_right ? 0 : 1;
}
