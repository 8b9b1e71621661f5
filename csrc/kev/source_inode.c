/*
 * source_inode.c - KEVENT_INODE: what happens to a file, or in a directory.
 *
 * id.raw[0] is a descriptor of it, which may be one of open(2)'s O_PATH;
 * raw[1] is free.  The file is what is watched, not the descriptor: it may be
 * closed, but then the file's deletion ends the watch (GONE, BROKEN), and a
 * MODIFY cannot reach the file any more.  Each event is a report of its own,
 * in order; the record in ret_data[1] has the entry's name.
 *
 * One inotify descriptor serves a queue.  inotify has one watch for an inode,
 * so kevents of the same inode share it and each picks what it asked for.  A
 * watch only ever asks for more, until its last kevent goes: to ask for less
 * would need a name that still leads to the inode.
 *
 * When the kernel's own queue overflows, each INODE kevent is told so.
 */
#include "kev/queue.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

#include "kev/sys.h"

struct kev_inode {
    int wd;
    struct kev_note *notes;    /* linked by peer */
};

static const struct {
    uint32_t bit;
    uint32_t mask;
} bits[] = {
    {KEVENT_INODE_CREATE, IN_CREATE},
    {KEVENT_INODE_REMOVE, IN_DELETE},
    {KEVENT_INODE_MODIFY, IN_MODIFY},
    {KEVENT_INODE_ATTRIB, IN_ATTRIB},
    {KEVENT_INODE_CLOSE_WRITE, IN_CLOSE_WRITE},
    {KEVENT_INODE_CLOSE_NOWRITE, IN_CLOSE_NOWRITE},
    {KEVENT_INODE_OPEN, IN_OPEN},
    {KEVENT_INODE_ACCESS, IN_ACCESS},
    {KEVENT_INODE_MOVED_FROM, IN_MOVED_FROM},
    {KEVENT_INODE_MOVED_TO, IN_MOVED_TO},
    {KEVENT_INODE_DELETE_SELF, IN_DELETE_SELF},
    {KEVENT_INODE_MOVE_SELF, IN_MOVE_SELF},
};

#define BITS_COUNT (sizeof(bits) / sizeof(bits[0]))

#define INODE_KNOWN                                              \
    (KEVENT_INODE_CREATE | KEVENT_INODE_REMOVE                   \
     | KEVENT_INODE_MODIFY | KEVENT_INODE_ATTRIB                 \
     | KEVENT_INODE_CLOSE_WRITE | KEVENT_INODE_CLOSE_NOWRITE     \
     | KEVENT_INODE_OPEN | KEVENT_INODE_ACCESS                   \
     | KEVENT_INODE_MOVED_FROM | KEVENT_INODE_MOVED_TO           \
     | KEVENT_INODE_DELETE_SELF | KEVENT_INODE_MOVE_SELF)

static uint32_t
mask_of_event(uint32_t event)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < BITS_COUNT; i++) {
        mask |= event & bits[i].bit ? bits[i].mask : 0;
    }
    return mask;
}

static uint32_t
event_of_mask(uint32_t mask)
{
    uint32_t event = 0;
    for (unsigned i = 0; i < BITS_COUNT; i++) {
        event |= mask & bits[i].mask ? bits[i].bit : 0;
    }
    return event;
}

/* ---- the watches, in order of wd ---- */

/* The place of wd, or where it would be. */
static uint32_t
inodes_place(const struct kev_queue *queue, int wd)
{
    uint32_t low = 0;
    uint32_t high = queue->inodes_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (queue->inodes[middle]->wd < wd) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

static struct kev_inode *
inodes_find(const struct kev_queue *queue, int wd)
{
    uint32_t place = inodes_place(queue, wd);
    return place < queue->inodes_count && queue->inodes[place]->wd == wd
        ? queue->inodes[place] : NULL;
}

static int
inodes_reserve(struct kev_queue *queue)
{
    if (queue->inodes_count < queue->inodes_capacity) {
        return 0;
    }
    uint32_t capacity =
        queue->inodes_capacity == 0 ? 16 : queue->inodes_capacity * 2;
    struct kev_inode **inodes =
        kev_sys_realloc(queue->inodes, capacity * sizeof(inodes[0]));
    if (inodes == NULL) {
        return -ENOMEM;
    }
    queue->inodes = inodes;
    queue->inodes_capacity = capacity;
    return 0;
}

static void
inodes_insert(struct kev_queue *queue, struct kev_inode *inode)
{
    uint32_t place = inodes_place(queue, inode->wd);
    memmove(queue->inodes + place + 1, queue->inodes + place,
            (queue->inodes_count - place) * sizeof(queue->inodes[0]));
    queue->inodes[place] = inode;
    queue->inodes_count++;
}

static void
inodes_remove(struct kev_queue *queue, struct kev_inode *inode)
{
    uint32_t place = inodes_place(queue, inode->wd);
    queue->inodes_count--;
    memmove(queue->inodes + place, queue->inodes + place + 1,
            (queue->inodes_count - place) * sizeof(queue->inodes[0]));
    kev_sys_free(inode);
}

void
kev_inodes_fini(struct kev_queue *queue)
{
    while (queue->inodes_count > 0) {
        kev_sys_free(queue->inodes[--queue->inodes_count]);
    }
    kev_sys_free(queue->inodes);
    queue->inodes = NULL;
    queue->inodes_capacity = 0;
}

/* ---- control ---- */

static int
inode_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    (void)queue;
    return wanted->id.raw[0] > INT_MAX ? -EBADF
        : kev_sys_is_open((int)wanted->id.raw[0]);
}

static int
inotify_open(struct kev_queue *queue)
{
    int r = kev_records_reserve(queue);
    if (r < 0 || queue->inotify_fd >= 0) {
        return r;
    }
    int fd = kev_sys_inotify();
    if (fd < 0) {
        return fd;
    }
    r = kev_origin_internal(queue, fd, KEV_ORIGIN_INODES);
    if (r < 0) {
        (void)kev_sys_close(fd);
        return r;
    }
    queue->inotify_fd = fd;
    return 0;
}

/* Nothing asked for yet is no error here, but inotify wants something. */
static int
inode_ask(struct kev_queue *queue, const struct kev_note *note)
{
    uint32_t mask = mask_of_event(note->uk.event);
    int r = kev_sys_inotify_add(queue->inotify_fd, kev_note_fd(note),
                                mask == 0 ? IN_DELETE_SELF : mask);
    /* It is open, but there is no /proc to name it by. */
    return r == -ENOENT ? -ENOSYS : r;
}

static int
inode_start(struct kev_queue *queue, struct kev_note *note)
{
    int r = inotify_open(queue);
    if (r == 0) {
        r = inodes_reserve(queue);
    }
    if (r < 0) {
        return r;
    }
    struct kev_inode *fresh = kev_sys_alloc(sizeof(*fresh));
    if (fresh == NULL) {
        return -ENOMEM;
    }
    int wd = inode_ask(queue, note);
    struct kev_inode *inode = wd < 0 ? NULL : inodes_find(queue, wd);
    if (wd < 0 || inode != NULL) {
        kev_sys_free(fresh);
    }
    else {
        inode = fresh;
        inode->wd = wd;
        inodes_insert(queue, inode);
    }
    if (wd < 0) {
        return wd;
    }
    note->inode = inode;
    note->peer = inode->notes;
    inode->notes = note;
    return 0;
}

static int
inode_change(struct kev_queue *queue, struct kev_note *note)
{
    if (note->inode == NULL) {
        /* The file is gone, but the number may name another. */
        return inode_start(queue, note);
    }
    int wd = inode_ask(queue, note);
    if (wd >= 0 && wd != note->inode->wd) {
        /* The number names another file now. */
        if (inodes_find(queue, wd) == NULL) {
            (void)kev_sys_inotify_remove(queue->inotify_fd, wd);
        }
        return -EBADF;
    }
    return wd < 0 ? wd : 0;
}

static void
inode_stop(struct kev_queue *queue, struct kev_note *note)
{
    struct kev_inode *inode = note->inode;
    if (inode != NULL) {
        struct kev_note **link = &inode->notes;
        while (*link != note) {
            link = &(*link)->peer;
        }
        *link = note->peer;
        note->peer = NULL;
        note->inode = NULL;
        if (inode->notes == NULL) {
            (void)kev_sys_inotify_remove(queue->inotify_fd, inode->wd);
            inodes_remove(queue, inode);
        }
    }
    kev_record_drop(queue, note);
}

/* ---- reports ---- */

static void
inode_post(struct kev_queue *queue, struct kev_note *note,
           const struct inotify_event *event, uint32_t told)
{
    struct kevent_record record = {
        .type = KEVENT_INODE,
        .count = 1,
        .inode = {.mask = event->mask, .cookie = event->cookie},
    };
    if (event->len != 0) {
        memcpy(record.inode.name, event->name,
               strnlen(event->name, sizeof(record.inode.name) - 1));
    }
    uint32_t aside = event->mask & IN_ISDIR ? KEVENT_INODE_ISDIR : 0;
    kev_record_post(queue, note, &record, told | aside,
                    told & KEVENT_INODE_GONE ? KEVENT_RET_BROKEN : 0, false);
}

static void
overflow_sort(struct kev_queue *queue, const struct inotify_event *event)
{
    for (uint32_t i = 0; i < queue->inodes_count; i++) {
        for (struct kev_note *note = queue->inodes[i]->notes; note != NULL;
             note = note->peer) {
            inode_post(queue, note, event, KEVENT_INODE_OVERFLOW);
        }
    }
}

/* The kernel forgot the watch. */
static void
inode_ended(struct kev_queue *queue, struct kev_inode *inode,
            const struct inotify_event *event)
{
    while (inode->notes != NULL) {
        struct kev_note *note = inode->notes;
        inode->notes = note->peer;
        note->peer = NULL;
        note->inode = NULL;
        inode_post(queue, note, event, KEVENT_INODE_GONE);
    }
    inodes_remove(queue, inode);
}

static void
inotify_sort(struct kev_queue *queue, const struct inotify_event *event)
{
    struct kev_inode *inode = inodes_find(queue, event->wd);
    if (event->mask & IN_Q_OVERFLOW) {
        overflow_sort(queue, event);
    }
    else if (inode != NULL && (event->mask & IN_IGNORED)) {
        inode_ended(queue, inode, event);
    }
    else if (inode != NULL) {
        uint32_t happened = event_of_mask(event->mask);
        for (struct kev_note *note = inode->notes; note != NULL;
             note = note->peer) {
            if (note->uk.event & happened) {
                inode_post(queue, note, event, note->uk.event & happened);
            }
        }
    }
}

void
kev_inodes_read(struct kev_queue *queue)
{
    _Alignas(struct inotify_event)
        char buffer[4 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    while (queue->inotify_fd >= 0 && kev_records_room(&queue->records)) {
        int r = kev_sys_read(queue->inotify_fd, buffer, sizeof(buffer));
        if (r == -EINTR) {
            continue;
        }
        if (r <= 0) {
            if (r != -EAGAIN) {
                kev_origin_retell(queue, queue->inotify_fd);
            }
            return;
        }
        for (const char *at = buffer; at < buffer + r;) {
            const struct inotify_event *event = (const void *)at;
            inotify_sort(queue, event);
            at += sizeof(*event) + event->len;
        }
    }
}

const struct kev_source kev_source_inode = {
    .name = "inode",
    .events_known = INODE_KNOWN,
    .has_fd = false,
    .lasting = true,
    .check = inode_check,
    .start = inode_start,
    .change = inode_change,
    .stop = inode_stop,
    .take = kev_record_take,
    .again = kev_record_next,
    .discard = kev_record_discard,
};
