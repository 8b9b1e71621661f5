/*
 * source_timer.c - KEVENT_TIMER: an interval that passes, once or again and
 * again.
 *
 * The id is the interval: raw[0] seconds and raw[1] nanoseconds, on
 * CLOCK_MONOTONIC, first due one interval after ADD and, unless ONESHOT,
 * every interval from then on, without drift.  ret_data[1] counts the
 * expirations that passed unreported besides the one that is reported.
 * MODIFY starts the interval anew and reports nothing.
 *
 * All timers of a queue are in one heap, whose first deadline bounds the
 * sleep.  The one timerfd is there for those who poll the queue's descriptor
 * instead of sleeping in it.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/sys.h"

static struct kev_note *
note_of(struct kev_heap_node *node)
{
    return (struct kev_note *)(void *)((char *)node
                                       - offsetof(struct kev_note, timer));
}

static int
timer_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    const uint32_t *raw = wanted->id.raw;
    return raw[1] >= KEV_NSEC_PER_SEC || (raw[0] | raw[1]) == 0 ? -EINVAL : 0;
}

static int
clock_open(struct kev_queue *queue)
{
    if (queue->clock_fd >= 0) {
        return 0;
    }
    int fd = kev_sys_timerfd();
    if (fd < 0) {
        return fd;
    }
    int r = kev_origin_internal(queue, fd, KEV_ORIGIN_CLOCK);
    if (r < 0) {
        (void)kev_sys_close(fd);
        return r;
    }
    queue->clock_fd = fd;
    queue->clock_armed_ns = 0;
    return 0;
}

static int
timer_start(struct kev_queue *queue, struct kev_note *note)
{
    int r = clock_open(queue);
    if (r < 0) {
        return r;
    }
    note->interval_ns = note->uk.id.raw[0] * KEV_NSEC_PER_SEC
        + note->uk.id.raw[1];
    note->timer.deadline_ns =
        kev_sys_now(CLOCK_MONOTONIC) + note->interval_ns;
    return kev_heap_push(&queue->timers, &note->timer);
}

static void
timer_stop(struct kev_queue *queue, struct kev_note *note)
{
    kev_heap_remove(&queue->timers, &note->timer);
}

static int
timer_change(struct kev_queue *queue, struct kev_note *note)
{
    int r = kev_heap_reserve(&queue->timers, queue->timers.count + 1);
    if (r < 0) {
        return r;
    }
    kev_heap_remove(&queue->timers, &note->timer);
    return timer_start(queue, note);
}

void
kev_timers_fire(struct kev_queue *queue, uint64_t now_ns)
{
    while (kev_heap_deadline(&queue->timers) <= now_ns) {
        struct kev_heap_node *node = kev_heap_first(&queue->timers);
        struct kev_note *note = note_of(node);
        uint64_t missed = (now_ns - node->deadline_ns) / note->interval_ns;
        kev_heap_remove(&queue->timers, node);
        if (note->uk.req_flags & KEVENT_REQ_ONESHOT) {
            missed = 0;
        }
        else {
            node->deadline_ns += (missed + 1) * note->interval_ns;
            /* Cannot fail: it has just left its place. */
            (void)kev_heap_push(&queue->timers, node);
        }
        if ((note->uk.event & KEVENT_TIMER_FIRED) == 0) {
            continue;
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
