/*
 * lull.c - asking the kernel to say when the set is no longer empty; lull.h.
 *
 * Asking is a system call too, so it has to be worth it: a queue in which
 * something happens soon after it asked waits longer the next time.
 */
#include "kev/lull.h"

#include "kev/owned.h"
#include "kev/queue.h"

void
kev_lull_init(struct kev_lull *lull)
{
    *lull = (struct kev_lull){
        .patience = KEV_LULL_PATIENCE,
        .uring.fd = -1,
    };
}

void
kev_lull_fini(struct kev_lull *lull)
{
    kev_sys_uring_close(&lull->uring);
    lull->asked = false;
    lull->resting = false;
    lull->refused = true;
}

void
kev_lull_over(struct kev_lull *lull)
{
    lull->asked = false;
    lull->resting = false;
    lull->empties = 0;
    if (lull->left_out >= KEV_LULL_WORTH) {
        lull->patience = KEV_LULL_PATIENCE;
    }
    else if (lull->patience < KEV_LULL_OPEN) {
        lull->patience *= 2;
    }
}

void
kev_lull_empty(struct kev_lull *lull, int epfd)
{
    bool open = lull->uring.fd >= 0;
    if (lull->refused
        || ++lull->empties < (open ? lull->patience : KEV_LULL_OPEN)) {
        return;
    }
    lull->empties = 0;
    int r = open ? 0 : kev_sys_uring_open(&lull->uring);
    if (r == 0) {
        r = kev_sys_uring_ask(&lull->uring, epfd);
    }
    if (r < 0) {
        kev_lull_fini(lull);
        return;
    }
    lull->left_out = 0;
    lull->asked = r == 0;
    lull->resting = lull->asked;
}

void
kev_queue_steady(struct kev_queue *queue, bool steady)
{
    struct kev_lull *lull = &queue->lull;
    lull->steady = steady && queue->owned;
    /* The ring answers only to the thread that made it, and what that thread
       asked for ends with it. */
    if (lull->steady && lull->asked) {
        int r = kev_sys_uring_look(&lull->uring);
        lull->asked = r == 0;
        if (r < 0) {
            kev_sys_uring_close(&lull->uring);
        }
    }
    lull->resting = lull->steady && lull->asked;
}
