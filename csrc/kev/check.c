/*
 * check.c - do the parts of a queue agree?  For tests and debug builds.
 *
 * Every relation that the rest of the core relies on without looking is
 * stated here once.  The answer is the line of the first that does not hold.
 */
#include "kev/queue.h"

#ifdef KEV_DEBUG

struct census {
    const struct kev_queue *queue;
    uint32_t notes;
    uint32_t queued;
    uint32_t rechecks;
    uint32_t timers;
    uint32_t waiting;     /* records, */
    uint32_t behind;      /* but the first of each note */
    bool knock_found;
    int line;
};

#define AGREE(census, condition)                       \
    do {                                               \
        if (!(condition) && (census)->line == 0) {     \
            (census)->line = __LINE__;                 \
        }                                              \
    } while (0)

static void
check_ready(struct census *census)
{
    const struct kev_ready_list *ready = &census->queue->ready;
    const struct kev_note *previous = NULL;
    uint32_t count = 0;
    for (const struct kev_note *note = ready->first; note != NULL;
         note = note->ready_next) {
        AGREE(census, note->ready_prev == previous);
        AGREE(census, note->state & KEV_NOTE_QUEUED);
        AGREE(census, note->uk.ret_flags & KEVENT_RET_DONE);
        if (note->state & KEV_NOTE_ORPHAN) {
            census->queued++;
        }
        previous = note;
        count++;
    }
    AGREE(census, ready->last == previous);
    AGREE(census, ready->count == count);
}

static void
check_rechecks(struct census *census)
{
    for (const struct kev_note *note = census->queue->rechecks; note != NULL;
         note = note->recheck_next) {
        AGREE(census, note->state & KEV_NOTE_RECHECK);
        AGREE(census, note->source->has_fd);
        census->rechecks++;
    }
}

static void
check_heap(struct census *census, const struct kev_heap *heap)
{
    AGREE(census, heap->count <= heap->capacity);
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct kev_heap_item *item = &heap->items[i];
        AGREE(census, item->node->index == i);
        AGREE(census, item->node->deadline_ns == item->deadline_ns);
        AGREE(census, i == 0 || !kev_heap_before(
            item, &heap->items[(i - 1) / KEV_HEAP_FANOUT]));
    }
}

static void
check_ring(struct census *census)
{
    const struct kev_ring *ring = &census->queue->ring;
    if (ring->memory == NULL) {
        AGREE(census, ring->slots == 0 && ring->produced == ring->consumed);
        return;
    }
    AGREE(census, ring->produced - ring->consumed <= ring->slots);
    AGREE(census, ring->kidx == ring->produced % ring->slots);
    AGREE(census, ring->uidx == ring->consumed % ring->slots);
    AGREE(census, ring->over == (uint32_t)(ring->consumed / ring->slots));
}

static void
check_backlog(struct census *census, const struct kev_record *last)
{
    const struct kev_record *record = last;
    do {
        census->waiting++;
        census->behind += record != last;
        record = record->next;
    } while (record != last);
}

static void
check_note(struct census *census, const struct kev_note *note)
{
    const uint32_t ret = note->uk.ret_flags | note->uk.ret_data[0]
        | note->uk.ret_data[1];
    census->notes++;
    AGREE(census, note->source == kev_source_of(note->uk.type));
    AGREE(census, (note->state & KEV_NOTE_ORPHAN) == 0);
    if (note->source->take == kev_record_take && note->backlog != NULL) {
        AGREE(census, note->state & KEV_NOTE_QUEUED);
        check_backlog(census, note->backlog);
    }
    census->queued += (note->state & KEV_NOTE_QUEUED) != 0;
    census->timers += note->timer.index != KEV_HEAP_OUTSIDE;
    census->knock_found |= note == census->queue->knock;
    /* The short way copies the record as it is. */
    AGREE(census, (note->state & KEV_NOTE_QUEUED) || ret == 0);
    AGREE(census, kev_registry_find(&census->queue->registry, note->source,
                                    note->uk.type, note->uk.id.raw_u64)
                      == note);
}

static void
check_origin(struct census *census, const struct kev_origin *origin,
             uint32_t fd)
{
    uint32_t active = 0;
    const struct kev_note *note =
        origin->kind == KEV_ORIGIN_NOTES ? origin->notes : NULL;
    for (; note != NULL; note = note->next) {
        AGREE(census, note->source->has_fd && note->uk.id.raw[0] == fd);
        active += (note->state & KEV_NOTE_DISARMED) == 0;
        check_note(census, note);
    }
    if (origin->kind == KEV_ORIGIN_NOTES) {
        AGREE(census, (origin->armed != 0) == (active != 0));
        AGREE(census, origin->armed == 0 || origin->generation != 0);
    }
    else {
        AGREE(census, (origin->notes != NULL)
                          == (origin->kind == KEV_ORIGIN_PROCESS));
        AGREE(census, origin->armed != 0);
    }
    const struct ukevent *fast = &origin->fast;
    if (fast->ret_data[0] != 0) {
        note = origin->notes;
        AGREE(census, active == 1 && note->next == NULL);
        AGREE(census, fast->ret_data[0] == note->watch
                          && fast->ret_flags == KEVENT_RET_DONE
                          && fast->id.raw_u64 == note->uk.id.raw_u64
                          && fast->type == note->uk.type
                          && fast->event == note->uk.event
                          && fast->req_flags == note->uk.req_flags
                          && fast->user_u64 == note->uk.user_u64);
    }
    AGREE(census, !origin->muted || active != 0);
}

int
kev_queue_check(const struct kev_queue *queue)
{
    const struct kev_registry *registry = &queue->registry;
    struct census census = {.queue = queue};
    uint32_t hashed = 0;
    uint32_t timers = queue->timers.count;
    check_ready(&census);
    check_rechecks(&census);
    check_heap(&census, &queue->timers);
    for (int i = 0; i < KEV_WALLS; i++) {
        check_heap(&census, &queue->walls[i].timers);
        timers += queue->walls[i].timers.count;
    }
    check_ring(&census);
    for (uint32_t i = 0; i < registry->buckets_count; i++) {
        for (const struct kev_note *note = registry->buckets[i]; note != NULL;
             note = note->next) {
            AGREE(&census, !note->source->has_fd);
            check_note(&census, note);
            hashed++;
        }
    }
    for (uint32_t i = 0; i < registry->pages_count; i++) {
        for (uint32_t k = 0; registry->pages[i] != NULL
             && k < KEV_PAGE_ORIGINS; k++) {
            check_origin(&census, &registry->pages[i][k],
                         i * KEV_PAGE_ORIGINS + k);
        }
    }
    AGREE(&census, registry->hashed == hashed);
    AGREE(&census, registry->count == census.notes);
    AGREE(&census, queue->ready.count == census.queued);
    AGREE(&census, timers == census.timers);
    AGREE(&census, queue->records.waiting == census.waiting);
    AGREE(&census, queue->records.behind == census.behind);
    AGREE(&census, queue->knock == NULL || census.knock_found);
    return census.line;
}

#else

/* An empty file is no C. */
typedef int kev_check_is_for_debug_builds;

#endif
