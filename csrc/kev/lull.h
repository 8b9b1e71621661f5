/*
 * lull.h - polls that may be left out because nothing can have happened.
 *
 * A loop that is busy with callbacks looks into the epoll set in each pass
 * and mostly finds nothing.  After a number of such looks the kernel is asked,
 * once, to set a word in shared memory when the set gets an event
 * (kev_sys_uring_ask).  Until it does, the word says what epoll_wait would
 * say, without a system call, and to the very same moment: it is set by what
 * makes the descriptor ready, for a write by this thread before write(2)
 * returns.
 *
 * Where there is no such word (kernels before 6.1, containers that forbid
 * io_uring) every look is a system call, as ever.
 */
#ifndef KEV_LULL_H
#define KEV_LULL_H

#include <stdbool.h>
#include <stdint.h>

#include "kev/sys.h"

struct kev_lull {
    bool resting;         /* asked, and steady */
    bool empty;           /* the last look into the set found nothing */
    bool asked;           /* the kernel was asked, and is not known to have
                             answered */
    bool steady;          /* see kev_queue_steady() */
    bool refused;         /* it cannot be had */
    uint32_t empties;     /* looks that found nothing, one after the other */
    uint32_t patience;    /* so many before the kernel is asked */
    uint32_t left_out;    /* looks since it was asked */
    struct kev_uring uring;
};

/* Making the ring takes as long as a few hundred looks. */
#ifdef KEV_FAULTS
#define KEV_LULL_OPEN      64u
#else
#define KEV_LULL_OPEN      2048u
#endif
/* Asking takes as long as some five looks. */
#define KEV_LULL_PATIENCE  32u
#define KEV_LULL_WORTH     16u
/* Whatever the kernel says, look so often: some driver may wake nobody. */
#define KEV_LULL_LONGEST   64u

void kev_lull_init(struct kev_lull *lull);
void kev_lull_fini(struct kev_lull *lull);

/* The kernel answered: look with system calls again. */
void kev_lull_over(struct kev_lull *lull);

/* One more look that found nothing. */
void kev_lull_empty(struct kev_lull *lull, int epfd);

/* Can the set be known to be empty? */
static inline bool
kev_lull_holds(struct kev_lull *lull)
{
    if (!lull->resting || !lull->empty) {
        return false;
    }
    if (!kev_sys_uring_quiet(&lull->uring)) {
        kev_lull_over(lull);
        return false;
    }
    return ++lull->left_out % KEV_LULL_LONGEST != 0;
}

/* The set was looked into, sleeping up to slept_ns, and had count events. */
static inline void
kev_lull_looked(struct kev_lull *lull, int count, uint64_t slept_ns, int epfd)
{
    lull->empty = count == 0;
    if (count != 0) {
        lull->empties = 0;
    }
    else if (slept_ns == 0 && lull->steady && !lull->asked) {
        kev_lull_empty(lull, epfd);
    }
}

#endif
