/*
 * note.h - struct kev_note, one registered kevent, and struct kev_source,
 * what a type of event can do.
 *
 * A note is two cache lines.  The first has all that a harvest touches: the
 * record that is copied to the ring, the bits that the kernel may report, and
 * the state.  The second has its places in lists.
 */
#ifndef KEV_NOTE_H
#define KEV_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "kev/heap.h"
#include "kev/kevent.h"

struct kev_inode;
struct kev_queue;
struct kev_record;
struct kev_source;

/* What state a note is in; several may hold. */
#define KEV_NOTE_QUEUED   0x01u   /* on the ready list */
#define KEV_NOTE_FORCED   0x02u   /* queued by READY: not checked again */
#define KEV_NOTE_ORPHAN   0x04u   /* out of the registry; goes when taken */
#define KEV_NOTE_DISARMED 0x08u   /* broken: the kernel watches it no more */
#define KEV_NOTE_RECHECK  0x10u   /* on the list of levels to look at */
#define KEV_NOTE_TIMED    0x20u   /* timer whose id is not its interval */

struct kev_note {
    struct ukevent uk;                /* ret_* collect while it is queued */
    const struct kev_source *source;
    struct kev_note *next;            /* same descriptor, or same bucket */
    uint32_t watch;                   /* epoll bits that concern it */
    uint32_t state;                   /* KEV_NOTE_* */

    struct kev_note *ready_next;
    struct kev_note *ready_prev;
    union {
        struct kev_note *recheck_next;
        struct kev_note *peer;        /* INODE: another of the same inode */
    };
    struct kev_heap_node timer;       /* TIMER: when it is due next */
    union {
        uint64_t interval_ns;         /* TIMER; 0: no second time */
        struct kev_inode *inode;      /* INODE; NULL once it is gone */
    };
    union {
        struct kev_record *backlog;   /* SIGNAL, INODE: the last one */
        int pidfd;                    /* PROC */
        uint32_t clock;               /* TIMER: enum kev_clock */
    };
};

_Static_assert(offsetof(struct kev_note, ready_next) == 64,
               "what a harvest needs is one cache line");
_Static_assert(sizeof(struct kev_note) <= 128, "a note is two cache lines");

struct kev_source {
    const char *name;
    uint32_t events_known;    /* any other bit in `event` is -EINVAL */
    bool has_fd;              /* id.raw[0] is a descriptor for epoll */
    bool lasting;             /* MODIFY takes no report back */

    /* Is this element acceptable?  0 or -errno; changes nothing. */
    int (*check)(struct kev_queue *queue, const struct ukevent *wanted);

    /* has_fd: the epoll bits for what uk asks. */
    uint32_t (*watch)(const struct ukevent *uk);

    /*
     * has_fd: poll bits happened.  Collects ret_flags and ret_data in uk and
     * returns whether there is something to report; never fails.
     */
    bool (*fire)(struct ukevent *uk, uint32_t happened);

    /* No fd: begin, change (event and req_flags are already the new ones)
       and end.  On failure nothing has changed.  0 or -errno. */
    int (*start)(struct kev_queue *queue, struct kev_note *note);
    int (*change)(struct kev_queue *queue, struct kev_note *note);
    void (*stop)(struct kev_queue *queue, struct kev_note *note);

    /* No fd, each may be NULL: complete the report that is about to be
       taken; it was taken, is there another?; free what the note holds, the
       queue is going. */
    void (*take)(struct kev_queue *queue, struct kev_note *note);
    void (*again)(struct kev_queue *queue, struct kev_note *note);
    void (*discard)(struct kev_note *note);
};

/* The source of a type, NULL if there is none. */
const struct kev_source *kev_source_of(uint32_t type);

extern const struct kev_source kev_source_socket;
extern const struct kev_source kev_source_timer;
extern const struct kev_source kev_source_posix_timer;
extern const struct kev_source kev_source_poll;
extern const struct kev_source kev_source_user;
extern const struct kev_source kev_source_pipe;
extern const struct kev_source kev_source_signal;
extern const struct kev_source kev_source_inode;
extern const struct kev_source kev_source_proc;

static inline int
kev_note_fd(const struct kev_note *note)
{
    return (int)note->uk.id.raw[0];
}

#endif
