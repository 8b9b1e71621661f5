/*
 * queue.h - struct kev_queue, as the files of the core see it.
 *
 * Locking: a queue that was not opened with KEVENT_OPEN_OWNED has a mutex,
 * which guards everything but the fields marked otherwise.  It is never held
 * while sleeping.  Functions here are called with it held, unless they say
 * so.
 */
#ifndef KEV_QUEUE_H
#define KEV_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kev/heap.h"
#include "kev/kevent.h"
#include "kev/lull.h"
#include "kev/note.h"
#include "kev/record.h"
#include "kev/registry.h"
#include "kev/ring.h"
#include "kev/sys.h"
#include "kev/wait.h"

struct kev_waiter;

/* The clocks that timers run by.  The first bounds the sleep; the others have
   no more than a timerfd in the set. */
enum kev_clock {
    KEV_CLOCK_MONOTONIC,
    KEV_CLOCK_REALTIME,
    KEV_CLOCK_BOOTTIME,
};

#define KEV_WALLS 2

struct kev_wall {
    struct kev_heap timers;
    int fd;                          /* timerfd or -1 */
    uint64_t armed_ns;               /* 0: disarmed */
    uint32_t watchers;               /* sleepers whose deadline is by it */
};

/* When the timer that kevent_timer() handles is due. */
struct kev_timing {
    uint64_t initial_ns;
    uint64_t interval_ns;
    bool absolute;
    enum kev_clock clock;
};

struct kev_ready_list {
    struct kev_note *first;
    struct kev_note *last;
    uint32_t count;
};

struct kev_queue {
    /* What kev_queue_poll() touches. */
    int epfd;
    bool owned;                      /* never changes */
    bool coarse;                     /* leader's: no epoll_pwait2 here */
    bool dead;                       /* kevent_close() was called */
    bool bell_rung;                  /* ... and not been harvested yet */
    struct kev_fork_mark process;    /* whose queue this is */
    struct epoll_event *events;      /* leader's, while it sleeps */
    struct kev_ready_list ready;
    struct kev_note *rechecks;       /* levels that epoll cannot keep */
    struct kev_heap timers;
    struct kev_registry registry;
    struct kev_ring ring;
    struct kev_lull lull;            /* owned only */

    int bell_fd;                     /* eventfd: wakes the sleeper */
    int clock_fd;                    /* timerfd or -1 */
    uint64_t clock_armed_ns;         /* 0: disarmed */
    uint32_t generation;             /* last one given to an origin */
    struct kev_note *knock;          /* UNOTIFY of KEV_KNOCK_ID, or NULL */
    int knocked;                     /* atomic; any thread */

    pthread_mutex_t lock;            /* not owned only */
    struct kev_waiter *waiters;      /* in order of arrival */
    struct kev_waiter *waiters_last;
    struct kev_waiter *leader;       /* the one in epoll_pwait2 */
    uint32_t waiters_count;
    int spare_bell;                  /* for the next follower, or -1 */
    uint32_t wakes_pending;          /* READY(0) that found no sleeper */
    uint32_t sleepers;               /* calls that may still look at us */
    uint32_t references;             /* atomic */

    const struct kev_timing *timing; /* during kevent_timer() */
    struct kev_wall walls[KEV_WALLS];
    struct kev_records records;
    int signal_fd;                   /* signalfd or -1 */
    sigset_t signals;                /* that it tells of */
    int inotify_fd;                  /* or -1 */
    struct kev_inode **inodes;       /* what it watches, by wd */
    uint32_t inodes_count;
    uint32_t inodes_capacity;
};

static inline void
kev_queue_lock(struct kev_queue *queue)
{
    if (!queue->owned) {
        pthread_mutex_lock(&queue->lock);
    }
}

static inline void
kev_queue_unlock(struct kev_queue *queue)
{
    if (!queue->owned) {
        pthread_mutex_unlock(&queue->lock);
    }
}

/* 0, or -EBADF if the queue was closed or belongs to another process. */
static inline int
kev_queue_usable(const struct kev_queue *queue)
{
    return __builtin_expect(queue->dead
                            || !kev_sys_fork_same(&queue->process), 0)
        ? -EBADF : 0;
}

/* What is left of a dead queue that nobody looks at is closed and freed. */
void kev_queue_shut(struct kev_queue *queue);

/*
 * Leave the queue as a poller should find it: the timerfd set to the nearest
 * deadline and, when nobody sleeps in the set, the bell rung exactly while
 * there is something to fetch.
 */
void kev_queue_settle(struct kev_queue *queue);

/* The first half of it, for who is about to sleep in the set himself. */
void kev_queue_settle_clock(struct kev_queue *queue);

/* ---- the ready list (ready.c) ---- */

/* Append a note that is not on the list. */
void kev_ready_push(struct kev_queue *queue, struct kev_note *note);

/* Take a note off, wherever it is; nothing if it is not there. */
void kev_ready_remove(struct kev_queue *queue, struct kev_note *note);

/*
 * Take the first kevent that is still worth reporting, write it to out.
 * False: there is none.
 */
bool kev_ready_take(struct kev_queue *queue, struct ukevent *out);

/* COUNT: how many bytes can be read, in the record that is handed out. */
void kev_ready_count(struct ukevent *uk, const struct kev_source *source);

/* Move up to count ready kevents to free slots of the ring; how many.  The
   caller publishes. */
uint32_t kev_ready_to_ring(struct kev_queue *queue, uint32_t count);

/* Look at the levels that epoll does not keep; push those still ready. */
void kev_recheck(struct kev_queue *queue);
void kev_recheck_remove(struct kev_queue *queue, struct kev_note *note);

/* ---- origins (origin.c): notes with a descriptor ---- */

/* Put an internal descriptor in the set, edge-triggered.  0 or -errno. */
int kev_origin_internal(struct kev_queue *queue, int fd,
                        enum kev_origin_kind kind);

/* It was heard but could not be read: let it be told once more. */
void kev_origin_retell(struct kev_queue *queue, int fd);

/* Take one out of the set again and close it; 0 or -errno of the first. */
int kev_origin_internal_end(struct kev_queue *queue, int fd);

/* Registers note with its descriptor; 0 or -errno, and nothing changed. */
int kev_origin_attach(struct kev_queue *queue, struct kev_note *note);

/* The opposite; what the kernel said about it (0, -ENOENT, -EBADF). */
int kev_origin_detach(struct kev_queue *queue, struct kev_note *note);

/* Watch according to note's new event and req_flags.  0 or -errno. */
int kev_origin_update(struct kev_queue *queue, struct kev_note *note);

/* Is the registration of this descriptor still alive in the kernel?  -EEXIST
   if so.  If not, 0: its notes are orphaned (each reports BROKEN), but the
   one with the key of `spare`, which goes silently.  -errno: who knows. */
int kev_origin_probe(struct kev_queue *queue, const struct ukevent *spare);

/* The kernel shall say no more about a note that stays registered. */
void kev_origin_disarm(struct kev_queue *queue, struct kev_note *note);

/* A level that was told and taken may be told again. */
void kev_origin_unmute(struct kev_queue *queue, struct kev_origin *origin);
void kev_origin_mute(struct kev_queue *queue, struct kev_origin *origin);

/* Does the kernel keep this note's level for us? */
bool kev_origin_keeps_level(const struct kev_origin *origin);

/* ---- what was harvested (harvest.c) ---- */

/* Sort what epoll told into the ready list. */
void kev_harvest(struct kev_queue *queue, const struct epoll_event *events,
                 int count);

/* The same for who is alone with the queue, straight into the ring as far as
   that may be, or to his buffer: up to limit or max of them; how many.  What
   came to the ring is published. */
int kev_harvest_to_ring(struct kev_queue *queue,
                        const struct epoll_event *events, int count,
                        uint32_t limit);
uint32_t kev_harvest_to_buf(struct kev_queue *queue,
                            const struct epoll_event *events, int count,
                            struct ukevent *buf, uint32_t max);

/* Report what is due (source_timer.c), by CLOCK_MONOTONIC or by another clock
   whose timerfd was heard; set the timerfds of those. */
void kev_timers_fire(struct kev_queue *queue, uint64_t now_ns);
void kev_wall_heard(struct kev_queue *queue, enum kev_clock clock);
void kev_walls_settle(struct kev_queue *queue);

/* Sleepers wait by CLOCK_REALTIME: they want to know when it is set.  0, or
   -errno and they have to look at it now and then. */
int kev_wall_watch(struct kev_queue *queue);
void kev_wall_unwatch(struct kev_queue *queue);

/* Read what the descriptor has to tell (source_signal.c, ...). */
void kev_signals_read(struct kev_queue *queue);
void kev_inodes_read(struct kev_queue *queue);
void kev_inodes_fini(struct kev_queue *queue);
void kev_process_ended(struct kev_queue *queue, struct kev_note *note);

/* Out of registry and all lists, watched no more, freed; 0 or -errno. */
int kev_note_drop(struct kev_queue *queue, struct kev_note *note);

#ifdef KEV_DEBUG
/* Do all lists and counters agree?  0, or the line of the first that does
   not (check.c).  The caller holds the lock or is alone. */
int kev_queue_check(const struct kev_queue *queue);
#endif

#endif
