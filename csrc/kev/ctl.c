/*
 * ctl.c - kevent_ctl: registering, changing and removing kevents.
 *
 * ADD reports a kevent that is ready at once instead of registering it,
 * unless ALWAYS_QUEUE asks otherwise; one poll(2) looks at a whole batch.
 * Each element stands for itself: one that fails changes nothing, says why in
 * ret_data[1], and the others go on.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/sys.h"
#include "kev/wait.h"

#define REQ_KNOWN                                             \
    (KEVENT_REQ_ONESHOT | KEVENT_REQ_WAKEUP_ALL               \
     | KEVENT_REQ_ET | KEVENT_REQ_LAST_CHECK                  \
     | KEVENT_REQ_ALWAYS_QUEUE | KEVENT_REQ_READY             \
     | KEVENT_REQ_LEVEL | KEVENT_REQ_COUNT                    \
     | KEVENT_REQ_REPLACE)

/* How many elements of an ADD one poll(2) looks at. */
#define ADD_BATCH 64u

static const struct kev_source *const sources[KEVENT_MAX] = {
    [KEVENT_SOCKET] = &kev_source_socket,
    [KEVENT_INODE] = &kev_source_inode,
    [KEVENT_TIMER] = &kev_source_timer,
    [KEVENT_POLL] = &kev_source_poll,
    [KEVENT_PIPE] = &kev_source_pipe,
    [KEVENT_SIGNAL] = &kev_source_signal,
    [KEVENT_POSIX_TIMER] = &kev_source_posix_timer,
    [KEVENT_UNOTIFY] = &kev_source_user,
};

const struct kev_source *
kev_source_of(uint32_t type)
{
    if (type == KEVENT_PROC) {
        return &kev_source_proc;
    }
    return type < KEVENT_MAX ? sources[type] : NULL;
}

static void
element_answer(struct ukevent *element, int error)
{
    element->ret_flags = KEVENT_RET_DONE;
    if (error < 0) {
        element->ret_flags |= KEVENT_RET_BROKEN;
        element->ret_data[1] = (uint32_t)error;
    }
}

/* The element's source in *ret_source; 0 or -errno. */
static int
element_check(struct kev_queue *queue, const struct ukevent *element,
              const struct kev_source **ret_source)
{
    const struct kev_source *source = kev_source_of(element->type);
    if (source == NULL) {
        return -ENOSYS;
    }
    const uint32_t edge_and_level = KEVENT_REQ_ET | KEVENT_REQ_LEVEL;
    if ((element->event & ~source->events_known)
        || (element->req_flags & ~REQ_KNOWN)
        || (element->req_flags & edge_and_level) == edge_and_level) {
        return -EINVAL;
    }
    *ret_source = source;
    return source->check(queue, element);
}

static struct kev_note *
element_find(struct kev_queue *queue, const struct ukevent *element)
{
    const struct kev_source *source = kev_source_of(element->type);
    return source == NULL ? NULL
        : kev_registry_find(&queue->registry, source, element->type,
                            element->id.raw_u64);
}

/* ---- ADD ---- */

static int
note_register(struct kev_queue *queue, struct kev_note *note)
{
    if (note->source->has_fd) {
        note->watch = note->source->watch(&note->uk);
        return kev_origin_attach(queue, note);
    }
    int r = kev_registry_reserve(&queue->registry);
    if (r == 0) {
        r = note->source->start(queue, note);
    }
    if (r == 0) {
        kev_registry_insert(&queue->registry, note);
    }
    return r;
}

static void
note_force(struct kev_queue *queue, struct kev_note *note)
{
    note->uk.ret_flags |= KEVENT_RET_DONE;
    if ((note->state & KEV_NOTE_QUEUED) == 0) {
        note->state |= KEV_NOTE_FORCED;
        kev_ready_push(queue, note);
    }
}

static int note_modify(struct kev_queue *queue, struct kev_note *note,
                       const struct ukevent *element);

/* REPLACE: the element in the place of the one that has its key. */
static int
element_replace(struct kev_queue *queue, const struct ukevent *element)
{
    struct kev_note *note = element_find(queue, element);
    uint64_t user_before = note->uk.user_u64;
    note->uk.user_u64 = element->user_u64;
    int r = note_modify(queue, note, element);
    if (r < 0) {
        note->uk.user_u64 = user_before;
    }
    return r;
}

/* 1: ready at once, the answer is in element; 0: registered; -errno. */
static int
element_add(struct kev_queue *queue, struct ukevent *element,
            uint32_t happened)
{
    const struct kev_source *source;
    int r = element_check(queue, element, &source);
    if (r < 0) {
        return r;
    }
    if (element_find(queue, element) != NULL) {
        r = source->has_fd ? kev_origin_probe(queue, element) : -EEXIST;
        if (r == -EEXIST && (element->req_flags & KEVENT_REQ_REPLACE)) {
            return element_replace(queue, element);
        }
        if (r < 0) {
            return r;
        }
    }
    struct ukevent fresh = *element;
    fresh.ret_flags = 0;
    fresh.ret_data[0] = 0;
    fresh.ret_data[1] = 0;
    if (happened & POLLNVAL) {
        return -EBADF;
    }
    if (happened != 0) {
        struct ukevent answer = fresh;
        happened &= source->watch(&fresh);
        if (happened != 0 && source->fire(&answer, happened)) {
            kev_ready_count(&answer, source);
            *element = answer;
            return 1;
        }
    }
    struct kev_note *note = kev_note_new(&queue->registry);
    if (note == NULL) {
        return -ENOMEM;
    }
    note->uk = fresh;
    note->source = source;
    r = note_register(queue, note);
    if (r < 0) {
        kev_note_free(&queue->registry, note);
        return r;
    }
    if (element->req_flags & KEVENT_REQ_READY) {
        note_force(queue, note);
    }
    return 0;
}

/* What poll(2) says of those elements that want to know; 0 or -errno. */
static int
batch_poll(const struct ukevent *elements, unsigned num, struct pollfd *fds)
{
    bool any = false;
    for (unsigned i = 0; i < num; i++) {
        const struct ukevent *element = &elements[i];
        const struct kev_source *source = kev_source_of(element->type);
        fds[i] = (struct pollfd){.fd = -1};
        if (source != NULL && source->has_fd
            && (element->req_flags & KEVENT_REQ_ALWAYS_QUEUE) == 0) {
            fds[i].fd = (int)element->id.raw[0];
            fds[i].events = (short)source->watch(element);
            any = true;
        }
    }
    int r = any ? kev_sys_poll(fds, num, 0, NULL) : 0;
    return r < 0 ? r : 0;
}

static int
ctl_add(struct kev_queue *queue, unsigned num, struct ukevent *arg)
{
    struct pollfd fds[ADD_BATCH];
    unsigned told = 0;
    for (unsigned first = 0; first < num; first += ADD_BATCH) {
        unsigned count = num - first < ADD_BATCH ? num - first : ADD_BATCH;
        int polled = batch_poll(arg + first, count, fds);
        for (unsigned i = 0; i < count; i++) {
            struct ukevent element = arg[first + i];
            int r = polled;
            if (r == 0) {
                r = element_add(queue, &element,
                                (unsigned short)fds[i].revents);
            }
            if (r < 0) {
                element_answer(&element, r);
            }
            if (r != 0) {
                arg[told++] = element;
            }
        }
    }
    return (int)told;
}

/* ---- MODIFY, REMOVE, READY ---- */

int
kev_note_drop(struct kev_queue *queue, struct kev_note *note)
{
    int r = 0;
    kev_ready_remove(queue, note);
    kev_recheck_remove(queue, note);
    if ((note->state & KEV_NOTE_ORPHAN) == 0) {
        if (note->source->has_fd) {
            r = kev_origin_detach(queue, note);
        }
        else {
            note->source->stop(queue, note);
            kev_registry_remove(&queue->registry, note);
        }
    }
    kev_note_free(&queue->registry, note);
    return r;
}

/* Would nobody say it again, were the pending report withdrawn? */
static bool
report_lasts(const struct kev_queue *queue, const struct kev_note *note)
{
    return note->source->lasting
        || ((note->state & KEV_NOTE_TIMED) && queue->timing == NULL);
}

/* A pending report is withdrawn: the kernel says again what still holds. */
static int
note_modify(struct kev_queue *queue, struct kev_note *note,
            const struct ukevent *element)
{
    const struct kev_note before = *note;
    int r;
    note->uk.event = element->event;
    note->uk.req_flags = element->req_flags;
    if (note->source->has_fd) {
        note->watch = note->source->watch(&note->uk);
        r = kev_origin_update(queue, note);
    }
    else {
        r = note->source->change(queue, note);
    }
    if (r < 0) {
        note->uk.event = before.uk.event;
        note->uk.req_flags = before.uk.req_flags;
        note->watch = before.watch;
        return r;
    }
    kev_recheck_remove(queue, note);
    if (!report_lasts(queue, note)) {
        kev_ready_remove(queue, note);
        note->uk.ret_flags = 0;
        note->uk.ret_data[0] = 0;
        note->uk.ret_data[1] = 0;
    }
    if (element->req_flags & KEVENT_REQ_READY) {
        note_force(queue, note);
    }
    return 0;
}

static int
element_modify(struct kev_queue *queue, const struct ukevent *element)
{
    const struct kev_source *source;
    struct kev_note *note = element_find(queue, element);
    if (note == NULL) {
        return kev_source_of(element->type) == NULL ? -ENOSYS : -ENOENT;
    }
    int r = element_check(queue, element, &source);
    if (r == 0) {
        r = note_modify(queue, note, element);
    }
    if (r == -ENOENT || r == -EBADF) {
        /* The descriptor was closed: the caller has been told. */
        (void)kev_note_drop(queue, note);
    }
    return r;
}

static int
element_remove(struct kev_queue *queue, const struct ukevent *element)
{
    struct kev_note *note = element_find(queue, element);
    return note == NULL ? -ENOENT : kev_note_drop(queue, note);
}

static int
ctl_each(struct kev_queue *queue, unsigned num, struct ukevent *arg,
         int (*apply)(struct kev_queue *, const struct ukevent *))
{
    if (num > queue->registry.count) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < num; i++) {
        element_answer(&arg[i], apply(queue, &arg[i]));
    }
    return 0;
}

static int
ctl_ready(struct kev_queue *queue, unsigned num, struct ukevent *arg)
{
    unsigned missing = 0;
    if (num > queue->registry.count) {
        return -EINVAL;
    }
    if (num == 0) {
        kev_wait_wake_one(queue);
    }
    for (unsigned i = 0; i < num; i++) {
        struct ukevent element = arg[i];
        struct kev_note *note = element_find(queue, &element);
        if (note == NULL) {
            arg[missing++] = element;
            continue;
        }
        note->uk.ret_data[0] |= element.ret_data[0];
        note->uk.ret_data[1] = element.ret_data[1];
        note_force(queue, note);
    }
    return (int)(num - missing);
}

int
kevent_ctl(struct kev_queue *queue, unsigned cmd, unsigned num,
           struct ukevent *arg)
{
    if (num > INT32_MAX || (num != 0 && arg == NULL)) {
        return num > INT32_MAX ? -EINVAL : -EFAULT;
    }
    kev_queue_lock(queue);
    int r = kev_queue_usable(queue);
    if (r == 0) {
        switch (cmd) {
        case KEVENT_CTL_ADD:
            r = ctl_add(queue, num, arg);
            break;
        case KEVENT_CTL_REMOVE:
            r = ctl_each(queue, num, arg, element_remove);
            break;
        case KEVENT_CTL_MODIFY:
            r = ctl_each(queue, num, arg, element_modify);
            break;
        case KEVENT_CTL_READY:
            r = ctl_ready(queue, num, arg);
            break;
        default:
            r = -EINVAL;
        }
        kev_wait_distribute(queue);
        kev_queue_settle(queue);
    }
    kev_queue_unlock(queue);
    return r;
}

uint64_t
kevent_features(void)
{
    uint64_t features = KEVENT_FEATURE_PROC | KEVENT_FEATURE_LEVEL
        | KEVENT_FEATURE_COUNT | KEVENT_FEATURE_REPLACE
        | KEVENT_FEATURE_SEEN | KEVENT_FEATURE_CLOCKS
        | KEVENT_FEATURE_RECORDS;
    for (uint32_t type = 0; type < KEVENT_MAX; type++) {
        features |= (uint64_t)(sources[type] != NULL) << type;
    }
    return features;
}

int
kevent_timer(struct kev_queue *queue, unsigned cmd, const struct ukevent *uk,
             uint64_t initial_ns, uint64_t interval_ns, unsigned flags)
{
    const unsigned clocks = KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME;
    if (uk == NULL) {
        return -EFAULT;
    }
    if ((cmd != KEVENT_CTL_ADD && cmd != KEVENT_CTL_MODIFY)
        || (uk->type != KEVENT_TIMER && uk->type != KEVENT_POSIX_TIMER)
        || (flags & ~(clocks | KEVENT_FLAGS_ABSTIME))
        || (flags & clocks) == clocks) {
        return -EINVAL;
    }
    const struct kev_timing timing = {
        .initial_ns = initial_ns,
        .interval_ns = interval_ns,
        .absolute = (flags & KEVENT_FLAGS_ABSTIME) != 0,
        .clock = flags & KEVENT_FLAGS_REALTIME ? KEV_CLOCK_REALTIME
            : flags & KEVENT_FLAGS_BOOTTIME ? KEV_CLOCK_BOOTTIME
            : KEV_CLOCK_MONOTONIC,
    };
    struct ukevent element = *uk;
    kev_queue_lock(queue);
    int r = kev_queue_usable(queue);
    if (r == 0) {
        queue->timing = &timing;
        r = cmd == KEVENT_CTL_ADD ? element_add(queue, &element, 0)
            : element_modify(queue, &element);
        queue->timing = NULL;
        kev_wait_distribute(queue);
        kev_queue_settle(queue);
    }
    kev_queue_unlock(queue);
    return r;
}
