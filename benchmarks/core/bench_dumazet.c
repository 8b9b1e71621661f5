/*
 * bench_dumazet.c - the benchmark with which Eric Dumazet weighed epoll, and
 * the author of kevent his work, in November 2006: 2,000 connected AF_INET
 * sockets, of which some at random become readable; they are harvested, and
 * each is read.
 *
 * Two consumers do the same in turn, each with its own 2,000 sockets: a bare
 * epoll_wait loop that reads the pointer out of each event, and the queue
 * with a ring whose consumer reads each event's cookie.  The default mode is
 * level-triggered in epoll; kevent's reports news only, and so does EPOLLET.
 * Writing is not timed.  "harvest" is the calls and the look at each event,
 * "event" all that a program has to do: the harvest and a recv() for each.
 *
 *     bench_dumazet [ready sockets [samples [sockets]]]
 *
 * Prints nanoseconds an event, medians of pairs, and epoll's time over
 * kevent's.
 */
#define _GNU_SOURCE 1   /* accept4 */

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kev/kevent.h"
#include "kev/owned.h"

#define BATCH      256u    /* events a call */
#define RING_SLOTS 1024u

struct client {
    int near;
    int far;
    uint64_t served;
};

/* One contestant: clients of its own, watched by epoll or by a queue. */
struct side {
    const char *name;
    bool kevent;
    bool owned;
    bool edge;
    struct client *clients;
    struct client **order;     /* a permutation to draw from */
    int epfd;
    struct epoll_event events[BATCH];
    struct kev_queue *queue;
    struct kevent_ring *ring;
    unsigned uidx;
    double *harvest;           /* ns an event, by sample */
    double *whole;
};

struct setting {
    unsigned sockets;
    unsigned ready;
    unsigned samples;
};

static void
fail(const char *what, int error)
{
    fprintf(stderr, "bench_dumazet: %s: error %d\n", what, error);
    exit(2);
}

static double
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint32_t
draw(uint32_t below)
{
    static uint64_t state = UINT64_C(0x2006110700000001);
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

/* ---- set-up ---- */

static void
client_connect(struct client *client, int listener,
               const struct sockaddr_in *address)
{
    client->far = socket(AF_INET, SOCK_STREAM, 0);
    if (client->far < 0
        || connect(client->far, (const struct sockaddr *)address,
                   sizeof(*address)) < 0) {
        fail("connect", errno);
    }
    client->near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (client->near < 0) {
        fail("accept4", errno);
    }
}

static void
client_watch(struct side *side, struct client *client)
{
    if (!side->kevent) {
        struct epoll_event event = {
            .events = EPOLLIN | (side->edge ? (uint32_t)EPOLLET : 0u),
            .data.ptr = client,
        };
        if (epoll_ctl(side->epfd, EPOLL_CTL_ADD, client->near, &event) < 0) {
            fail("epoll_ctl", errno);
        }
        return;
    }
    struct ukevent uk = {
        .id.raw = {(uint32_t)client->near, 0},
        .type = KEVENT_SOCKET,
        .event = KEVENT_SOCKET_RECV,
        .req_flags = KEVENT_REQ_ALWAYS_QUEUE
            | (side->edge ? KEVENT_REQ_ET : 0u),
        .ptr = client,
    };
    if (kevent_ctl(side->queue, KEVENT_CTL_ADD, 1, &uk) != 0) {
        fail("kevent_ctl", -(int)uk.ret_data[1]);
    }
}

static void
side_open(struct side *side, const struct setting *setting, int listener,
          const struct sockaddr_in *address)
{
    side->clients = calloc(setting->sockets, sizeof(*side->clients));
    side->order = calloc(setting->sockets, sizeof(*side->order));
    side->harvest = calloc(setting->samples, sizeof(*side->harvest));
    side->whole = calloc(setting->samples, sizeof(*side->whole));
    side->ring = aligned_alloc(
        64, (KEVENT_RING_SIZE(RING_SLOTS) + 63) & ~(size_t)63);
    side->epfd = epoll_create1(EPOLL_CLOEXEC);
    int r = kevent_open(&side->queue, side->owned ? KEVENT_OPEN_OWNED : 0);
    if (side->epfd < 0 || r < 0) {
        fail("open", r);
    }
    r = kevent_ring_init(side->queue, side->ring, RING_SLOTS);
    if (r < 0) {
        fail("kevent_ring_init", -r);
    }
    for (unsigned i = 0; i < setting->sockets; i++) {
        client_connect(&side->clients[i], listener, address);
        client_watch(side, &side->clients[i]);
        side->order[i] = &side->clients[i];
    }
}

/* ---- a round ---- */

/* A byte for so many clients, all different. */
static void
side_feed(struct side *side, const struct setting *setting)
{
    for (unsigned i = 0; i < setting->ready; i++) {
        unsigned k = i + draw(setting->sockets - i);
        struct client *client = side->order[k];
        side->order[k] = side->order[i];
        side->order[i] = client;
        if (send(client->far, "x", 1, 0) != 1) {
            fail("send", errno);
        }
    }
}

/* Up to BATCH of the clients that are readable; how many. */
static unsigned
side_harvest(struct side *side, struct client **found)
{
    if (!side->kevent) {
        int count = epoll_wait(side->epfd, side->events, BATCH, -1);
        if (count < 0) {
            fail("epoll_wait", errno);
        }
        for (int i = 0; i < count; i++) {
            found[i] = side->events[i].data.ptr;
        }
        return (unsigned)count;
    }
    int count = side->owned
        ? kev_queue_poll(side->queue, KEVENT_WAIT_FOREVER)
        : kevent_wait(side->queue, BATCH, 0, KEVENT_WAIT_FOREVER, 0, NULL);
    if (count < 0) {
        fail("kevent_wait", -count);
    }
    for (int i = 0; i < count; i++) {
        found[i] = side->ring->event[side->uidx].ptr;
        side->uidx = side->uidx + 1 == RING_SLOTS ? 0 : side->uidx + 1;
    }
    if (side->owned) {
        kev_queue_consume(side->queue, (unsigned)count);
    }
    else if (kevent_commit(side->queue, side->uidx, side->ring->ring_over)
             < 0) {
        fail("kevent_commit", 0);
    }
    return (unsigned)count;
}

static void
side_round(struct side *side, const struct setting *setting, unsigned sample)
{
    struct client *found[RING_SLOTS];
    unsigned left = setting->ready;
    double harvested = 0;
    side_feed(side, setting);
    double start = now_ns();
    while (left > 0) {
        double before = now_ns();
        unsigned count = side_harvest(side, found);
        harvested += now_ns() - before;
        for (unsigned i = 0; i < count; i++) {
            char byte;
            found[i]->served++;
            if (recv(found[i]->near, &byte, 1, 0) != 1) {
                fail("recv", errno);
            }
        }
        left -= count;
    }
    side->whole[sample] = (now_ns() - start) / setting->ready;
    side->harvest[sample] = harvested / setting->ready;
}

/* ---- what came out ---- */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(const double *values, unsigned count)
{
    double *sorted = calloc(count, sizeof(*sorted));
    for (unsigned i = 0; i < count; i++) {
        sorted[i] = values[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare);
    double middle = sorted[count / 2];
    free(sorted);
    return middle;
}

/* epoll's time over kevent's: the median of the pairs. */
static double
ratio(const double *epoll, const double *kevent, unsigned count)
{
    double *pairs = calloc(count, sizeof(*pairs));
    for (unsigned i = 0; i < count; i++) {
        pairs[i] = epoll[i] / kevent[i];
    }
    double middle = median(pairs, count);
    free(pairs);
    return middle;
}

static unsigned
argument(int argc, char **argv, int index, unsigned otherwise)
{
    return argc > index ? (unsigned)strtoul(argv[index], NULL, 10)
                        : otherwise;
}

static int
listener_open(struct sockaddr_in *address)
{
    socklen_t length = sizeof(*address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0
        || bind(listener, (struct sockaddr *)address, length) < 0
        || listen(listener, 128) < 0
        || getsockname(listener, (struct sockaddr *)address, &length) < 0) {
        fail("listen", errno);
    }
    return listener;
}

static void
side_close(struct side *side, const struct setting *setting)
{
    kevent_close(side->queue);
    close(side->epfd);
    for (unsigned i = 0; i < setting->sockets; i++) {
        close(side->clients[i].near);
        close(side->clients[i].far);
    }
    free(side->clients);
    free(side->order);
    free(side->ring);
    free(side->harvest);
    free(side->whole);
}

/* All contestants in one mode, in turn. */
static void
compete(bool edge, const struct setting *setting)
{
    struct side sides[] = {
        {.name = "epoll"},
        {.name = "kevent", .kevent = true},
        {.name = "kevent, owned", .kevent = true, .owned = true},
    };
    const unsigned count = sizeof(sides) / sizeof(sides[0]);
    struct sockaddr_in address;
    int listener = listener_open(&address);
    for (unsigned i = 0; i < count; i++) {
        sides[i].edge = edge;
        side_open(&sides[i], setting, listener, &address);
    }
    for (unsigned i = 0; i < setting->samples; i++) {
        for (unsigned k = 0; k < count; k++) {
            side_round(&sides[k], setting, i);
        }
    }
    for (unsigned k = 0; k < count; k++) {
        const struct side *side = &sides[k];
        printf("%-14s%-4s %8.0f %8.0f", side->name, edge ? "ET" : "",
               median(side->harvest, setting->samples),
               median(side->whole, setting->samples));
        if (side->kevent) {
            printf(" %8.3f %8.3f",
                   ratio(sides[0].harvest, side->harvest, setting->samples),
                   ratio(sides[0].whole, side->whole, setting->samples));
        }
        printf("\n");
    }
    for (unsigned k = 0; k < count; k++) {
        side_close(&sides[k], setting);
    }
    close(listener);
}

int
main(int argc, char **argv)
{
    const struct setting setting = {
        .ready = argument(argc, argv, 1, 200),
        .samples = argument(argc, argv, 2, 301),
        .sockets = argument(argc, argv, 3, 2000),
    };
    struct rlimit limit;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    printf("%u sockets, %u of them ready, %u samples\n"
           "ns an event:        harvest    event   epoll's / kevent's\n",
           setting.sockets, setting.ready, setting.samples);
    compete(false, &setting);
    compete(true, &setting);
    return 0;
}
