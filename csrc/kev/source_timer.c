/*
 * source_timer.c - KEVENT_TIMER and KEVENT_POSIX_TIMER: a time that comes,
 * once or again and again.
 *
 * A TIMER that kevent_ctl() adds has its interval for an id: raw[0] seconds
 * and raw[1] nanoseconds, on CLOCK_MONOTONIC, first due one interval after
 * ADD and, unless ONESHOT, every interval from then on, without drift.
 * MODIFY starts the interval anew and reports nothing.
 *
 * Those that kevent_timer() adds have any id, a first time and an interval,
 * and a clock.  MODIFY by kevent_ctl() changes what is asked of such a timer,
 * by kevent_timer() when it is due.  A POSIX_TIMER is always one of them:
 * what timer_create(2) and timer_settime(2) would have been asked.
 *
 * ret_data[1] counts the expirations that passed unreported besides the one
 * that is reported.
 *
 * All timers of a queue on CLOCK_MONOTONIC are in one heap, whose first
 * deadline bounds the sleep.  Its timerfd is there for those who poll the
 * queue's descriptor instead of sleeping in it.  The other clocks have a heap
 * and a timerfd each, which alone tells when: a clock that is set tells too.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/sys.h"
#include "kev/wait.h"

/* So late that only the setting of the clock is heard. */
#define WALL_NEVER_NS (UINT64_C(1) << 62)

static struct kev_note *
note_of(struct kev_heap_node *node)
{
    return (struct kev_note *)(void *)((char *)node
                                       - offsetof(struct kev_note, timer));
}

static struct kev_heap *
heap_of(struct kev_queue *queue, uint32_t clock)
{
    return clock == KEV_CLOCK_MONOTONIC
        ? &queue->timers : &queue->walls[clock - KEV_CLOCK_REALTIME].timers;
}

static clockid_t
clock_id(uint32_t clock)
{
    return clock == KEV_CLOCK_REALTIME ? CLOCK_REALTIME
        : clock == KEV_CLOCK_BOOTTIME ? CLOCK_BOOTTIME : CLOCK_MONOTONIC;
}

/* The heap's timerfd, if it is not there yet. */
static int
clock_open(struct kev_queue *queue, uint32_t clock)
{
    int *place = clock == KEV_CLOCK_MONOTONIC
        ? &queue->clock_fd : &queue->walls[clock - KEV_CLOCK_REALTIME].fd;
    if (*place >= 0) {
        return 0;
    }
    int fd = kev_sys_timerfd(clock_id(clock));
    if (fd < 0) {
        return fd;
    }
    enum kev_origin_kind kind = clock == KEV_CLOCK_MONOTONIC
        ? KEV_ORIGIN_CLOCK : clock == KEV_CLOCK_REALTIME
        ? KEV_ORIGIN_REALTIME : KEV_ORIGIN_BOOTTIME;
    int r = kev_origin_internal(queue, fd, kind);
    if (r < 0) {
        (void)kev_sys_close(fd);
        return r;
    }
    *place = fd;
    return 0;
}

/* ---- control ---- */

static int
timer_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    const uint32_t *raw = wanted->id.raw;
    if (queue->timing != NULL) {
        return 0;
    }
    const struct kev_note *note =
        kev_registry_find(&queue->registry, &kev_source_timer, wanted->type,
                          wanted->id.raw_u64);
    if (note != NULL && (note->state & KEV_NOTE_TIMED)) {
        return 0;
    }
    /* POSIX_TIMER: kevent_timer() alone knows when. */
    return wanted->type != KEVENT_TIMER || raw[1] >= KEV_NSEC_PER_SEC
        || (raw[0] | raw[1]) == 0 ? -EINVAL : 0;
}

static uint64_t
time_after(uint64_t now_ns, uint64_t wait_ns)
{
    const uint64_t last_ns = UINT64_MAX - 1;
    return wait_ns < last_ns - now_ns ? now_ns + wait_ns : last_ns;
}

static struct kev_timing
timing_of(const struct kev_queue *queue, const struct kev_note *note)
{
    struct kev_timing timing;
    if (queue->timing != NULL) {
        timing = *queue->timing;
    }
    else {
        timing = (struct kev_timing){
            .interval_ns = note->uk.id.raw[0] * KEV_NSEC_PER_SEC
                + note->uk.id.raw[1],
        };
    }
    if (timing.clock == KEV_CLOCK_REALTIME && !timing.absolute) {
        /* Setting the clock does not change how long something takes. */
        timing.clock = KEV_CLOCK_MONOTONIC;
    }
    return timing;
}

/* Into the heap, also from another one; on failure nothing has changed. */
static int
timer_start(struct kev_queue *queue, struct kev_note *note)
{
    const struct kev_timing timing = timing_of(queue, note);
    struct kev_heap *heap = heap_of(queue, timing.clock);
    int r = clock_open(queue, timing.clock);
    if (r == 0) {
        r = kev_heap_reserve(heap, heap->count + 1);
    }
    if (r < 0) {
        return r;
    }
    kev_heap_remove(heap_of(queue, note->clock), &note->timer);
    note->clock = timing.clock;
    note->interval_ns = timing.interval_ns;
    note->state &= ~KEV_NOTE_TIMED;
    if (queue->timing != NULL) {
        note->state |= KEV_NOTE_TIMED;
    }
    uint64_t wait_ns =
        timing.initial_ns != 0 ? timing.initial_ns : timing.interval_ns;
    if (wait_ns == 0) {
        return 0;
    }
    note->timer.deadline_ns = timing.absolute && timing.initial_ns != 0
        ? timing.initial_ns
        : time_after(kev_sys_now(clock_id(timing.clock)), wait_ns);
    /* Cannot fail: it has a place. */
    return kev_heap_push(heap, &note->timer);
}

static void
timer_stop(struct kev_queue *queue, struct kev_note *note)
{
    kev_heap_remove(heap_of(queue, note->clock), &note->timer);
}

static int
timer_change(struct kev_queue *queue, struct kev_note *note)
{
    if ((note->state & KEV_NOTE_TIMED) && queue->timing == NULL) {
        return 0;
    }
    return timer_start(queue, note);
}

/* ---- reports ---- */

static void
timer_report(struct kev_queue *queue, struct kev_note *note, uint64_t missed)
{
    if ((note->uk.event & KEVENT_TIMER_FIRED) == 0) {
        return;
    }
    uint64_t overruns = note->uk.ret_data[1] + missed;
    if (note->state & KEV_NOTE_QUEUED) {
        overruns++;
    }
    note->uk.ret_flags |= KEVENT_RET_DONE;
    note->uk.ret_data[0] = KEVENT_TIMER_FIRED;
    note->uk.ret_data[1] =
        overruns > UINT32_MAX ? UINT32_MAX : (uint32_t)overruns;
    if ((note->state & KEV_NOTE_QUEUED) == 0) {
        kev_ready_push(queue, note);
    }
}

static void
heap_fire(struct kev_queue *queue, struct kev_heap *heap, uint64_t now_ns)
{
    while (kev_heap_deadline(heap) <= now_ns) {
        struct kev_heap_node *node = kev_heap_first(heap);
        struct kev_note *note = note_of(node);
        uint64_t missed = 0;
        kev_heap_remove(heap, node);
        if (note->interval_ns != 0
            && (note->uk.req_flags & KEVENT_REQ_ONESHOT) == 0) {
            missed = (now_ns - node->deadline_ns) / note->interval_ns;
            node->deadline_ns = time_after(
                node->deadline_ns + missed * note->interval_ns,
                note->interval_ns);
            /* Cannot fail: it has just left its place. */
            (void)kev_heap_push(heap, node);
        }
        timer_report(queue, note, missed);
    }
}

void
kev_timers_fire(struct kev_queue *queue, uint64_t now_ns)
{
    heap_fire(queue, &queue->timers, now_ns);
}

void
kev_walls_settle(struct kev_queue *queue)
{
    for (int i = 0; i < KEV_WALLS; i++) {
        struct kev_wall *wall = &queue->walls[i];
        uint64_t deadline_ns = wall->timers.count != 0
            ? kev_heap_deadline(&wall->timers)
            : wall->watchers != 0 ? WALL_NEVER_NS : 0;
        if (wall->fd < 0 || deadline_ns == wall->armed_ns) {
            continue;
        }
        int r = i == KEV_CLOCK_REALTIME - 1
            ? kev_sys_timerfd_set_wall(wall->fd, deadline_ns)
            : kev_sys_timerfd_set(wall->fd, deadline_ns);
        if (r == 0) {
            wall->armed_ns = deadline_ns;
        }
    }
}

void
kev_wall_heard(struct kev_queue *queue, enum kev_clock clock)
{
    struct kev_wall *wall = &queue->walls[clock - KEV_CLOCK_REALTIME];
    wall->armed_ns = 0;
    heap_fire(queue, &wall->timers, kev_sys_now(clock_id(clock)));
    kev_wait_wall_heard(queue);
    kev_walls_settle(queue);
    if (wall->timers.count != 0 && wall->armed_ns == 0) {
        kev_origin_retell(queue, wall->fd);
    }
}

int
kev_wall_watch(struct kev_queue *queue)
{
    int r = clock_open(queue, KEV_CLOCK_REALTIME);
    if (r == 0) {
        queue->walls[0].watchers++;
        kev_walls_settle(queue);
    }
    return r;
}

void
kev_wall_unwatch(struct kev_queue *queue)
{
    queue->walls[0].watchers--;
    kev_walls_settle(queue);
}

const struct kev_source kev_source_timer = {
    .name = "timer",
    .events_known = KEVENT_TIMER_FIRED,
    .has_fd = false,
    .check = timer_check,
    .start = timer_start,
    .change = timer_change,
    .stop = timer_stop,
};

const struct kev_source kev_source_posix_timer = {
    .name = "posix_timer",
    .events_known = KEVENT_MASK_ALL,
    .has_fd = false,
    .check = timer_check,
    .start = timer_start,
    .change = timer_change,
    .stop = timer_stop,
};
