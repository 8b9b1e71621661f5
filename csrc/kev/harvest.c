/*
 * harvest.c - from what epoll tells to kevents.
 *
 * Who is alone with the queue, its owner or the only one who waits, has the
 * short way: an event of a descriptor with one kevent and a plain mode becomes
 * a ring entry, or a record in his buffer, with two look-ups and one copy of
 * 40 bytes.  Everything else, and everything when somebody is queued already
 * (order is kept), goes over the ready list.
 */
#include "kev/queue.h"

#include "kev/sys.h"

static void
note_report(struct kev_queue *queue, struct kev_origin *origin,
            struct kev_note *note, uint32_t events)
{
    uint32_t happened = events & note->watch;
    if (happened == 0 || (note->state & KEV_NOTE_DISARMED)
        || !note->source->fire(&note->uk, happened)) {
        return;
    }
    if (note->state & KEV_NOTE_QUEUED) {
        kev_origin_mute(queue, origin);
        return;
    }
    kev_ready_push(queue, note);
    if (note->uk.ret_flags & KEVENT_RET_BROKEN) {
        kev_origin_disarm(queue, note);
    }
}

/* Several knocks are one event. */
static void
bell_heard(struct kev_queue *queue)
{
    queue->bell_rung = false;
    if (__atomic_exchange_n(&queue->knocked, 0, __ATOMIC_ACQ_REL) == 0
        || queue->knock == NULL) {
        return;
    }
    queue->knock->uk.ret_flags |= KEVENT_RET_DONE;
    if ((queue->knock->state & KEV_NOTE_QUEUED) == 0) {
        kev_ready_push(queue, queue->knock);
    }
}

static void
event_sort(struct kev_queue *queue, struct kev_origin *origin,
           uint32_t events)
{
    switch ((enum kev_origin_kind)origin->kind) {
    case KEV_ORIGIN_NOTES:
        for (struct kev_note *note = origin->notes; note != NULL;
             note = note->next) {
            note_report(queue, origin, note, events);
        }
        break;
    case KEV_ORIGIN_BELL:
        bell_heard(queue);
        break;
    case KEV_ORIGIN_CLOCK:
        /* It only made us look; the heap knows what is due. */
        queue->clock_armed_ns = 0;
        break;
    case KEV_ORIGIN_REALTIME:
        kev_wall_heard(queue, KEV_CLOCK_REALTIME);
        break;
    case KEV_ORIGIN_BOOTTIME:
        kev_wall_heard(queue, KEV_CLOCK_BOOTTIME);
        break;
    case KEV_ORIGIN_SIGNALS:
        kev_signals_read(queue);
        break;
    case KEV_ORIGIN_INODES:
        kev_inodes_read(queue);
        break;
    case KEV_ORIGIN_PROCESS:
        kev_process_ended(queue, origin->process);
        break;
    }
}

void
kev_harvest(struct kev_queue *queue, const struct epoll_event *events,
            int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        struct kev_origin *origin =
            kev_origin_at(&queue->registry, (uint32_t)data);
        if (origin->generation == (uint32_t)(data >> 32)) {
            event_sort(queue, origin, events[i].events);
        }
    }
}

/* The event bits that the source reads out of epoll's, 0: no news.  Only for
   what needs no system call. */
static inline uint32_t
fast_bits(const struct ukevent *fast, uint32_t events)
{
    if (fast->type == KEVENT_POLL) {
        return events & fast->ret_data[0];
    }
    uint32_t in = events & EPOLLIN
        ? KEVENT_SOCKET_RECV | KEVENT_SOCKET_ACCEPT : 0;
    uint32_t out = events & EPOLLOUT ? KEVENT_SOCKET_SEND : 0;
    return fast->event & (in | out);
}

static inline bool
fast_allowed(const struct ukevent *fast, uint32_t events)
{
    return fast->ret_data[0] != 0
        && (fast->type == KEVENT_POLL
            || (events & (EPOLLERR | EPOLLHUP)) == 0);
}

/* One event on the short way, into the slot; whether it is filled. */
static inline bool
fast_fill(struct ukevent *slot, const struct ukevent *fast, uint32_t events)
{
    uint32_t bits = fast_bits(fast, events);
    if (bits == 0) {
        return false;
    }
    *slot = *fast;
    slot->ret_data[0] = bits;
    return true;
}

int
kev_harvest_to_ring(struct kev_queue *queue, const struct epoll_event *events,
                    int count, uint32_t limit)
{
    struct kev_ring *ring = &queue->ring;
    uint64_t start = ring->produced;
    uint32_t room = kev_ring_room(ring);
    uint64_t stop = start + (room < limit ? room : limit);
    bool direct = true;
    if (queue->ready.count != 0) {
        /* What was queued before may be among it, and is told once. */
        kev_harvest(queue, events, count);
        (void)kev_ready_to_ring(queue, (uint32_t)(stop - start));
        count = 0;
    }
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        uint32_t happened = events[i].events;
        struct kev_origin *origin =
            kev_origin_at(&queue->registry, (uint32_t)data);
        if (__builtin_expect(origin->generation != data >> 32, 0)) {
            continue;
        }
        if (direct && fast_allowed(&origin->fast, happened)
            && ring->produced != stop) {
            if (fast_fill(kev_ring_slot(ring), &origin->fast, happened)) {
                kev_ring_advance(ring);
            }
            continue;
        }
        event_sort(queue, origin, happened);
        (void)kev_ready_to_ring(queue, (uint32_t)(stop - ring->produced));
        direct = queue->ready.count == 0;
    }
    int filled = (int)(ring->produced - start);
    if (filled != 0) {
        kev_ring_publish(ring);
    }
    return filled;
}

uint32_t
kev_harvest_to_buf(struct kev_queue *queue, const struct epoll_event *events,
                   int count, struct ukevent *buf, uint32_t max)
{
    uint32_t filled = 0;
    bool direct = true;
    if (queue->ready.count != 0) {
        kev_harvest(queue, events, count);
        while (filled != max && kev_ready_take(queue, &buf[filled])) {
            filled++;
        }
        count = 0;
    }
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        uint32_t happened = events[i].events;
        struct kev_origin *origin =
            kev_origin_at(&queue->registry, (uint32_t)data);
        if (__builtin_expect(origin->generation != data >> 32, 0)) {
            continue;
        }
        if (direct && filled != max && fast_allowed(&origin->fast, happened)) {
            filled += fast_fill(&buf[filled], &origin->fast, happened);
            continue;
        }
        event_sort(queue, origin, happened);
        while (filled != max && kev_ready_take(queue, &buf[filled])) {
            filled++;
        }
        direct = queue->ready.count == 0;
    }
    return filled;
}
