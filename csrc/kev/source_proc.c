/*
 * source_proc.c - KEVENT_PROC (extension): a process ends.
 *
 * id.raw[0] is its pid; raw[1] is free.  Any process can be watched.  Of a
 * child of ours the event has KEVENT_PROC_STATUS, and ret_data[1] what wait(2)
 * would say; the child is not reaped: to wait for it is the caller's.  The
 * end is told once, and again after a MODIFY.
 *
 * Each is a pidfd in the set: a process has no other name that cannot be
 * given to the next one meanwhile.  One that ended before ADD, but was not
 * waited for, is told at the next fetch.
 */
#include "kev/queue.h"

#include <errno.h>
#include <limits.h>

#include "kev/sys.h"

static int
proc_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    return wanted->id.raw[0] == 0 || wanted->id.raw[0] > INT_MAX
        ? -EINVAL : 0;
}

static int
proc_start(struct kev_queue *queue, struct kev_note *note)
{
    int fd = kev_sys_pidfd(note->uk.id.raw[0]);
    if (fd < 0) {
        return fd;
    }
    int r = kev_origin_internal(queue, fd, KEV_ORIGIN_PROCESS);
    if (r < 0) {
        (void)kev_sys_close(fd);
        return r;
    }
    kev_origin_at(&queue->registry, (uint32_t)fd)->process = note;
    note->pidfd = fd;
    return 0;
}

static bool
proc_ended(const struct kev_note *note)
{
    struct pollfd fd = {.fd = note->pidfd, .events = POLLIN};
    return kev_sys_poll(&fd, 1, 0, NULL) == 1;
}

static int
proc_change(struct kev_queue *queue, struct kev_note *note)
{
    note->state &= ~KEV_NOTE_DISARMED;
    if (proc_ended(note)) {
        kev_process_ended(queue, note);
    }
    return 0;
}

static void
proc_stop(struct kev_queue *queue, struct kev_note *note)
{
    (void)kev_origin_internal_end(queue, note->pidfd);
}

void
kev_process_ended(struct kev_queue *queue, struct kev_note *note)
{
    int status = 0;
    /* A pidfd tells again when the process is reaped. */
    if ((note->uk.event & KEVENT_PROC_EXIT) == 0
        || (note->state & (KEV_NOTE_QUEUED | KEV_NOTE_DISARMED))) {
        return;
    }
    note->state |= KEV_NOTE_DISARMED;
    note->uk.ret_flags = KEVENT_RET_DONE;
    note->uk.ret_data[0] = KEVENT_PROC_EXIT;
    if (kev_sys_pidfd_status(note->pidfd, note->uk.id.raw[0], &status) == 0) {
        note->uk.ret_data[0] |= KEVENT_PROC_STATUS;
        note->uk.ret_data[1] = (uint32_t)status;
    }
    kev_ready_push(queue, note);
}

static void
proc_discard(struct kev_note *note)
{
    (void)kev_sys_close(note->pidfd);
}

const struct kev_source kev_source_proc = {
    .name = "proc",
    .events_known = KEVENT_PROC_EXIT,
    .has_fd = false,
    .lasting = true,
    .check = proc_check,
    .start = proc_start,
    .change = proc_change,
    .stop = proc_stop,
    .discard = proc_discard,
};
