/*
 * bench_harvest.c - what the queue adds to epoll, in nanoseconds an event.
 *
 * The set-up is the one with which Eric Dumazet weighed epoll and kevent in
 * 2006: many descriptors, a number of them made ready, one harvest, again.
 * Here they are eventfds, level-triggered and always ready, so that a round
 * is one system call and nothing else.  The same round is run twice: by a
 * bare epoll_wait loop that reads a pointer out of each event and adds up
 * what it points to, and by kev_queue_poll() with a consumer that does the
 * same with each ring entry.  The rounds alternate, and medians are printed,
 * for the difference that of the pairs, since the machine has other things to
 * do.
 *
 *     bench_harvest [descriptors [events a call [samples]]]
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kev/owned.h"

#define ROUNDS_EVENTS 20000u   /* events in a sample */
#define RING_SLOTS    1024u    /* as many as the event loop has */

struct client {
    uint64_t served;
};

struct bench {
    unsigned fds_count;
    unsigned batch;
    int *fds;
    struct client *clients;
    int epfd;
    struct epoll_event *events;
    struct kev_queue *queue;
    struct kevent_ring *ring;
    unsigned uidx;
};

static void
fail(const char *what, int error)
{
    fprintf(stderr, "bench_harvest: %s: error %d\n", what, error);
    exit(1);
}

static double
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The bare loop: ns per event. */
static double
round_epoll(struct bench *bench)
{
    unsigned seen = 0;
    double start = now_ns();
    while (seen < ROUNDS_EVENTS) {
        int count = epoll_wait(bench->epfd, bench->events, (int)bench->batch,
                               -1);
        if (count < 0) {
            fail("epoll_wait", errno);
        }
        for (int i = 0; i < count; i++) {
            struct client *client = bench->events[i].data.ptr;
            client->served += bench->events[i].events;
        }
        seen += (unsigned)count;
    }
    return (now_ns() - start) / seen;
}

/* The same out of the ring. */
static double
round_kevent(struct bench *bench)
{
    unsigned seen = 0;
    double start = now_ns();
    while (seen < ROUNDS_EVENTS) {
        int count = kev_queue_poll(bench->queue, KEVENT_WAIT_FOREVER);
        if (count < 0) {
            fail("kev_queue_poll", -count);
        }
        for (int i = 0; i < count; i++) {
            const struct ukevent *event = &bench->ring->event[bench->uidx];
            struct client *client = event->ptr;
            client->served += event->ret_data[0];
            bench->uidx = bench->uidx + 1 == RING_SLOTS
                ? 0 : bench->uidx + 1;
        }
        kev_queue_consume(bench->queue, (unsigned)count);
        seen += (unsigned)count;
    }
    return (now_ns() - start) / seen;
}

static void
watch_all(struct bench *bench)
{
    for (unsigned i = 0; i < bench->fds_count; i++) {
        int fd = eventfd(1, EFD_NONBLOCK);
        struct client *client = &bench->clients[i];
        if (fd < 0) {
            fail("eventfd", errno);
        }
        bench->fds[i] = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(bench->epfd, EPOLL_CTL_ADD, fd, &event) < 0) {
            fail("epoll_ctl", errno);
        }
        struct ukevent uk = {
            .id.raw = {(uint32_t)fd, 0},
            .type = KEVENT_POLL,
            .event = KEVENT_POLL_POLLIN,
            .req_flags = KEVENT_REQ_LEVEL | KEVENT_REQ_ALWAYS_QUEUE,
            .ptr = client,
        };
        if (kevent_ctl(bench->queue, KEVENT_CTL_ADD, 1, &uk) != 0) {
            fail("kevent_ctl", -(int)uk.ret_data[1]);
        }
    }
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static unsigned
argument(int argc, char **argv, int index, unsigned otherwise)
{
    return argc > index ? (unsigned)strtoul(argv[index], NULL, 10)
                        : otherwise;
}

int
main(int argc, char **argv)
{
    struct bench bench = {.fds_count = argument(argc, argv, 1, 256)};
    /* The queue asks for 512 at a time; so does the bare loop. */
    bench.batch = argument(argc, argv, 2, 512);
    unsigned samples = argument(argc, argv, 3, 101);
    struct rlimit limit = {bench.fds_count + 64, bench.fds_count + 64};
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    bench.fds = calloc(bench.fds_count, sizeof(*bench.fds));
    bench.clients = calloc(bench.fds_count, sizeof(*bench.clients));
    bench.events = calloc(bench.batch, sizeof(*bench.events));
    bench.ring = aligned_alloc(
        64, (KEVENT_RING_SIZE(RING_SLOTS) + 63) & ~(size_t)63);
    double *bare = calloc(samples, sizeof(*bare));
    double *ours = calloc(samples, sizeof(*ours));
    double *more = calloc(samples, sizeof(*more));
    bench.epfd = epoll_create1(EPOLL_CLOEXEC);
    int r = kevent_open(&bench.queue, KEVENT_OPEN_OWNED);
    if (bench.epfd < 0 || r < 0) {
        fail("open", r);
    }
    r = kevent_ring_init(bench.queue, bench.ring, RING_SLOTS);
    if (r < 0) {
        fail("kevent_ring_init", -r);
    }
    watch_all(&bench);
    for (unsigned i = 0; i < samples; i++) {
        bare[i] = round_epoll(&bench);
        ours[i] = round_kevent(&bench);
        more[i] = ours[i] - bare[i];
    }
    qsort(bare, samples, sizeof(*bare), compare);
    qsort(ours, samples, sizeof(*ours), compare);
    qsort(more, samples, sizeof(*more), compare);
    printf("%u descriptors, up to %u events a call, %u samples\n"
           "bare epoll_wait    %7.1f ns/event  (min %.1f)\n"
           "kev_queue_poll     %7.1f ns/event  (min %.1f)\n"
           "difference         %7.1f ns/event  (of min %.1f)\n",
           bench.fds_count, bench.batch, samples, bare[samples / 2], bare[0],
           ours[samples / 2], ours[0], more[samples / 2], ours[0] - bare[0]);
    kevent_close(bench.queue);
    close(bench.epfd);
    for (unsigned i = 0; i < bench.fds_count; i++) {
        close(bench.fds[i]);
    }
    free(bench.fds);
    free(bench.clients);
    free(bench.events);
    free(bench.ring);
    free(bare);
    free(ours);
    free(more);
    return 0;
}
