/*
 * registry.c - tables of notes and origins; see registry.h.
 *
 * Notes come from slabs and go back to a list of spares, so that a
 * connection costs no allocation once the queue is warm, and neighbours stay
 * neighbours.  Under a sanitizer (KEV_NO_FREELIST) each is an allocation of
 * its own, which lets a stale pointer be seen.
 */
#include "kev/registry.h"

#include <errno.h>
#include <string.h>

#include "kev/sys.h"

#define SLAB_NOTES 32

struct kev_note_slab {
    struct kev_note_slab *next;
    struct {
        _Alignas(64) struct kev_note note;
    } places[SLAB_NOTES];
};

/* ---- notes ---- */

#ifndef KEV_NO_FREELIST

static bool
slab_add(struct kev_registry *registry)
{
    struct kev_note_slab *slab = kev_sys_alloc_lines(sizeof(*slab));
    if (slab == NULL) {
        return false;
    }
    slab->next = registry->slabs;
    registry->slabs = slab;
    for (unsigned i = SLAB_NOTES; i-- > 0;) {
        struct kev_note *note = &slab->places[i].note;
        note->next = registry->spare;
        registry->spare = note;
    }
    return true;
}

struct kev_note *
kev_note_new(struct kev_registry *registry)
{
    if (registry->spare == NULL && !slab_add(registry)) {
        return NULL;
    }
    struct kev_note *note = registry->spare;
    registry->spare = note->next;
    memset(note, 0, sizeof(*note));
    note->timer.index = KEV_HEAP_OUTSIDE;
    return note;
}

void
kev_note_free(struct kev_registry *registry, struct kev_note *note)
{
    note->source = NULL;
    note->next = registry->spare;
    registry->spare = note;
}

#else

struct kev_note *
kev_note_new(struct kev_registry *registry)
{
    (void)registry;
    struct kev_note *note = kev_sys_alloc_lines(sizeof(*note));
    if (note != NULL) {
        note->timer.index = KEV_HEAP_OUTSIDE;
    }
    return note;
}

void
kev_note_free(struct kev_registry *registry, struct kev_note *note)
{
    (void)registry;
    kev_sys_free(note);
}

#endif

void
kev_registry_fini(struct kev_registry *registry)
{
    for (uint32_t i = 0; i < registry->pages_count; i++) {
        kev_sys_free(registry->pages[i]);
    }
    kev_sys_free(registry->pages);
    kev_sys_free(registry->buckets);
    while (registry->slabs != NULL) {
        struct kev_note_slab *slab = registry->slabs;
        registry->slabs = slab->next;
        kev_sys_free(slab);
    }
    *registry = (struct kev_registry){.pages = NULL};
}

/* ---- by descriptor ---- */

static bool
pages_grow(struct kev_registry *registry, uint32_t page)
{
    uint32_t count = registry->pages_count == 0 ? 8 : registry->pages_count;
    while (count <= page) {
        count *= 2;
    }
    struct kev_origin **pages = kev_sys_realloc(
        registry->pages, (size_t)count * sizeof(struct kev_origin *));
    if (pages == NULL) {
        return false;
    }
    memset(pages + registry->pages_count, 0,
           (size_t)(count - registry->pages_count) * sizeof(pages[0]));
    registry->pages = pages;
    registry->pages_count = count;
    return true;
}

struct kev_origin *
kev_registry_origin(struct kev_registry *registry, int fd)
{
    uint32_t page = (uint32_t)fd >> KEV_PAGE_BITS;
    if (page >= registry->pages_count && !pages_grow(registry, page)) {
        return NULL;
    }
    if (registry->pages[page] == NULL) {
        registry->pages[page] = kev_sys_alloc_lines(
            KEV_PAGE_ORIGINS * sizeof(struct kev_origin));
        if (registry->pages[page] == NULL) {
            return NULL;
        }
    }
    return kev_origin_at(registry, (uint32_t)fd);
}

/* ---- by key ---- */

static struct kev_note **
bucket_of(const struct kev_registry *registry, uint32_t type, uint64_t id)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = (id ^ ((uint64_t)type << 56)) * golden;
    return &registry->buckets[(hash >> 32) & (registry->buckets_count - 1)];
}

struct kev_note *
kev_registry_find(const struct kev_registry *registry,
                  const struct kev_source *source, uint32_t type, uint64_t id)
{
    struct kev_note *note = NULL;
    if (source->has_fd) {
        struct kevent_id words = {.raw_u64 = id};
        const struct kev_origin *origin =
            kev_origin_find(registry, words.raw[0]);
        note = origin == NULL || origin->kind != KEV_ORIGIN_NOTES
            ? NULL : origin->notes;
    }
    else if (registry->buckets_count != 0) {
        note = *bucket_of(registry, type, id);
    }
    while (note != NULL
           && (note->uk.id.raw_u64 != id || note->uk.type != type)) {
        note = note->next;
    }
    return note;
}

int
kev_registry_reserve(struct kev_registry *registry)
{
    if (registry->hashed < registry->buckets_count) {
        return 0;
    }
    uint32_t old_count = registry->buckets_count;
    uint32_t count = old_count == 0 ? 16 : old_count * 2;
    struct kev_note **buckets =
        count == 0 ? NULL : kev_sys_alloc((size_t)count * sizeof(*buckets));
    if (buckets == NULL) {
        /* Longer chains are no failure; no chains at all would be. */
        return old_count == 0 ? -ENOMEM : 0;
    }
    struct kev_note **old = registry->buckets;
    registry->buckets = buckets;
    registry->buckets_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct kev_note *note = old[i];
            old[i] = note->next;
            struct kev_note **bucket =
                bucket_of(registry, note->uk.type, note->uk.id.raw_u64);
            note->next = *bucket;
            *bucket = note;
        }
    }
    kev_sys_free(old);
    return 0;
}

void
kev_registry_insert(struct kev_registry *registry, struct kev_note *note)
{
    struct kev_note **bucket =
        bucket_of(registry, note->uk.type, note->uk.id.raw_u64);
    note->next = *bucket;
    *bucket = note;
    registry->hashed++;
    registry->count++;
}

void
kev_registry_remove(struct kev_registry *registry, struct kev_note *note)
{
    struct kev_note **link =
        bucket_of(registry, note->uk.type, note->uk.id.raw_u64);
    while (*link != note) {
        link = &(*link)->next;
    }
    *link = note->next;
    note->next = NULL;
    registry->hashed--;
    registry->count--;
}

void
kev_registry_each(struct kev_registry *registry,
                  void (*visit)(struct kev_note *note, void *context),
                  void *context)
{
    struct kev_note *next;
    for (uint32_t i = 0; i < registry->buckets_count; i++) {
        for (struct kev_note *n = registry->buckets[i]; n != NULL; n = next) {
            next = n->next;
            visit(n, context);
        }
    }
    for (uint32_t i = 0; i < registry->pages_count; i++) {
        for (uint32_t k = 0; registry->pages[i] != NULL
             && k < KEV_PAGE_ORIGINS; k++) {
            struct kev_origin *origin = &registry->pages[i][k];
            struct kev_note *n = origin->kind == KEV_ORIGIN_NOTES
                ? origin->notes : NULL;
            for (; n != NULL; n = next) {
                next = n->next;
                visit(n, context);
            }
        }
    }
}
