/*
 * origin.c - one entry in the epoll set for all kevents of a descriptor.
 *
 * The entry asks for the union of what its kevents watch, and what it tells
 * is split again by harvest.c.  One kevent alone gets its own mode from
 * epoll: EPOLLET for the default and ET, EPOLLONESHOT for ONESHOT, nothing
 * for LEVEL.  Kevents of different modes share an edge-triggered entry, and
 * the levels among them are looked at with poll(2) after each delivery (see
 * ready.c).
 *
 * A descriptor can be closed behind our back and its number given to another
 * file.  epoll tells: the number's entry is keyed by the file too, so MOD
 * answers -ENOENT and ADD succeeds.  Whoever finds that out orphans the notes
 * of the dead file; each reports BROKEN once and is gone.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/sys.h"

static bool
note_active(const struct kev_note *note)
{
    return (note->state & KEV_NOTE_DISARMED) == 0;
}

/* The epoll bits and modes for all active notes, and extra if not NULL. */
static uint32_t
origin_wants(const struct kev_origin *origin, const struct kev_note *extra)
{
    uint32_t watch = 0;
    uint32_t flags_any = 0;
    uint32_t flags_all = ~0u;
    unsigned count = 0;
    const struct kev_note *note = origin->notes;
    while (note != NULL || extra != NULL) {
        const struct kev_note *current = note;
        if (note != NULL) {
            note = note->next;
        }
        else {
            current = extra;
            extra = NULL;
        }
        if (note_active(current)) {
            watch |= current->watch;
            flags_any |= current->uk.req_flags;
            flags_all &= current->uk.req_flags;
            count++;
        }
    }
    if (count == 0) {
        return 0;
    }
    if (count == 1 && (flags_any & KEVENT_REQ_ONESHOT)) {
        return watch | EPOLLONESHOT;
    }
    return (flags_all & KEVENT_REQ_LEVEL) ? watch : watch | EPOLLET;
}

/* What may go from the kernel to the ring without another look. */
static void
origin_refresh(struct kev_origin *origin)
{
    struct kev_note *note = origin->notes;
    const uint32_t slow = KEVENT_REQ_ONESHOT | KEVENT_REQ_LAST_CHECK
        | KEVENT_REQ_COUNT;
    bool fast = note != NULL && note->next == NULL && note_active(note)
        && (note->uk.req_flags & slow) == 0;
    origin->fast = (struct ukevent){.type = 0};
    if (fast) {
        origin->fast = note->uk;
        origin->fast.ret_flags = KEVENT_RET_DONE;
        origin->fast.ret_data[0] = note->watch;
        origin->fast.ret_data[1] = 0;
    }
}

static int
origin_entry(struct kev_queue *queue, int op, int fd, uint32_t events,
             uint32_t generation)
{
    return kev_sys_epoll_ctl(queue->epfd, op, fd, events,
                             (uint64_t)generation << 32 | (uint32_t)fd);
}

/* A new entry, under a new generation. */
static int
origin_enter(struct kev_queue *queue, struct kev_origin *origin, int fd,
             uint32_t wants)
{
    uint32_t generation = queue->generation + 1;
    generation += generation == 0;
    int r = origin_entry(queue, EPOLL_CTL_ADD, fd, wants, generation);
    if (r == -EEXIST) {
        /* Left by a number that was closed while a duplicate of its file
           lived, and that now names that file again. */
        r = origin_entry(queue, EPOLL_CTL_MOD, fd, wants, generation);
    }
    if (r < 0) {
        return r;
    }
    queue->generation = generation;
    origin->generation = generation;
    origin->armed = wants;
    origin->muted = false;
    return 0;
}

/* The file of these notes is gone. */
static void
origin_orphan(struct kev_queue *queue, struct kev_origin *origin,
              const struct ukevent *spare)
{
    struct kev_note *note = origin->notes;
    origin->notes = NULL;
    origin->fast.ret_data[0] = 0;
    origin->armed = 0;
    origin->muted = false;
    while (note != NULL) {
        struct kev_note *next = note->next;
        bool same_key = spare != NULL && note->uk.type == spare->type
            && note->uk.id.raw_u64 == spare->id.raw_u64;
        note->next = NULL;
        queue->registry.count--;
        kev_recheck_remove(queue, note);
        bool told = !note_active(note)
            && (note->state & KEV_NOTE_QUEUED) == 0;
        if (same_key || told) {
            kev_ready_remove(queue, note);
            kev_note_free(&queue->registry, note);
        }
        else {
            if (note_active(note)) {
                note->uk.ret_flags = KEVENT_RET_BROKEN | KEVENT_RET_DONE;
                note->uk.ret_data[1] = (uint32_t)-EBADF;
            }
            note->state |= KEV_NOTE_ORPHAN | KEV_NOTE_FORCED;
            if ((note->state & KEV_NOTE_QUEUED) == 0) {
                kev_ready_push(queue, note);
            }
        }
        note = next;
    }
}

int
kev_origin_internal(struct kev_queue *queue, int fd,
                    enum kev_origin_kind kind)
{
    struct kev_origin *origin = kev_registry_origin(&queue->registry, fd);
    if (origin == NULL) {
        return -ENOMEM;
    }
    /* Whatever was registered under this number was closed to free it. */
    origin_orphan(queue, origin, NULL);
    int r = origin_enter(queue, origin, fd, EPOLLIN | EPOLLET);
    if (r == 0) {
        origin->kind = (uint8_t)kind;
    }
    return r;
}

void
kev_origin_retell(struct kev_queue *queue, int fd)
{
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    (void)origin_entry(queue, EPOLL_CTL_MOD, fd, origin->armed,
                       origin->generation);
}

int
kev_origin_internal_end(struct kev_queue *queue, int fd)
{
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    int r = origin_entry(queue, EPOLL_CTL_DEL, fd, 0, 0);
    origin->kind = KEV_ORIGIN_NOTES;
    origin->notes = NULL;
    origin->generation = 0;
    origin->armed = 0;
    (void)kev_sys_close(fd);
    return r;
}

int
kev_origin_attach(struct kev_queue *queue, struct kev_note *note)
{
    int fd = kev_note_fd(note);
    struct kev_origin *origin = kev_registry_origin(&queue->registry, fd);
    if (origin == NULL) {
        return -ENOMEM;
    }
    if (origin->kind != KEV_ORIGIN_NOTES) {
        return -EINVAL;
    }
    int r = -ENOENT;
    if (origin->armed != 0) {
        uint32_t wants = origin_wants(origin, note);
        r = origin_entry(queue, EPOLL_CTL_MOD, fd, wants, origin->generation);
        if (r == 0) {
            origin->armed = wants;
            origin->muted = false;
        }
        else if (r == -ENOENT) {
            origin_orphan(queue, origin, NULL);
        }
    }
    if (r == -ENOENT) {
        r = origin_enter(queue, origin, fd, origin_wants(origin, note));
    }
    if (r < 0) {
        return r;
    }
    struct kev_note **link = &origin->notes;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = note;
    note->next = NULL;
    queue->registry.count++;
    origin_refresh(origin);
    return 0;
}

/* Tell the kernel what the notes that are left want. */
static int
origin_rearm(struct kev_queue *queue, struct kev_origin *origin, int fd)
{
    uint32_t wants = origin_wants(origin, NULL);
    int r = 0;
    if (wants != 0) {
        r = origin_entry(queue, EPOLL_CTL_MOD, fd, wants, origin->generation);
        if (r == 0) {
            origin->armed = wants;
            origin->muted = false;
        }
    }
    else if (origin->armed != 0) {
        r = origin_entry(queue, EPOLL_CTL_DEL, fd, 0, 0);
        /* If it failed, the entry's events are of no generation we know. */
        origin->generation = 0;
        origin->armed = 0;
        origin->muted = false;
    }
    return r;
}

int
kev_origin_detach(struct kev_queue *queue, struct kev_note *note)
{
    int fd = kev_note_fd(note);
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    struct kev_note **link = &origin->notes;
    while (*link != note) {
        link = &(*link)->next;
    }
    *link = note->next;
    note->next = NULL;
    queue->registry.count--;
    int r = note_active(note) ? origin_rearm(queue, origin, fd) : 0;
    if (r == -ENOENT || r == -EBADF) {
        origin_orphan(queue, origin, NULL);
    }
    origin_refresh(origin);
    return r;
}

int
kev_origin_update(struct kev_queue *queue, struct kev_note *note)
{
    int fd = kev_note_fd(note);
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    uint32_t state = note->state;
    int r;
    note->state &= ~KEV_NOTE_DISARMED;
    if (origin->armed != 0) {
        r = origin_rearm(queue, origin, fd);
    }
    else {
        r = origin_enter(queue, origin, fd, origin_wants(origin, NULL));
    }
    if (r < 0) {
        note->state = state;
        return r;
    }
    origin_refresh(origin);
    return 0;
}

int
kev_origin_probe(struct kev_queue *queue, const struct ukevent *spare)
{
    int fd = (int)spare->id.raw[0];
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    if (origin->armed != 0) {
        int r = origin_entry(queue, EPOLL_CTL_ADD, fd, EPOLLET, 0);
        if (r == 0) {
            (void)origin_entry(queue, EPOLL_CTL_DEL, fd, 0, 0);
        }
        else if (r != -EBADF && r != -EPERM && r != -EINVAL && r != -ELOOP) {
            /* -EEXIST: it is alive.  Those above: the number names nothing,
               or what could never have been registered. */
            return r;
        }
    }
    origin_orphan(queue, origin, spare);
    return 0;
}

void
kev_origin_disarm(struct kev_queue *queue, struct kev_note *note)
{
    int fd = kev_note_fd(note);
    struct kev_origin *origin = kev_origin_at(&queue->registry, (uint32_t)fd);
    note->state |= KEV_NOTE_DISARMED;
    /* A failure leaves it told more than wanted, which harvest ignores. */
    (void)origin_rearm(queue, origin, fd);
    origin_refresh(origin);
}

bool
kev_origin_keeps_level(const struct kev_origin *origin)
{
    return (origin->armed & (EPOLLET | EPOLLONESHOT)) == 0 && !origin->muted;
}

/*
 * A level that nobody takes (too few events for min_nr, a full ring) would
 * make epoll return at once for ever.  Edge-triggered it is told once more
 * and then keeps quiet.
 */
void
kev_origin_mute(struct kev_queue *queue, struct kev_origin *origin)
{
    int fd = kev_note_fd(origin->notes);
    if (kev_origin_keeps_level(origin)
        && origin_entry(queue, EPOLL_CTL_MOD, fd, origin->armed | EPOLLET,
                        origin->generation) == 0) {
        origin->muted = true;
    }
}

void
kev_origin_unmute(struct kev_queue *queue, struct kev_origin *origin)
{
    int fd = kev_note_fd(origin->notes);
    if (origin->muted
        && origin_entry(queue, EPOLL_CTL_MOD, fd, origin->armed,
                        origin->generation) == 0) {
        origin->muted = false;
    }
}
