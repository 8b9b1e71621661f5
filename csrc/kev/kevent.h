/*
 * kevent.h - the public face of the kevent core.
 *
 * One queue for every kind of event, waited for with one call and read out of
 * a ring in user memory: the subsystem that Evgeniy Polyakov proposed to Linux
 * in 2006, in user space.  The records, numbers and calls are those of the
 * proposal (takes 23 and 26); what is ours is marked "extension".
 *
 * A queue is named by a pointer, not by a descriptor: user space has no table
 * to keep a queue behind a descriptor without a global.  Every call returns a
 * count or zero, or a negative errno value; no call sets errno, logs, or
 * aborts.
 */
#ifndef KEVENT_H
#define KEVENT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/signalfd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- records ---------------------------------------------------------- */

struct kevent_id {
    union {
        uint32_t raw[2];
        uint64_t raw_u64 __attribute__((aligned(8)));
    };
};

struct ukevent {
    struct kevent_id id;   /* what is watched; its meaning is the type's */
    uint32_t type;         /* KEVENT_SOCKET, ... */
    uint32_t event;        /* mask of wanted events of that type */
    uint32_t req_flags;    /* KEVENT_REQ_* */
    uint32_t ret_flags;    /* KEVENT_RET_*, written by the queue */
    uint32_t ret_data[2];  /* [0]: which events; [1]: the type's, -errno */
    union {                /* the caller's cookie, returned untouched */
        uint32_t user[2];
        uint64_t user_u64;
        void *ptr;
    };
};

struct kevent_ring {
    uint32_t ring_kidx;        /* slot that the queue fills next */
    uint32_t ring_over;        /* how often the consumer wrapped */
    struct ukevent event[];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct kevent_id) == 8, "kevent_id is 8 bytes");
_Static_assert(sizeof(struct ukevent) == 40, "ukevent is 40 bytes");
_Static_assert(offsetof(struct kevent_ring, event) == 8, "ring header");
#endif

/* Bytes of memory that a ring of num entries needs. */
#define KEVENT_RING_SIZE(num) \
    (sizeof(struct kevent_ring) + (size_t)(num) * sizeof(struct ukevent))

/* ---- constants -------------------------------------------------------- */

enum {                          /* kevent_ctl commands */
    KEVENT_CTL_ADD = 0,
    KEVENT_CTL_REMOVE = 1,
    KEVENT_CTL_MODIFY = 2,
    KEVENT_CTL_READY = 3,
};

#define KEVENT_REQ_ONESHOT      0x1u
#define KEVENT_REQ_WAKEUP_ALL   0x2u
#define KEVENT_REQ_ET           0x4u
#define KEVENT_REQ_LAST_CHECK   0x8u
#define KEVENT_REQ_ALWAYS_QUEUE 0x10u
#define KEVENT_REQ_READY        0x20u
#define KEVENT_REQ_LEVEL        0x10000u   /* extension: level-triggered */
#define KEVENT_REQ_COUNT        0x20000u   /* extension: ret_data[1] is how
                                              many bytes can be read */
#define KEVENT_REQ_REPLACE      0x40000u   /* extension: ADD of a key that is
                                              taken is a MODIFY, cookie too */

#define KEVENT_RET_BROKEN       0x1u
#define KEVENT_RET_DONE         0x2u
#define KEVENT_RET_COPY_FAILED  0x4u

enum {                          /* event types */
    KEVENT_SOCKET = 0,
    KEVENT_INODE = 1,
    KEVENT_TIMER = 2,
    KEVENT_POLL = 3,
    KEVENT_NAIO = 4,
    KEVENT_AIO = 5,
    KEVENT_PIPE = 6,
    KEVENT_SIGNAL = 7,
    KEVENT_POSIX_TIMER = 8,
    KEVENT_UNOTIFY = 9,
    KEVENT_MAX = 10,
    KEVENT_PROC = 0x10000,     /* extension: the end of a process */
};

#define KEVENT_TIMER_FIRED      0x1u

#define KEVENT_SOCKET_RECV      0x1u
#define KEVENT_SOCKET_ACCEPT    0x2u
#define KEVENT_SOCKET_SEND      0x4u

#define KEVENT_SIGNAL_DELIVERY  0x1u
#define KEVENT_SIGNAL_NOMASK    0x80000000u   /* in id.raw[1] */

#define KEVENT_PROC_EXIT        0x1u
#define KEVENT_PROC_STATUS      0x2u   /* told: ret_data[1] is its status */

#define KEVENT_INODE_CREATE        0x00000001u   /* an entry was made, */
#define KEVENT_INODE_REMOVE        0x00000002u   /* or deleted; */
#define KEVENT_INODE_MODIFY        0x00010000u   /* all others: extension */
#define KEVENT_INODE_ATTRIB        0x00020000u
#define KEVENT_INODE_CLOSE_WRITE   0x00040000u
#define KEVENT_INODE_CLOSE_NOWRITE 0x00080000u
#define KEVENT_INODE_OPEN          0x00100000u
#define KEVENT_INODE_ACCESS        0x00200000u
#define KEVENT_INODE_MOVED_FROM    0x00400000u
#define KEVENT_INODE_MOVED_TO      0x00800000u
#define KEVENT_INODE_DELETE_SELF   0x01000000u
#define KEVENT_INODE_MOVE_SELF     0x02000000u
#define KEVENT_INODE_OVERFLOW      0x10000000u   /* told, unasked: */
#define KEVENT_INODE_GONE          0x20000000u   /* no more will come */
#define KEVENT_INODE_ISDIR         0x40000000u   /* it is about a directory */

#define KEVENT_POLL_POLLIN      0x0001u    /* the bits of poll(2) */
#define KEVENT_POLL_POLLPRI     0x0002u
#define KEVENT_POLL_POLLOUT     0x0004u
#define KEVENT_POLL_POLLERR     0x0008u
#define KEVENT_POLL_POLLHUP     0x0010u
#define KEVENT_POLL_POLLNVAL    0x0020u
#define KEVENT_POLL_POLLRDNORM  0x0040u
#define KEVENT_POLL_POLLRDBAND  0x0080u
#define KEVENT_POLL_POLLWRNORM  0x0100u
#define KEVENT_POLL_POLLWRBAND  0x0200u
#define KEVENT_POLL_POLLMSG     0x0400u
#define KEVENT_POLL_POLLREMOVE  0x1000u
#define KEVENT_POLL_POLLRDHUP   0x2000u

#define KEVENT_MASK_ALL         0xffffffffu
#define KEVENT_MASK_EMPTY       0x0u

#define KEVENT_FLAGS_ABSTIME    0x1u
#define KEVENT_FLAGS_REALTIME   0x10000u   /* extension: ABSTIME's clock, */
#define KEVENT_FLAGS_BOOTTIME   0x20000u   /* CLOCK_MONOTONIC if neither */
#define KEVENT_FLAGS_SEEN       0x40000u   /* extension: kevent_wait's index */

#define KEVENT_WAIT_FOREVER     UINT64_MAX

/* What kevent_features() tells of: bit n for the event type n, and */
#define KEVENT_FEATURE_PROC     (UINT64_C(1) << 32)
#define KEVENT_FEATURE_LEVEL    (UINT64_C(1) << 33)
#define KEVENT_FEATURE_COUNT    (UINT64_C(1) << 34)
#define KEVENT_FEATURE_REPLACE  (UINT64_C(1) << 35)
#define KEVENT_FEATURE_SEEN     (UINT64_C(1) << 36)
#define KEVENT_FEATURE_CLOCKS   (UINT64_C(1) << 37)   /* kevent_timer() */
#define KEVENT_FEATURE_RECORDS  (UINT64_C(1) << 38)   /* kevent_record() */

/* ---- calls ------------------------------------------------------------ */

struct kev_queue;

/* kevent_open flags (extension) */
#define KEVENT_OPEN_OWNED       0x1u   /* one thread only: takes no lock */

/* Make a queue.  0 and *ret_queue, or -EINVAL, -EMFILE, -ENFILE, -ENOMEM. */
int kevent_open(struct kev_queue **ret_queue, unsigned flags);

/* Free the queue and all that is registered.  Nobody may be waiting. */
void kevent_close(struct kev_queue *queue);

/* A descriptor that polls readable while an event may be fetched. */
int kevent_fileno(const struct kev_queue *queue);

/*
 * ADD: returns how many elements failed or were ready at once; they are
 * compacted to the front of arg (ret_flags, ret_data[1] = -errno as u32).
 * MODIFY, REMOVE: 0, each element's ret_flags written in place (DONE, plus
 * BROKEN if there was none).  READY: how many were made ready; num == 0 wakes
 * one sleeper.
 */
int kevent_ctl(struct kev_queue *queue, unsigned cmd, unsigned num,
               struct ukevent *arg);

/* Wait for min_nr events, copy up to max_nr to buf, return how many. */
int kevent_get_events(struct kev_queue *queue, unsigned min_nr,
                      unsigned max_nr, uint64_t timeout_ns,
                      struct ukevent *buf, unsigned flags,
                      const sigset_t *sigmask);

/* Attach a ring (writes ring_kidx = ring_over = 0); NULL, 0 detaches. */
int kevent_ring_init(struct kev_queue *queue, struct kevent_ring *ring,
                     unsigned num);

/*
 * Wait for one event, move up to num to the free slots of the ring, return
 * how many.  With KEVENT_FLAGS_SEEN return at once if ring_kidx is not seen.
 */
int kevent_wait(struct kev_queue *queue, unsigned num, unsigned seen,
                uint64_t timeout_ns, unsigned flags,
                const sigset_t *sigmask);

/* Release the ring's slots up to new_uidx; -EOVERFLOW if over is too old. */
int kevent_commit(struct kev_queue *queue, unsigned new_uidx, unsigned over);

/* ---- extensions ------------------------------------------------------- */

/* KEVENT_FEATURE_* and 1 << KEVENT_*: what this build can do. */
uint64_t kevent_features(void);

/*
 * ADD or MODIFY of one timer (KEVENT_TIMER or KEVENT_POSIX_TIMER) whose id is
 * any number of the caller's and not its interval.  First due initial_ns from
 * now or, with KEVENT_FLAGS_ABSTIME, at that time of the clock that flags
 * name; then every interval_ns, unless that is 0.  Both 0: it rests until a
 * MODIFY.  0, or -EINVAL, -EEXIST, -ENOENT, -ENOMEM, -EMFILE.
 */
int kevent_timer(struct kev_queue *queue, unsigned cmd,
                 const struct ukevent *uk, uint64_t initial_ns,
                 uint64_t interval_ns, unsigned flags);

/* What does not fit in an event: ret_data[1] of SIGNAL and INODE events is
   the number of such a record, 0 if there is none. */
struct kevent_record {
    uint32_t type;      /* KEVENT_SIGNAL, KEVENT_INODE */
    uint32_t count;     /* how often: standard signals are merged */
    union {
        struct signalfd_siginfo signal;   /* of the last of them */
        struct {
            uint32_t mask;      /* as inotify(7) says it */
            uint32_t cookie;    /* joins the two halves of a rename */
            char name[256];     /* of the entry; empty: the inode itself */
        } inode;
    };
};

/* As many records are kept, counted from the last one handed out. */
#define KEVENT_RECORDS_KEPT 1024

/* Copy a record to *ret_record.  0, or -ENOENT: none, or too old. */
int kevent_record(struct kev_queue *queue, uint32_t number,
                  struct kevent_record *ret_record);

#ifdef __cplusplus
}
#endif

#endif
