/*
 * registry.h - where the registered kevents are: by (type, id), and by the
 * descriptor that the kernel names in an event.
 *
 * Kevents of the same descriptor share an origin, because an epoll set has
 * one entry for a descriptor.  The entry carries the descriptor and the
 * generation of its registration: an event of an older generation belongs to
 * a file that is gone, and is dropped.
 */
#ifndef KEV_REGISTRY_H
#define KEV_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "kev/note.h"

enum kev_origin_kind {
    KEV_ORIGIN_NOTES,     /* kevents, or nothing */
    KEV_ORIGIN_BELL,      /* the queue's eventfd */
    KEV_ORIGIN_CLOCK,     /* the queue's timerfd */
    KEV_ORIGIN_REALTIME,  /* the other two, from here on nothing is fast */
    KEV_ORIGIN_BOOTTIME,
    KEV_ORIGIN_SIGNALS,   /* its signalfd */
    KEV_ORIGIN_INODES,    /* its inotify */
    KEV_ORIGIN_PROCESS,   /* a pidfd */
};

/*
 * One cache line, which is all that a harvest touches of a descriptor with
 * one kevent of a plain mode: epoll tells of descriptors in any order, and
 * since the last time other things have filled the caches.
 */
struct kev_origin {
    struct ukevent fast;      /* the only note's record, as it goes to the
                                 ring but for what happened; ret_data[0] has
                                 the epoll bits for it, 0: nothing goes that
                                 way */
    uint32_t generation;      /* of the entry in the epoll set */
    uint32_t armed;           /* epoll bits and modes of the entry */
    union {
        struct kev_note *notes;     /* in order of ADD, linked by next */
        struct kev_note *process;   /* KEV_ORIGIN_PROCESS: whose it is */
    };
    uint8_t kind;             /* enum kev_origin_kind */
    bool muted;               /* level-triggered, but told often enough */
};

_Static_assert(sizeof(struct kev_origin) == 64, "an origin is a cache line");

#define KEV_PAGE_BITS    7
#define KEV_PAGE_ORIGINS (1u << KEV_PAGE_BITS)

struct kev_registry {
    struct kev_origin **pages;     /* by descriptor; pages never move */
    uint32_t pages_count;
    struct kev_note **buckets;     /* notes without a descriptor */
    uint32_t buckets_count;        /* a power of two, or 0 */
    uint32_t hashed;
    uint32_t count;                /* all registered notes */
    struct kev_note *spare;        /* free notes, linked by next */
    struct kev_note_slab *slabs;
};

void kev_registry_fini(struct kev_registry *registry);

/* A zeroed note that is in no list; NULL: no memory. */
struct kev_note *kev_note_new(struct kev_registry *registry);
void kev_note_free(struct kev_registry *registry, struct kev_note *note);

/* The note registered under the key, or NULL. */
struct kev_note *kev_registry_find(const struct kev_registry *registry,
                                   const struct kev_source *source,
                                   uint32_t type, uint64_t id);

/* Make sure that the next kev_registry_insert() has a place.  0, -ENOMEM. */
int kev_registry_reserve(struct kev_registry *registry);

/* Notes without a descriptor. */
void kev_registry_insert(struct kev_registry *registry,
                         struct kev_note *note);
void kev_registry_remove(struct kev_registry *registry,
                         struct kev_note *note);

/* The origin of fd, made if need be; NULL: no memory. */
struct kev_origin *kev_registry_origin(struct kev_registry *registry, int fd);

/* fd has been seen by kev_registry_origin(). */
static inline struct kev_origin *
kev_origin_at(const struct kev_registry *registry, uint32_t fd)
{
    return &registry->pages[fd >> KEV_PAGE_BITS][fd & (KEV_PAGE_ORIGINS - 1)];
}

/* The origin of fd, or NULL if none was ever made. */
static inline struct kev_origin *
kev_origin_find(const struct kev_registry *registry, uint32_t fd)
{
    uint32_t page = fd >> KEV_PAGE_BITS;
    if (page >= registry->pages_count || registry->pages[page] == NULL) {
        return NULL;
    }
    return kev_origin_at(registry, fd);
}

/* Calls visit for every registered note; visit may remove that note. */
void kev_registry_each(struct kev_registry *registry,
                       void (*visit)(struct kev_note *note, void *context),
                       void *context);

#endif
