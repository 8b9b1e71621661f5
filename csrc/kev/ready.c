/*
 * ready.c - the list of kevents that have something to report.
 *
 * First in, first out; a kevent is on it once, and what happens meanwhile is
 * collected in its ret_data.  Leaving the list is where the modes differ:
 * ONESHOT ends, LAST_CHECK looks again, a level that epoll does not keep is
 * noted for another look before the next sleep.
 */
#include "kev/queue.h"

#include "kev/sys.h"

void
kev_ready_push(struct kev_queue *queue, struct kev_note *note)
{
    struct kev_ready_list *ready = &queue->ready;
    note->state |= KEV_NOTE_QUEUED;
    note->ready_next = NULL;
    note->ready_prev = ready->last;
    if (ready->last == NULL) {
        ready->first = note;
    }
    else {
        ready->last->ready_next = note;
    }
    ready->last = note;
    ready->count++;
}

void
kev_ready_remove(struct kev_queue *queue, struct kev_note *note)
{
    struct kev_ready_list *ready = &queue->ready;
    if ((note->state & KEV_NOTE_QUEUED) == 0) {
        return;
    }
    if (note->ready_prev == NULL) {
        ready->first = note->ready_next;
    }
    else {
        note->ready_prev->ready_next = note->ready_next;
    }
    if (note->ready_next == NULL) {
        ready->last = note->ready_prev;
    }
    else {
        note->ready_next->ready_prev = note->ready_prev;
    }
    note->ready_next = NULL;
    note->ready_prev = NULL;
    note->state &= ~(KEV_NOTE_QUEUED | KEV_NOTE_FORCED);
    ready->count--;
}

/* ---- levels beside other modes ---- */

static void
recheck_add(struct kev_queue *queue, struct kev_note *note)
{
    if ((note->state & KEV_NOTE_RECHECK) == 0) {
        note->state |= KEV_NOTE_RECHECK;
        note->recheck_next = queue->rechecks;
        queue->rechecks = note;
    }
}

void
kev_recheck_remove(struct kev_queue *queue, struct kev_note *note)
{
    if ((note->state & KEV_NOTE_RECHECK) == 0) {
        return;
    }
    struct kev_note **link = &queue->rechecks;
    while (*link != note) {
        link = &(*link)->recheck_next;
    }
    *link = note->recheck_next;
    note->recheck_next = NULL;
    note->state &= ~KEV_NOTE_RECHECK;
}

/* What poll(2) says of the note's descriptor right now; -errno. */
static int
note_poll(const struct kev_note *note)
{
    struct pollfd fd = {
        .fd = kev_note_fd(note),
        .events = (short)note->watch,
    };
    int r = kev_sys_poll(&fd, 1, 0, NULL);
    return r < 0 ? r : (unsigned short)fd.revents;
}

void
kev_recheck(struct kev_queue *queue)
{
    struct kev_note *note = queue->rechecks;
    struct kev_note *again = NULL;
    queue->rechecks = NULL;
    while (note != NULL) {
        struct kev_note *next = note->recheck_next;
        int happened = note->state & KEV_NOTE_QUEUED ? 0 : note_poll(note);
        if (happened < 0) {
            note->recheck_next = again;
            again = note;
        }
        else {
            note->recheck_next = NULL;
            note->state &= ~KEV_NOTE_RECHECK;
            uint32_t bits = (uint32_t)happened & note->watch;
            if (bits != 0 && note->source->fire(&note->uk, bits)) {
                kev_ready_push(queue, note);
            }
        }
        note = next;
    }
    queue->rechecks = again;
}

/* ---- taking ---- */

static void
note_reset(struct kev_note *note)
{
    note->uk.ret_flags = 0;
    note->uk.ret_data[0] = 0;
    note->uk.ret_data[1] = 0;
}

/* LAST_CHECK: is it still so?  Unknown counts as yes. */
static bool
note_still(struct kev_note *note)
{
    if (!note->source->has_fd || (note->state & KEV_NOTE_FORCED)
        || (note->uk.ret_flags & KEVENT_RET_BROKEN)
        || (note->uk.req_flags & KEVENT_REQ_LAST_CHECK) == 0) {
        return true;
    }
    int happened = note_poll(note);
    if (happened < 0) {
        return true;
    }
    note_reset(note);
    uint32_t bits = (uint32_t)happened & note->watch;
    return bits != 0 && note->source->fire(&note->uk, bits);
}

/* The note stays registered: see that it will report again. */
static void
note_resume(struct kev_queue *queue, struct kev_note *note)
{
    note_reset(note);
    if (note->source->again != NULL) {
        note->source->again(queue, note);
    }
    if (!note->source->has_fd || (note->state & KEV_NOTE_DISARMED)
        || (note->uk.req_flags & KEVENT_REQ_LEVEL) == 0) {
        return;
    }
    struct kev_origin *origin =
        kev_origin_at(&queue->registry, note->uk.id.raw[0]);
    kev_origin_unmute(queue, origin);
    if (!kev_origin_keeps_level(origin)) {
        recheck_add(queue, note);
    }
}

void
kev_ready_count(struct ukevent *uk, const struct kev_source *source)
{
    if ((uk->req_flags & KEVENT_REQ_COUNT) && source->has_fd
        && (uk->ret_flags & KEVENT_RET_BROKEN) == 0) {
        /* What cannot say so has 0 there, as it has without the flag. */
        (void)kev_sys_unread((int)uk->id.raw[0], &uk->ret_data[1]);
    }
}

bool
kev_ready_take(struct kev_queue *queue, struct ukevent *out)
{
    while (queue->ready.count != 0) {
        struct kev_note *note = queue->ready.first;
        bool still = note_still(note);
        kev_ready_remove(queue, note);
        if (note->source->take != NULL) {
            note->source->take(queue, note);
        }
        if (still) {
            *out = note->uk;
            kev_ready_count(out, note->source);
        }
        if (still && ((note->state & KEV_NOTE_ORPHAN)
                      || (note->uk.req_flags & KEVENT_REQ_ONESHOT))) {
            (void)kev_note_drop(queue, note);
        }
        else if (still) {
            note_resume(queue, note);
        }
        else {
            note_reset(note);
            if (note->uk.req_flags & KEVENT_REQ_ONESHOT) {
                (void)kev_origin_update(queue, note);
            }
        }
        if (still) {
            return true;
        }
    }
    return false;
}

uint32_t
kev_ready_to_ring(struct kev_queue *queue, uint32_t count)
{
    struct kev_ring *ring = &queue->ring;
    uint32_t room = kev_ring_room(ring);
    uint32_t moved = 0;
    if (count > room) {
        count = room;
    }
    while (moved < count && kev_ready_take(queue, kev_ring_slot(ring))) {
        kev_ring_advance(ring);
        moved++;
    }
    return moved;
}
