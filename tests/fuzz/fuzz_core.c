/*
 * fuzz_core.c - sequences of calls of the core against a model of it.
 *
 * Each byte of the input is an operation or its argument.  The model knows
 * which kevents are registered, which of the program's own (UNOTIFY) are to
 * be told, and which pipes hold data.  After each operation the queue's parts
 * must agree (kev_queue_check), each answer must be the model's, and what is told
 * must be registered, with the cookie of the present registration, once.
 *
 * Made with -fsanitize=fuzzer,address,undefined; make fuzz.
 */
#define _GNU_SOURCE 1

#include "kev/kevent.h"
#include "kev/owned.h"
#include "kev/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USERS = 8, PIPES = 4, TIMERS = 2, MOST = 64, RING_MOST = 16 };
enum { USER_BASE = 0, PIPE_BASE = USERS, TIMER_BASE = USERS + PIPES,
       ENTRIES = USERS + PIPES + TIMERS };

struct entry {
    bool registered;
    bool doubtful;      /* its descriptor was closed: it may be gone */
    bool pending;       /* of a UNOTIFY: to be told */
    uint32_t flags;
    uint64_t cookie;
};

struct model {
    struct kev_queue *queue;
    bool owned;
    struct entry entries[ENTRIES];
    int near[PIPES];
    int far[PIPES];
    unsigned held[PIPES];      /* bytes in the pipe */
    struct kevent_ring *ring;
    unsigned ring_num;
    unsigned ring_seen;        /* slot that is read next */
    unsigned ring_filled;      /* slots that are not committed */
    uint64_t cookies;
    unsigned threads_left;
    const uint8_t *data;
    size_t size;
};

#define MUST(condition)                                                   \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,            \
                    #condition);                                          \
            abort();                                                      \
        }                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
next(struct model *m)
{
    if (m->size == 0) {
        return 0;
    }
    m->size--;
    return *m->data++;
}

/* ---- keys ----------------------------------------------------------- */

static struct ukevent
element_of(struct model *m, unsigned i)
{
    struct ukevent uk = {.user_u64 = m->entries[i].cookie};
    if (i < PIPE_BASE) {
        uk.type = KEVENT_UNOTIFY;
        uk.id.raw_u64 = i;
        uk.event = 1;
    }
    else if (i < TIMER_BASE) {
        uk.type = KEVENT_POLL;
        uk.id.raw[0] = (uint32_t)m->near[i - PIPE_BASE];
        uk.event = KEVENT_POLL_POLLIN;
    }
    else {
        uk.type = KEVENT_TIMER;
        uk.id.raw_u64 = 1000 * (i - TIMER_BASE + 1);
        uk.event = KEVENT_TIMER_FIRED;
    }
    return uk;
}

static unsigned
entry_of(struct model *m, const struct ukevent *uk)
{
    switch (uk->type) {
    case KEVENT_UNOTIFY:
        MUST(uk->id.raw_u64 < USERS);
        return (unsigned)uk->id.raw_u64;
    case KEVENT_TIMER:
        MUST(uk->id.raw_u64 == 1000 || uk->id.raw_u64 == 2000);
        return TIMER_BASE + (unsigned)uk->id.raw_u64 / 1000 - 1;
    default:
        MUST(uk->type == KEVENT_POLL);
        for (unsigned i = 0; i < PIPES; i++) {
            if (m->near[i] == (int)uk->id.raw[0]) {
                return PIPE_BASE + i;
            }
        }
        MUST(!"an event of a descriptor that is not watched");
        return 0;
    }
}

/* The result of one element: 0, 1 (ready at ADD) or -errno. */
static int
control(struct model *m, unsigned cmd, struct ukevent uk)
{
    int r = kevent_ctl(m->queue, cmd, 1, &uk);
    if (r < 0 || cmd == KEVENT_CTL_READY) {
        return r;
    }
    if (cmd != KEVENT_CTL_ADD) {
        MUST(r == 0 && (uk.ret_flags & KEVENT_RET_DONE));
        return uk.ret_flags & KEVENT_RET_BROKEN ? (int)uk.ret_data[1] : 0;
    }
    if (r == 0) {
        return 0;
    }
    return uk.ret_flags & KEVENT_RET_BROKEN ? (int)uk.ret_data[1] : 1;
}

static uint32_t
flags_of(unsigned i, unsigned byte)
{
    static const uint32_t modes[] = {0, KEVENT_REQ_ET, KEVENT_REQ_LEVEL,
                                     KEVENT_REQ_LAST_CHECK};
    uint32_t flags = 0;
    if (byte & 1) {
        flags |= KEVENT_REQ_ONESHOT;
    }
    if (i < PIPE_BASE) {
        return flags | (byte & 2 ? KEVENT_REQ_ALWAYS_QUEUE : 0)
            | (byte & 4 ? KEVENT_REQ_READY : 0);
    }
    return i >= TIMER_BASE ? flags
        : flags | modes[byte >> 1 & 3] | KEVENT_REQ_ALWAYS_QUEUE;
}

/* ---- operations on one ---------------------------------------------- */

static unsigned
count_registered(const struct model *m)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        count += m->entries[i].registered;
    }
    return count;
}

static void
add(struct model *m, unsigned i)
{
    struct entry *entry = &m->entries[i];
    struct ukevent uk = element_of(m, i);
    uk.req_flags = flags_of(i, next(m));
    uk.user_u64 = ++m->cookies;
    int r = control(m, KEVENT_CTL_ADD, uk);
    if (entry->registered && !entry->doubtful) {
        MUST(r == -EEXIST);
        return;
    }
    MUST(r == 0 || (entry->doubtful && r == -EEXIST));
    if (r == 0) {
        *entry = (struct entry){.registered = true, .flags = uk.req_flags,
                                .cookie = uk.user_u64};
        entry->pending = i < PIPE_BASE
            && (uk.req_flags & (KEVENT_REQ_READY | KEVENT_REQ_ALWAYS_QUEUE));
    }
}

static void
take_away(struct model *m, unsigned i)
{
    struct entry *entry = &m->entries[i];
    bool any = count_registered(m) > 0;
    int r = control(m, KEVENT_CTL_REMOVE, element_of(m, i));
    if (entry->doubtful) {
        MUST(r == 0 || r == -ENOENT || r == -EBADF || r == -EINVAL);
    }
    else if (entry->registered) {
        MUST(r == 0);
    }
    else {
        MUST(r == -ENOENT || (!any && r == -EINVAL) || r == -EINVAL);
    }
    *entry = (struct entry){0};
}

static void
change(struct model *m, unsigned i)
{
    struct entry *entry = &m->entries[i];
    struct ukevent uk = element_of(m, i);
    uk.req_flags = flags_of(i, next(m));
    int r = control(m, KEVENT_CTL_MODIFY, uk);
    if (!entry->registered || entry->doubtful) {
        MUST(entry->doubtful || r == -ENOENT || r == -EINVAL);
        if (r == -ENOENT || r == -EBADF) {
            *entry = (struct entry){0};
        }
        else if (r == 0) {
            entry->flags = uk.req_flags;
        }
        return;
    }
    MUST(r == 0);
    entry->flags = uk.req_flags;
    if (i < PIPE_BASE && (uk.req_flags & KEVENT_REQ_READY)) {
        entry->pending = true;
    }
}

static void
make_ready(struct model *m, unsigned i)
{
    int r = control(m, KEVENT_CTL_READY, element_of(m, i));
    if (m->entries[i].registered && !m->entries[i].doubtful) {
        MUST(r == 1);
        m->entries[i].pending |= i < PIPE_BASE;
    }
    else if (!m->entries[i].registered) {
        MUST(r == 0 || r == -EINVAL);
    }
}

/* ---- what is told --------------------------------------------------- */

static void
told(struct model *m, const struct ukevent *uk, bool *seen)
{
    unsigned i = entry_of(m, uk);
    struct entry *entry = &m->entries[i];
    MUST(entry->registered);
    MUST(uk->user_u64 == entry->cookie);
    MUST(uk->ret_flags & KEVENT_RET_DONE);
    MUST(!seen[i]);
    seen[i] = true;
    if (i < PIPE_BASE) {
        MUST(entry->pending);
        entry->pending = false;
    }
    if (uk->ret_flags & KEVENT_RET_BROKEN) {
        MUST(entry->doubtful);
        entry->registered = false;
        entry->doubtful = false;
    }
    else if (entry->flags & KEVENT_REQ_ONESHOT) {
        entry->registered = false;
        entry->doubtful = false;
    }
}

/* All that must be told, has been. */
static void
nothing_missing(const struct model *m, const bool *seen)
{
    for (unsigned i = 0; i < USERS; i++) {
        MUST(!m->entries[i].registered || !m->entries[i].pending);
    }
    for (unsigned p = 0; p < PIPES; p++) {
        const struct entry *entry = &m->entries[PIPE_BASE + p];
        MUST(seen[PIPE_BASE + p] || !entry->registered || entry->doubtful
             || (entry->flags & KEVENT_REQ_LEVEL) == 0 || m->held[p] == 0);
    }
}

static void
take(struct model *m, unsigned most)
{
    struct ukevent events[MOST];
    bool seen[ENTRIES] = {false};
    int r = kevent_get_events(m->queue, 0, most, 0, events, 0, NULL);
    MUST(r >= 0 && r <= (int)most);
    for (int i = 0; i < r; i++) {
        told(m, &events[i], seen);
    }
    if ((unsigned)r < most) {
        nothing_missing(m, seen);
    }
}

/* ---- the ring ------------------------------------------------------- */

static void
ring_change(struct model *m)
{
    unsigned num = next(m) % RING_MOST;
    if (m->ring != NULL) {
        int r = kevent_ring_init(m->queue, NULL, 0);
        MUST(r == (m->ring_filled > 0 ? -EBUSY : 0));
        if (r == 0) {
            free(m->ring);
            m->ring = NULL;
        }
        return;
    }
    struct kevent_ring *ring = malloc(KEVENT_RING_SIZE(num + 1));
    int r = kevent_ring_init(m->queue, ring, num);
    MUST(r == (num == 0 ? -EINVAL : 0));
    if (r < 0) {
        free(ring);
        return;
    }
    m->ring = ring;
    m->ring_num = num;
    m->ring_seen = 0;
    m->ring_filled = 0;
}

static void
ring_fill(struct model *m)
{
    bool seen[ENTRIES] = {false};
    unsigned most = next(m) % RING_MOST + 1;
    bool poll = m->owned && (next(m) & 1);
    int r = poll ? kev_queue_poll(m->queue, 0)
        : kevent_wait(m->queue, most, 0, 0, 0, NULL);
    if (m->ring == NULL) {
        MUST(r < 0);
        return;
    }
    unsigned room = m->ring_num - m->ring_filled;
    if (!poll && most > m->ring_num) {
        MUST(r == -EINVAL);
        return;
    }
    MUST(r <= (int)room && (r >= 0 || (room == 0 && r == -ENOSPC)));
    for (int i = 0; i < r; i++) {
        told(m, &m->ring->event[m->ring_seen], seen);
        m->ring_seen = (m->ring_seen + 1) % m->ring_num;
        m->ring_filled++;
    }
    MUST(m->ring->ring_kidx == m->ring_seen);
}

static void
ring_commit(struct model *m)
{
    unsigned index = next(m) % RING_MOST;
    if (m->ring == NULL) {
        MUST(kevent_commit(m->queue, 0, 0) == 0);
        return;
    }
    unsigned over = m->ring->ring_over;
    if (index & 8) {   /* any index: refused, or a part of what is filled */
        index &= 7;
        int r = kevent_commit(m->queue, index, over + (index & 1));
        MUST(r < 0 || (unsigned)r <= m->ring_filled);
        m->ring_filled -= r > 0 ? (unsigned)r : 0;
        return;
    }
    int r = kevent_commit(m->queue, m->ring->ring_kidx, over);
    MUST(m->ring_filled == 0 || r == (int)m->ring_filled || r == -EOVERFLOW);
    m->ring_filled -= r > 0 ? (unsigned)r : 0;
}

/* ---- descriptors ---------------------------------------------------- */

static void
pipe_open(struct model *m, unsigned p)
{
    int ends[2];
    MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    m->near[p] = ends[0];
    m->far[p] = ends[1];
    m->held[p] = 0;
}

/* Another pipe gets the number of a watched one. */
static void
pipe_replace(struct model *m, unsigned p)
{
    int number = m->near[p];
    (void)close(m->far[p]);
    (void)close(number);
    pipe_open(m, p);
    if (m->near[p] != number) {
        MUST(dup2(m->near[p], number) == number);
        (void)close(m->near[p]);
        m->near[p] = number;
        (void)fcntl(number, F_SETFL, O_NONBLOCK);
    }
    m->entries[PIPE_BASE + p].doubtful = m->entries[PIPE_BASE + p].registered;
}

static void
pipe_write(struct model *m, unsigned p)
{
    m->held[p] += write(m->far[p], "x", 1) == 1;
}

static void
pipe_drain(struct model *m, unsigned p)
{
    char bytes[4096];
    while (read(m->near[p], bytes, sizeof(bytes)) > 0) {
    }
    m->held[p] = 0;
}

/* ---- threads -------------------------------------------------------- */

struct waiter {
    struct model *m;
    struct ukevent events[MOST];
    int count;
};

static void *
wait_for_one(void *arg)
{
    struct waiter *waiter = arg;
    waiter->count = kevent_get_events(waiter->m->queue, 1, 4, 2000000,
                                      waiter->events, 0, NULL);
    return NULL;
}

/* Threads wait while events are made: each event of the program's own goes to
   exactly one of them, or stays. */
static void
threads(struct model *m)
{
    struct waiter waiters[3] = {{.m = m}, {.m = m}, {.m = m}};
    pthread_t ids[3];
    if (m->owned || m->threads_left == 0) {
        return;
    }
    m->threads_left--;
    take(m, MOST);
    for (unsigned t = 0; t < 3; t++) {
        MUST(pthread_create(&ids[t], NULL, wait_for_one, &waiters[t]) == 0);
    }
    unsigned expected[USERS] = {0};
    unsigned got[USERS] = {0};
    for (unsigned n = next(m) % 8; n > 0; n--) {
        unsigned i = next(m) % USERS;
        bool oneshot = m->entries[i].flags & KEVENT_REQ_ONESHOT;
        if (m->entries[i].registered && !oneshot && expected[i] == 0) {
            struct ukevent uk = element_of(m, i);
            MUST(kevent_ctl(m->queue, KEVENT_CTL_READY, 1, &uk) == 1);
            expected[i] = 1;
        }
    }
    for (unsigned t = 0; t < 3; t++) {
        (void)pthread_join(ids[t], NULL);
        MUST(waiters[t].count >= 0);
        for (int e = 0; e < waiters[t].count; e++) {
            const struct ukevent *uk = &waiters[t].events[e];
            unsigned i = entry_of(m, uk);
            struct entry *entry = &m->entries[i];
            MUST(entry->registered && uk->user_u64 == entry->cookie);
            if (i < PIPE_BASE) {
                got[i]++;
            }
            else if ((entry->flags & KEVENT_REQ_ONESHOT)
                     || (uk->ret_flags & KEVENT_RET_BROKEN)) {
                *entry = (struct entry){0};
            }
        }
    }
    for (unsigned i = 0; i < USERS; i++) {
        MUST(got[i] <= expected[i]);
        m->entries[i].pending = got[i] < expected[i];
    }
    take(m, MOST);
}

/* ---- one input ------------------------------------------------------ */

static void
operate(struct model *m)
{
    unsigned op = next(m);
    unsigned i = next(m) % ENTRIES;
    unsigned p = i % PIPES;
    switch (op % 16) {
    case 0: case 1: case 2:
        add(m, i);
        break;
    case 3:
        take_away(m, i);
        break;
    case 4:
        change(m, i);
        break;
    case 5: case 6:
        make_ready(m, i);
        break;
    case 7: case 8:
        pipe_write(m, p);
        break;
    case 9:
        pipe_drain(m, p);
        break;
    case 10:
        pipe_replace(m, p);
        break;
    case 11:
        ring_change(m);
        break;
    case 12:
        ring_fill(m);
        break;
    case 13:
        ring_commit(m);
        break;
    case 14:
        threads(m);
        break;
    default:
        take(m, op & 16 ? MOST : next(m) % 4 + 1);
    }
    MUST(kev_queue_check(m->queue) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model model = {.data = data, .size = size, .threads_left = 1};
    struct model *m = &model;
    m->owned = next(m) & 1;
    MUST(kevent_open(&m->queue, m->owned ? KEVENT_OPEN_OWNED : 0) == 0);
    for (unsigned p = 0; p < PIPES; p++) {
        pipe_open(m, p);
    }
    for (unsigned steps = 0; m->size > 0 && steps < 400; steps++) {
        operate(m);
    }
    kevent_close(m->queue);
    free(m->ring);
    for (unsigned p = 0; p < PIPES; p++) {
        (void)close(m->near[p]);
        (void)close(m->far[p]);
    }
    return 0;
}
