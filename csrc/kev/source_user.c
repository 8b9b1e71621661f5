/*
 * source_user.c - KEVENT_UNOTIFY: events that the program makes itself.
 *
 * The id is any 64-bit value.  KEVENT_CTL_READY reports it, with the ret_data
 * that came along; so does ADD with ALWAYS_QUEUE.  The id KEV_KNOCK_ID is
 * the one that kev_queue_knock() reports.
 */
#include "kev/queue.h"

#include "kev/owned.h"

static int
user_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    (void)wanted;
    return 0;
}

static int
user_start(struct kev_queue *queue, struct kev_note *note)
{
    if (note->uk.id.raw_u64 == KEV_KNOCK_ID) {
        queue->knock = note;
    }
    if (note->uk.req_flags & KEVENT_REQ_ALWAYS_QUEUE) {
        note->uk.ret_flags = KEVENT_RET_DONE;
        kev_ready_push(queue, note);
    }
    return 0;
}

static int
user_change(struct kev_queue *queue, struct kev_note *note)
{
    (void)queue;
    (void)note;
    return 0;
}

static void
user_stop(struct kev_queue *queue, struct kev_note *note)
{
    if (queue->knock == note) {
        queue->knock = NULL;
    }
}

const struct kev_source kev_source_user = {
    .name = "unotify",
    .events_known = KEVENT_MASK_ALL,
    .has_fd = false,
    .lasting = true,
    .check = user_check,
    .start = user_start,
    .change = user_change,
    .stop = user_stop,
};
