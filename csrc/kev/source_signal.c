/*
 * source_signal.c - KEVENT_SIGNAL: a signal that is sent to the process.
 *
 * id.raw[0] is its number; KEVENT_SIGNAL_NOMASK, in raw[1], asks that it come
 * by the queue alone.  Without it the handler that is set for the signal runs
 * as well, called when the queue reads the signal; a default action is not
 * performed.
 *
 * One signalfd tells of all signals of a queue, which needs them blocked.
 * ADD blocks the signal in the calling thread, threads started later inherit
 * that, and others have to block it themselves.  It stays blocked: were it
 * not, one that is pending would strike whoever thought it was taken care
 * of.
 *
 * Real-time signals are one event each, in order.  The kernel merges standard
 * ones that are pending; those that wait in the queue are merged too, and the
 * record says how many.  Two queues that watch the same signal share it out.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/sys.h"

static int
signal_check(struct kev_queue *queue, const struct ukevent *wanted)
{
    sigset_t set;
    (void)queue;
    (void)sigemptyset(&set);
    if (wanted->id.raw[1] & ~KEVENT_SIGNAL_NOMASK) {
        return -EINVAL;
    }
    return wanted->id.raw[0] > INT32_MAX
        ? -EINVAL : kev_sys_sigset(&set, (int)wanted->id.raw[0], true);
}

static struct kev_note *
signal_find(struct kev_queue *queue, uint32_t number, uint32_t mask)
{
    struct kevent_id id = {.raw = {number, mask}};
    return kev_registry_find(&queue->registry, &kev_source_signal,
                             KEVENT_SIGNAL, id.raw_u64);
}

static int
signals_open(struct kev_queue *queue, const sigset_t *signals)
{
    int r = kev_records_reserve(queue);
    if (r < 0) {
        return r;
    }
    int fd = kev_sys_signalfd(-1, signals);
    if (fd < 0) {
        return fd;
    }
    r = kev_origin_internal(queue, fd, KEV_ORIGIN_SIGNALS);
    if (r < 0) {
        (void)kev_sys_close(fd);
        return r;
    }
    queue->signal_fd = fd;
    return 0;
}

static int
signal_start(struct kev_queue *queue, struct kev_note *note)
{
    int number = (int)note->uk.id.raw[0];
    sigset_t signals = queue->signals;
    (void)kev_sys_sigset(&signals, number, true);
    int r = queue->signal_fd < 0
        ? signals_open(queue, &signals)
        : kev_sys_signalfd(queue->signal_fd, &signals);
    if (r < 0) {
        return r;
    }
    r = kev_sys_signal_block(number);
    if (r < 0) {
        (void)kev_sys_signalfd(queue->signal_fd, &queue->signals);
        return r;
    }
    queue->signals = signals;
    return 0;
}

static int
signal_change(struct kev_queue *queue, struct kev_note *note)
{
    (void)queue;
    (void)note;
    return 0;
}

static void
signal_stop(struct kev_queue *queue, struct kev_note *note)
{
    uint32_t number = note->uk.id.raw[0];
    uint32_t other = note->uk.id.raw[1] ^ KEVENT_SIGNAL_NOMASK;
    if (signal_find(queue, number, other) == NULL) {
        (void)kev_sys_sigset(&queue->signals, (int)number, false);
        /* If this fails we hear of signals that nobody here wants. */
        (void)kev_sys_signalfd(queue->signal_fd, &queue->signals);
    }
    note->uk.event = 0;   /* what is read from here on is not for it */
    kev_record_drop(queue, note);
}

static void
signal_post(struct kev_queue *queue, struct kev_note *note,
            const struct signalfd_siginfo *info)
{
    const struct kevent_record told = {
        .type = KEVENT_SIGNAL, .count = 1, .signal = *info,
    };
    if (note->uk.event & KEVENT_SIGNAL_DELIVERY) {
        kev_record_post(queue, note, &told, KEVENT_SIGNAL_DELIVERY, 0,
                        (int)info->ssi_signo < SIGRTMIN);
    }
}

void
kev_signals_read(struct kev_queue *queue)
{
    struct signalfd_siginfo info;
    while (queue->signal_fd >= 0 && kev_records_room(&queue->records)) {
        int r = kev_sys_read(queue->signal_fd, &info, sizeof(info));
        if (r == -EINTR) {
            continue;
        }
        if (r != (int)sizeof(info)) {
            if (r != -EAGAIN) {
                kev_origin_retell(queue, queue->signal_fd);
            }
            return;
        }
        struct kev_note *silent =
            signal_find(queue, info.ssi_signo, KEVENT_SIGNAL_NOMASK);
        struct kev_note *plain = signal_find(queue, info.ssi_signo, 0);
        if (silent != NULL) {
            signal_post(queue, silent, &info);
        }
        if (plain != NULL) {
            signal_post(queue, plain, &info);
            /* Handlers may do little, and take no lock: ours may be held. */
            kev_sys_signal_handle(&info);
        }
    }
}

const struct kev_source kev_source_signal = {
    .name = "signal",
    .events_known = KEVENT_SIGNAL_DELIVERY,
    .has_fd = false,
    .lasting = true,
    .check = signal_check,
    .start = signal_start,
    .change = signal_change,
    .stop = signal_stop,
    .take = kev_record_take,
    .again = kev_record_next,
    .discard = kev_record_discard,
};
