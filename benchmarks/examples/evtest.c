/*
 * evtest.c - timers with nearly the same interval, as the test program of
 * 2006 had them: the i-th has i nanoseconds more, since a TIMER's interval is
 * its id.  Rewritten around kevent_ring_init() and kevent_commit(); it needs
 * kevent.h and the core, nothing else.
 *
 *     evtest [-n timers] [-s seconds] [-N nanoseconds] [-r rounds] [-o] [-v]
 *
 * -o makes them ONESHOT, -v prints each event.  Every timer has to be told in
 * its turn, never before its time; then it prints how many came, and ends
 * with 0.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kev/kevent.h"

#define RING_SLOTS 32u

struct options {
    unsigned timers;
    unsigned seconds;
    unsigned nanoseconds;
    unsigned rounds;
    bool oneshot;
    bool verbose;
};

static void
fail(const char *what, int error)
{
    fprintf(stderr, "evtest: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct options
options_of(int argc, char **argv)
{
    struct options options = {.timers = 100, .nanoseconds = 10000000,
                              .rounds = 5};
    int option;
    while ((option = getopt(argc, argv, "n:s:N:r:ov")) != -1) {
        switch (option) {
        case 'n':
            options.timers = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'N':
            options.nanoseconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'o':
            options.oneshot = true;
            options.rounds = 1;
            break;
        case 'v':
            options.verbose = true;
            break;
        default:
            fprintf(stderr, "usage: evtest [-n timers] [-s seconds] "
                            "[-N nanoseconds] [-r rounds] [-o] [-v]\n");
            exit(2);
        }
    }
    return options;
}

/* One call a timer, as in 2006; a batch would do as well. */
static void
timers_add(struct kev_queue *queue, const struct options *options)
{
    for (unsigned i = 0; i < options->timers; i++) {
        struct ukevent uk = {
            .id.raw = {options->seconds, options->nanoseconds + i},
            .type = KEVENT_TIMER,
            .event = KEVENT_TIMER_FIRED,
            .req_flags = options->oneshot ? KEVENT_REQ_ONESHOT : 0,
            .user = {i, 0},
        };
        int r = kevent_ctl(queue, KEVENT_CTL_ADD, 1, &uk);
        if (r != 0) {
            fail("kevent_ctl", r < 0 ? -r : -(int)uk.ret_data[1]);
        }
    }
}

/* Looks at one entry of the ring; how often its timer had to come for it. */
static unsigned
event_look(const struct options *options, const struct ukevent *event,
           uint64_t started_ns, unsigned *fired)
{
    uint64_t interval_ns = event->id.raw[0] * UINT64_C(1000000000)
        + event->id.raw[1];
    unsigned times = 1 + event->ret_data[1];
    unsigned i = event->user[0];
    if (options->verbose) {
        printf("timer %u: %u s %u ns, flags %x, %u missed\n", i,
               event->id.raw[0], event->id.raw[1], event->ret_flags,
               event->ret_data[1]);
    }
    fired[i] += times;
    if (event->ret_flags != KEVENT_RET_DONE
        || now_ns() < started_ns + fired[i] * interval_ns) {
        fprintf(stderr, "evtest: timer %u is before its time\n", i);
        exit(1);
    }
    return times;
}

int
main(int argc, char **argv)
{
    const struct options options = options_of(argc, argv);
    struct kev_queue *queue;
    struct kevent_ring *ring = calloc(1, KEVENT_RING_SIZE(RING_SLOTS));
    unsigned *fired = calloc(options.timers, sizeof(*fired));
    int r = kevent_open(&queue, 0);
    if (r == 0) {
        r = kevent_ring_init(queue, ring, RING_SLOTS);
    }
    if (r < 0) {
        fail("kevent_open", -r);
    }
    uint64_t started_ns = now_ns();
    timers_add(queue, &options);
    uint64_t expected = (uint64_t)options.timers * options.rounds;
    uint64_t told = 0;
    uint64_t events = 0;
    unsigned uidx = 0;
    while (told < expected) {
        int count = kevent_wait(queue, RING_SLOTS, 0,
                                UINT64_C(10000000000), 0, NULL);
        if (count <= 0) {
            fail("kevent_wait", count < 0 ? -count : 0);
        }
        for (int i = 0; i < count; i++) {
            told += event_look(&options, &ring->event[uidx], started_ns,
                               fired);
            uidx = uidx + 1 == RING_SLOTS ? 0 : uidx + 1;
        }
        events += (uint64_t)count;
        r = kevent_commit(queue, uidx, ring->ring_over);
        if (r < 0) {
            fail("kevent_commit", -r);
        }
    }
    unsigned least = options.rounds;
    for (unsigned i = 0; i < options.timers; i++) {
        least = fired[i] < least ? fired[i] : least;
    }
    printf("evtest: %u timers came %" PRIu64 " times in %" PRIu64
           " events, each at least %u times\n", options.timers, told, events,
           least);
    kevent_close(queue);
    free(ring);
    free(fired);
    return least == 0 ? 1 : 0;
}
