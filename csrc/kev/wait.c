/*
 * wait.c - the one place that sleeps.
 *
 * An owner sleeps in epoll_pwait2 and needs nothing more: kev_queue_poll().
 *
 * Threads that share a queue line up.  One of them, the leader, sleeps in the
 * epoll set; the others sleep each on an eventfd of their own.  Whoever makes
 * something ready hands it out in the order of the line: an event is copied
 * to the buffer of the one who gets it before he is woken, so nobody can take
 * it from him, and a waiter that wants min_nr events is not woken for fewer.
 * A leader who leaves wakes the first in the line, who leads then.
 *
 * The lock is never held while sleeping.
 */
#include "kev/wait.h"

#include <errno.h>

#include "kev/owned.h"
#include "kev/queue.h"
#include "kev/sys.h"

/* CLOCK_BOOTTIME goes on while the machine is suspended, and sleeps do not;
   nor can a queue out of descriptors hear that CLOCK_REALTIME was set.  Look
   at the clock at least so often. */
#define CLOCK_SLICE_NS KEV_NSEC_PER_SEC

struct deadline {
    uint64_t at_ns;       /* KEVENT_WAIT_FOREVER: none; 0: do not sleep */
    clockid_t clock;
};

struct kev_waiter {
    struct kev_waiter *next;
    struct kev_waiter *prev;
    struct ukevent *buf;      /* NULL: the ring */
    unsigned min_nr;
    unsigned max_nr;
    unsigned seen;
    unsigned count;           /* events received so far */
    int fd;                   /* what a follower sleeps on, or -1 */
    bool ring;
    bool watches_seen;
    bool watches_wall;        /* is told when CLOCK_REALTIME is set */
    bool in_line;
    bool done;                /* has all it waited for */
    bool dismissed;           /* READY(0) */
};

/* ---- time ---- */

static int
deadline_init(struct deadline *deadline, uint64_t timeout_ns, unsigned flags)
{
    const unsigned wall = KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME;
    if ((flags & wall) == wall
        || ((flags & wall) && (flags & KEVENT_FLAGS_ABSTIME) == 0)) {
        return -EINVAL;
    }
    deadline->clock = flags & KEVENT_FLAGS_REALTIME ? CLOCK_REALTIME
        : flags & KEVENT_FLAGS_BOOTTIME ? CLOCK_BOOTTIME : CLOCK_MONOTONIC;
    deadline->at_ns = timeout_ns;
    if (timeout_ns != KEVENT_WAIT_FOREVER && timeout_ns != 0
        && (flags & KEVENT_FLAGS_ABSTIME) == 0) {
        uint64_t now_ns = kev_sys_now(CLOCK_MONOTONIC);
        deadline->at_ns = timeout_ns < KEVENT_WAIT_FOREVER - now_ns
            ? now_ns + timeout_ns : KEVENT_WAIT_FOREVER;
    }
    return 0;
}

static uint64_t
deadline_left(const struct deadline *deadline)
{
    if (deadline->at_ns == KEVENT_WAIT_FOREVER || deadline->at_ns == 0) {
        return deadline->at_ns;
    }
    uint64_t now_ns = kev_sys_now(deadline->clock);
    return deadline->at_ns > now_ns ? deadline->at_ns - now_ns : 0;
}

/* How long to sleep at most, given what is left, timers and clocks. */
static uint64_t
sleep_bound(const struct kev_queue *queue, uint64_t left_ns)
{
    if (queue->timers.count != 0 && left_ns != 0) {
        uint64_t now_ns = kev_sys_now(CLOCK_MONOTONIC);
        uint64_t due_ns = kev_heap_deadline(&queue->timers);
        uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        left_ns = wait_ns < left_ns ? wait_ns : left_ns;
    }
    return left_ns;
}

static void
timers_pump(struct kev_queue *queue)
{
    if (queue->timers.count != 0) {
        kev_timers_fire(queue, kev_sys_now(CLOCK_MONOTONIC));
    }
}

/* What needs no kernel event to become ready. */
static void
queue_pump(struct kev_queue *queue)
{
    timers_pump(queue);
    if (queue->rechecks != NULL) {
        kev_recheck(queue);
    }
}

/* ---- the owner ---- */

/* The part of kev_queue_poll() for queues with more than descriptors. */
static int
poll_rest(struct kev_queue *queue, uint32_t filled)
{
    /* Not the levels: this harvest has just told of them. */
    timers_pump(queue);
    filled += kev_ready_to_ring(queue, UINT32_MAX);
    kev_ring_publish(&queue->ring);
    kev_queue_settle(queue);
    return (int)filled;
}

static inline bool
poll_has_rest(const struct kev_queue *queue)
{
    return __builtin_expect(
        queue->ready.count != 0 || queue->timers.count != 0
        || queue->rechecks != NULL || queue->bell_rung, 0);
}

int
kev_queue_poll(struct kev_queue *queue, uint64_t timeout_ns)
{
    int r = kev_queue_usable(queue);
    if (r < 0) {
        return r;
    }
    if (!queue->owned || queue->ring.memory == NULL) {
        return -EINVAL;
    }
    if (kev_ring_room(&queue->ring) == 0) {
        return -ENOSPC;
    }
    for (;;) {
        uint64_t bound_ns = timeout_ns;
        if (poll_has_rest(queue)) {
            queue_pump(queue);
            bound_ns = queue->ready.count != 0
                ? 0 : sleep_bound(queue, timeout_ns);
        }
        else if (bound_ns == 0 && kev_lull_holds(&queue->lull)) {
            return 0;
        }
        int count = kev_sys_epoll_wait(queue->epfd, queue->events,
                                       KEV_HARVEST_MAX, bound_ns, NULL,
                                       &queue->coarse);
        if (count < 0) {
            return count;
        }
        kev_lull_looked(&queue->lull, count, bound_ns, queue->epfd);
        int filled = kev_harvest_to_ring(queue, queue->events, count,
                                         UINT32_MAX);
        if (poll_has_rest(queue)) {
            filled = poll_rest(queue, (uint32_t)filled);
        }
        /* Woken for nothing, or for a timer that was taken back. */
        if (filled != 0 || timeout_ns != KEVENT_WAIT_FOREVER) {
            return filled;
        }
    }
}

/* ---- the line ---- */

static void
line_join(struct kev_queue *queue, struct kev_waiter *waiter)
{
    if (waiter->in_line) {
        return;
    }
    waiter->in_line = true;
    waiter->next = NULL;
    waiter->prev = queue->waiters_last;
    if (queue->waiters_last == NULL) {
        queue->waiters = waiter;
    }
    else {
        queue->waiters_last->next = waiter;
    }
    queue->waiters_last = waiter;
    queue->waiters_count++;
}

static void
line_leave(struct kev_queue *queue, struct kev_waiter *waiter)
{
    if (!waiter->in_line) {
        return;
    }
    waiter->in_line = false;
    if (waiter->prev == NULL) {
        queue->waiters = waiter->next;
    }
    else {
        waiter->prev->next = waiter->next;
    }
    if (waiter->next == NULL) {
        queue->waiters_last = waiter->prev;
    }
    else {
        waiter->next->prev = waiter->prev;
    }
    queue->waiters_count--;
}

static void
waiter_wake(struct kev_queue *queue, struct kev_waiter *waiter)
{
    if (waiter == queue->leader) {
        (void)kev_sys_eventfd_ring(queue->bell_fd);
    }
    else if (waiter->fd >= 0) {
        (void)kev_sys_eventfd_ring(waiter->fd);
    }
}

/* Up to max_nr of what is ready.  Says whether it touched the ring. */
static bool
waiter_take(struct kev_queue *queue, struct kev_waiter *waiter)
{
    unsigned wanted = waiter->max_nr - waiter->count;
    if (waiter->ring) {
        uint32_t moved = kev_ready_to_ring(queue, wanted);
        kev_ring_publish(&queue->ring);
        waiter->count += moved;
        return moved != 0;
    }
    while (wanted-- > 0
           && kev_ready_take(queue, &waiter->buf[waiter->count])) {
        waiter->count++;
    }
    return false;
}

static bool
waiter_ring_moved(const struct kev_queue *queue,
                  const struct kev_waiter *waiter)
{
    return waiter->watches_seen && queue->ring.kidx != waiter->seen;
}

/* Give the waiter what it waits for, if it is there. */
static void
waiter_serve(struct kev_queue *queue, struct kev_waiter *waiter,
             bool *ring_moved)
{
    uint32_t ready = queue->ready.count + queue->records.behind;
    if (waiter_ring_moved(queue, waiter)) {
        waiter->done = true;
    }
    else if (waiter->ring && waiter->max_nr == 0) {
        waiter->done = ready != 0;
    }
    else if (ready != 0
             && ((uint64_t)waiter->count + ready >= waiter->min_nr
                 || !kev_records_room(&queue->records))) {
        /* (Without room for more nothing more would come.) */
        *ring_moved |= waiter_take(queue, waiter);
        waiter->done = waiter->count != 0 && waiter->count >= waiter->min_nr;
    }
}

void
kev_wait_distribute(struct kev_queue *queue)
{
    bool again = queue->waiters != NULL;
    while (again) {
        again = false;
        for (struct kev_waiter *w = queue->waiters; w != NULL; w = w->next) {
            if (!w->done) {
                waiter_serve(queue, w, &again);
                if (w->done) {
                    waiter_wake(queue, w);
                }
            }
        }
    }
}

void
kev_wait_wake_one(struct kev_queue *queue)
{
    for (struct kev_waiter *w = queue->waiters; w != NULL; w = w->next) {
        if (!w->done && !w->dismissed) {
            w->dismissed = true;
            waiter_wake(queue, w);
            return;
        }
    }
    queue->wakes_pending++;
}

void
kev_wait_wake_all(struct kev_queue *queue)
{
    for (struct kev_waiter *w = queue->waiters; w != NULL; w = w->next) {
        waiter_wake(queue, w);
    }
}

void
kev_wait_wall_heard(struct kev_queue *queue)
{
    for (struct kev_waiter *w = queue->waiters; w != NULL; w = w->next) {
        if (w->watches_wall) {
            waiter_wake(queue, w);
        }
    }
}

bool
kev_wait_uses_ring(const struct kev_queue *queue)
{
    for (struct kev_waiter *w = queue->waiters; w != NULL; w = w->next) {
        if (w->ring) {
            return true;
        }
    }
    return false;
}

/* ---- sleeping ---- */

/*
 * What the leader has heard.  If nobody else waits, and one event is enough
 * for him, the events are his without a stay on the ready list.
 */
static void
leader_harvest(struct kev_queue *queue, struct kev_waiter *self, int count)
{
    if (queue->waiters != self || self->next != NULL || self->min_nr > 1
        || self->max_nr == 0 || self->count != 0) {
        kev_harvest(queue, queue->events, count);
        return;
    }
    if (self->ring) {
        self->count = (unsigned)kev_harvest_to_ring(queue, queue->events,
                                                    count, self->max_nr);
    }
    else {
        self->count = kev_harvest_to_buf(queue, queue->events, count,
                                         self->buf, self->max_nr);
    }
    self->done = self->count != 0;
}

/* Harvest with a sleep.  0, or -EINTR, -errno. */
static int
sleep_as_leader(struct kev_queue *queue, struct kev_waiter *self,
                uint64_t left_ns, const sigset_t *sigmask)
{
    uint64_t bound_ns = sleep_bound(queue, left_ns);
    queue->leader = self;
    kev_queue_unlock(queue);
    int count = kev_sys_epoll_wait(queue->epfd, queue->events,
                                   KEV_HARVEST_MAX, bound_ns, sigmask,
                                   &queue->coarse);
    kev_queue_lock(queue);
    queue->leader = NULL;
    if (count > 0 && !queue->dead) {
        leader_harvest(queue, self, count);
    }
    return count < 0 ? count : 0;
}

/* Harvest without a sleep, which may be done beside a leader. */
static int
glance(struct kev_queue *queue, struct kev_waiter *self)
{
    struct epoll_event beside[KEV_GLANCE_MAX];
    bool alone = queue->leader == NULL;
    struct epoll_event *events = alone ? queue->events : beside;
    bool coarse = alone && queue->coarse;
    int count = kev_sys_epoll_wait(queue->epfd, events,
                                   alone ? KEV_HARVEST_MAX : KEV_GLANCE_MAX,
                                   0, NULL, &coarse);
    if (count <= 0) {
        return count;
    }
    if (alone) {
        leader_harvest(queue, self, count);
        return 0;
    }
    kev_harvest(queue, events, count);
    for (int i = 0; i < count && queue->leader != NULL; i++) {
        if ((uint32_t)events[i].data.u64 == (uint32_t)queue->bell_fd) {
            /* It may have been for him, and we have heard it instead. */
            (void)kev_sys_eventfd_ring(queue->bell_fd);
        }
    }
    return 0;
}

/* Somebody else leads.  0, or -EINTR, -errno. */
static int
sleep_as_follower(struct kev_queue *queue, struct kev_waiter *self,
                  uint64_t left_ns, const sigset_t *sigmask)
{
    if (self->fd < 0) {
        int fd = queue->spare_bell >= 0
            ? queue->spare_bell : kev_sys_eventfd();
        if (fd < 0) {
            return fd;
        }
        queue->spare_bell = -1;
        self->fd = fd;
    }
    struct pollfd bell = {.fd = self->fd, .events = POLLIN};
    kev_queue_unlock(queue);
    int r = kev_sys_poll(&bell, 1, left_ns, sigmask);
    kev_queue_lock(queue);
    if (r > 0) {
        (void)kev_sys_eventfd_drain(self->fd);
    }
    return r < 0 ? r : 0;
}

static void
waiter_close(struct kev_queue *queue, struct kev_waiter *self)
{
    if (self->fd < 0) {
        return;
    }
    if (queue->spare_bell < 0 && !queue->dead
        && kev_sys_eventfd_drain(self->fd) == 0) {
        queue->spare_bell = self->fd;
    }
    else {
        (void)kev_sys_close(self->fd);
    }
    self->fd = -1;
}

void
kev_wait_fini(struct kev_queue *queue)
{
    if (queue->spare_bell >= 0) {
        (void)kev_sys_close(queue->spare_bell);
        queue->spare_bell = -1;
    }
}

/* ---- waiting ---- */

/* READY(0) for us, or for whoever would sleep next. */
static bool
waiter_dismissed(struct kev_queue *queue, struct kev_waiter *self)
{
    if (!self->dismissed && queue->wakes_pending != 0) {
        queue->wakes_pending--;
        self->dismissed = true;
    }
    return self->dismissed;
}

/* How much of what is left may be slept through in one piece. */
static uint64_t
sleep_by_clock(struct kev_queue *queue, struct kev_waiter *self,
               const struct deadline *deadline, uint64_t left_ns)
{
    if (deadline->clock == CLOCK_REALTIME
        && left_ns != KEVENT_WAIT_FOREVER && !self->watches_wall) {
        self->watches_wall = kev_wall_watch(queue) == 0;
    }
    return deadline->clock == CLOCK_MONOTONIC || self->watches_wall
        || left_ns < CLOCK_SLICE_NS ? left_ns : CLOCK_SLICE_NS;
}

/* Until the waiter has what it wants or there is a reason to leave: 0, or
   -EINTR, -errno. */
static int
waiter_run(struct kev_queue *queue, struct kev_waiter *self,
           const struct deadline *deadline, const sigset_t *sigmask)
{
    bool looked = false;
    for (;;) {
        queue_pump(queue);
        if (!looked && queue->ready.count != 0
            && queue->ready.count < self->max_nr) {
            /* What the kernel knows already comes along. */
            looked = true;
            int r = glance(queue, self);
            if (r < 0 && r != -EINTR) {
                return r;
            }
        }
        line_join(queue, self);
        kev_wait_distribute(queue);
        if (queue->dead) {
            return -EBADF;
        }
        if (self->done || waiter_dismissed(queue, self)) {
            return 0;
        }
        uint64_t left_ns = self->min_nr == 0 ? 0 : deadline_left(deadline);
        if (left_ns == 0) {
            if (looked) {
                return 0;
            }
            looked = true;
            int r = glance(queue, self);
            if (r < 0) {
                return r == -EINTR ? 0 : r;
            }
            continue;
        }
        looked = true;
        left_ns = sleep_by_clock(queue, self, deadline, left_ns);
        kev_queue_settle_clock(queue);
        int r = queue->leader == NULL
            ? sleep_as_leader(queue, self, left_ns, sigmask)
            : sleep_as_follower(queue, self, left_ns, sigmask);
        if (r < 0 && !self->done) {
            return queue->dead ? -EBADF : r;
        }
    }
}

/* The way out: nothing may be left for which nobody is awake. */
static int
waiter_end(struct kev_queue *queue, struct kev_waiter *self, int r)
{
    bool ring_moved = false;
    if (r == 0 && !self->done && !queue->dead
        && !waiter_ring_moved(queue, self)) {
        ring_moved = waiter_take(queue, self);
    }
    line_leave(queue, self);
    if (!queue->dead) {
        if (self->watches_wall) {
            kev_wall_unwatch(queue);
        }
        if (self->dismissed && self->done) {
            /* It came too late for us: somebody else returns instead. */
            kev_wait_wake_one(queue);
        }
        if (ring_moved) {
            kev_wait_distribute(queue);
        }
        if (queue->leader == NULL && queue->waiters != NULL) {
            waiter_wake(queue, queue->waiters);
        }
        else if (queue->leader != NULL && queue->rechecks != NULL) {
            waiter_wake(queue, queue->leader);
        }
        kev_queue_settle(queue);
    }
    waiter_close(queue, self);
    return self->count != 0 ? (int)self->count : r;
}

static int
waiter_wait(struct kev_queue *queue, struct kev_waiter *self,
            uint64_t timeout_ns, unsigned flags, const sigset_t *sigmask)
{
    struct deadline deadline;
    int r = deadline_init(&deadline, timeout_ns, flags);
    if (r < 0) {
        return r;
    }
    kev_queue_ref(queue);
    kev_queue_lock(queue);
    r = kev_queue_usable(queue);
    if (r == 0 && self->ring && (queue->ring.memory == NULL
                                 || self->max_nr > queue->ring.slots)) {
        r = -EINVAL;
    }
    if (r == 0) {
        queue->sleepers++;
        r = waiter_run(queue, self, &deadline, sigmask);
        r = waiter_end(queue, self, r);
        queue->sleepers--;
        if (queue->dead && queue->sleepers == 0) {
            kev_queue_shut(queue);
        }
    }
    kev_queue_unlock(queue);
    kev_queue_unref(queue);
    return r;
}

int
kev_queue_get_events(struct kev_queue *queue, unsigned min_nr,
                     unsigned max_nr, uint64_t timeout_ns,
                     struct ukevent *buf, unsigned flags,
                     const sigset_t *sigmask)
{
    const unsigned known = KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME
        | KEVENT_FLAGS_BOOTTIME;
    if ((flags & ~known) || min_nr > max_nr || max_nr > INT32_MAX) {
        return -EINVAL;
    }
    if (buf == NULL && max_nr != 0) {
        return -EFAULT;
    }
    struct kev_waiter self = {
        .buf = buf,
        .min_nr = min_nr,
        .max_nr = max_nr,
        .fd = -1,
    };
    return waiter_wait(queue, &self, timeout_ns, flags, sigmask);
}

int
kev_queue_wait(struct kev_queue *queue, unsigned num, unsigned seen,
               uint64_t timeout_ns, unsigned flags, const sigset_t *sigmask)
{
    const unsigned known = KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_REALTIME
        | KEVENT_FLAGS_BOOTTIME | KEVENT_FLAGS_SEEN;
    if (flags & ~known) {
        return -EINVAL;
    }
    struct kev_waiter self = {
        .min_nr = 1,
        .max_nr = num,
        .seen = seen,
        .watches_seen = (flags & KEVENT_FLAGS_SEEN) != 0,
        .ring = true,
        .fd = -1,
    };
    return waiter_wait(queue, &self, timeout_ns, flags, sigmask);
}

int
kevent_get_events(struct kev_queue *queue, unsigned min_nr, unsigned max_nr,
                  uint64_t timeout_ns, struct ukevent *buf, unsigned flags,
                  const sigset_t *sigmask)
{
    int r = kev_queue_get_events(queue, min_nr, max_nr, timeout_ns, buf,
                                 flags, sigmask);
    if (r == -EINTR) {
        r = kev_queue_get_events(queue, 0, max_nr, 0, buf, 0, NULL);
    }
    return r;
}

int
kevent_wait(struct kev_queue *queue, unsigned num, unsigned seen,
            uint64_t timeout_ns, unsigned flags, const sigset_t *sigmask)
{
    int r = kev_queue_wait(queue, num, seen, timeout_ns, flags, sigmask);
    if (r == -EINTR) {
        r = kev_queue_wait(queue, num, 0, 0, 0, NULL);
    }
    return r;
}
