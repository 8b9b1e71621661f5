/*
 * queue.c - the life of a queue, and what its descriptor tells.
 *
 * The descriptor is that of the epoll set, so it can be polled and put into
 * another queue.  What waits on the ready list is in no kernel object; while
 * there is some, the bell is kept rung for a poller to see.
 */
#include "kev/queue.h"

#include <errno.h>

#include "kev/owned.h"
#include "kev/sys.h"
#include "kev/wait.h"

/* ---- opening ---- */

static int
queue_fill(struct kev_queue *queue)
{
    int r = kev_sys_fork_mark(&queue->process);
    if (r < 0) {
        return r;
    }
    queue->events =
        kev_sys_alloc_lines(KEV_HARVEST_MAX * sizeof(struct epoll_event));
    if (queue->events == NULL) {
        return -ENOMEM;
    }
    queue->epfd = kev_sys_epoll_create();
    if (queue->epfd < 0) {
        return queue->epfd;
    }
    queue->bell_fd = kev_sys_eventfd();
    if (queue->bell_fd < 0) {
        return queue->bell_fd;
    }
    return kev_origin_internal(queue, queue->bell_fd, KEV_ORIGIN_BELL);
}

int
kevent_open(struct kev_queue **ret_queue, unsigned flags)
{
    if (flags & ~KEVENT_OPEN_OWNED) {
        return -EINVAL;
    }
    struct kev_queue *queue = kev_sys_alloc_lines(sizeof(*queue));
    if (queue == NULL) {
        return -ENOMEM;
    }
    queue->owned = (flags & KEVENT_OPEN_OWNED) != 0;
    queue->epfd = -1;
    queue->bell_fd = -1;
    queue->clock_fd = -1;
    queue->signal_fd = -1;
    queue->inotify_fd = -1;
    for (int i = 0; i < KEV_WALLS; i++) {
        queue->walls[i].fd = -1;
        kev_heap_init(&queue->walls[i].timers);
    }
    (void)sigemptyset(&queue->signals);
    queue->spare_bell = -1;
    queue->references = 1;
    kev_heap_init(&queue->timers);
    kev_lull_init(&queue->lull);
    pthread_mutex_init(&queue->lock, NULL);
    int r = queue_fill(queue);
    if (r < 0) {
        queue->dead = true;
        kev_queue_shut(queue);
        kev_queue_unref(queue);
        return r;
    }
    *ret_queue = queue;
    return 0;
}

/* ---- closing ---- */

static void
note_discard(struct kev_note *note, void *context)
{
    if (note->source->discard != NULL) {
        note->source->discard(note);
    }
    kev_note_free(context, note);
}

static void
descriptor_close(int *fd)
{
    if (*fd >= 0) {
        (void)kev_sys_close(*fd);
        *fd = -1;
    }
}

void
kev_queue_shut(struct kev_queue *queue)
{
    /* Closing the set forgets its entries, but not in another process that
       shares it: nothing is removed from it, so nothing is there either. */
    kev_lull_fini(&queue->lull);
    descriptor_close(&queue->epfd);
    descriptor_close(&queue->clock_fd);
    descriptor_close(&queue->signal_fd);
    descriptor_close(&queue->inotify_fd);
    kev_wait_fini(queue);
    for (struct kev_note *note = queue->ready.first; note != NULL;) {
        struct kev_note *next = note->ready_next;
        if (note->state & KEV_NOTE_ORPHAN) {
            kev_note_free(&queue->registry, note);
        }
        note = next;
    }
    kev_registry_each(&queue->registry, note_discard, &queue->registry);
    kev_registry_fini(&queue->registry);
    kev_heap_fini(&queue->timers);
    for (int i = 0; i < KEV_WALLS; i++) {
        descriptor_close(&queue->walls[i].fd);
        kev_heap_fini(&queue->walls[i].timers);
    }
    kev_inodes_fini(queue);
    kev_records_fini(&queue->records);
    kev_sys_free(queue->events);
    queue->events = NULL;
    queue->ready = (struct kev_ready_list){.first = NULL};
    queue->rechecks = NULL;
    queue->knock = NULL;
    queue->ring = (struct kev_ring){.memory = NULL};
}

void
kev_queue_ref(struct kev_queue *queue)
{
    __atomic_fetch_add(&queue->references, 1, __ATOMIC_RELAXED);
}

void
kev_queue_unref(struct kev_queue *queue)
{
    if (__atomic_fetch_sub(&queue->references, 1, __ATOMIC_ACQ_REL) != 1) {
        return;
    }
    /* The bell outlives the rest, so that a late knock finds it. */
    descriptor_close(&queue->bell_fd);
    pthread_mutex_destroy(&queue->lock);
    kev_sys_free(queue);
}

void
kevent_close(struct kev_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    if (!kev_sys_fork_same(&queue->process)) {
        /* A child's copy.  Whoever slept in it, or held its lock, slept in
           the parent. */
        queue->sleepers = 0;
        queue->dead = true;
        kev_queue_shut(queue);
        kev_queue_unref(queue);
        return;
    }
    kev_queue_lock(queue);
    if (!queue->dead) {
        queue->dead = true;
        kev_wait_wake_all(queue);
        if (queue->sleepers == 0) {
            kev_queue_shut(queue);
        }
    }
    kev_queue_unlock(queue);
    kev_queue_unref(queue);
}

/* ---- what a poller sees ---- */

int
kevent_fileno(const struct kev_queue *queue)
{
    return queue->epfd;
}

static void
bell_settle(struct kev_queue *queue)
{
    bool wanted = queue->ready.count != 0 || queue->rechecks != NULL;
    if (wanted && !queue->bell_rung) {
        queue->bell_rung = kev_sys_eventfd_ring(queue->bell_fd) == 0;
    }
    else if (!wanted && queue->bell_rung
             && kev_sys_eventfd_drain(queue->bell_fd) == 0) {
        queue->bell_rung = false;
        /* A knock may have been drained along; it is rung once more. */
        if (__atomic_load_n(&queue->knocked, __ATOMIC_ACQUIRE)) {
            (void)kev_sys_eventfd_ring(queue->bell_fd);
        }
    }
}

void
kev_queue_settle_clock(struct kev_queue *queue)
{
    if (queue->clock_fd >= 0) {
        uint64_t deadline_ns = queue->timers.count == 0
            ? 0 : kev_heap_deadline(&queue->timers);
        if (deadline_ns != queue->clock_armed_ns
            && kev_sys_timerfd_set(queue->clock_fd, deadline_ns) == 0) {
            queue->clock_armed_ns = deadline_ns;
        }
    }
    kev_walls_settle(queue);
}

void
kev_queue_settle(struct kev_queue *queue)
{
    kev_queue_settle_clock(queue);
    if (queue->leader == NULL) {
        bell_settle(queue);
    }
}

bool
kev_queue_is_ours(const struct kev_queue *queue)
{
    return kev_sys_fork_same(&queue->process);
}

int
kev_queue_knock(struct kev_queue *queue)
{
    if (!kev_sys_fork_same(&queue->process)) {
        return -EBADF;
    }
    if (__atomic_exchange_n(&queue->knocked, 1, __ATOMIC_ACQ_REL) != 0) {
        /* Whoever set it rings, or has rung, and nobody has looked yet. */
        return 0;
    }
    int r = kev_sys_eventfd_ring(queue->bell_fd);
    if (r < 0) {
        __atomic_store_n(&queue->knocked, 0, __ATOMIC_RELEASE);
    }
    return r;
}

/* ---- the ring ---- */

int
kevent_ring_init(struct kev_queue *queue, struct kevent_ring *ring,
                 unsigned num)
{
    kev_queue_lock(queue);
    int r = kev_queue_usable(queue);
    if (r == 0 && ring == NULL && kev_wait_uses_ring(queue)) {
        r = -EBUSY;
    }
    if (r == 0) {
        r = kev_ring_attach(&queue->ring, ring, num);
    }
    kev_queue_unlock(queue);
    return r;
}

int
kevent_commit(struct kev_queue *queue, unsigned new_uidx, unsigned over)
{
    kev_queue_lock(queue);
    int r = kev_queue_usable(queue);
    if (r == 0) {
        r = kev_ring_commit(&queue->ring, new_uidx, over);
    }
    if (r > 0) {
        kev_wait_distribute(queue);
        kev_queue_settle(queue);
    }
    kev_queue_unlock(queue);
    return r;
}

void
kev_queue_consume(struct kev_queue *queue, unsigned count)
{
    kev_ring_release(&queue->ring, count);
}
