/*
 * descriptor.c - from a descriptor to its queue, and the queue's life.
 *
 * The core names a queue by pointer, the calls of 2006 by descriptor: the
 * table between the two is per module instance, an array indexed by the
 * descriptor.  A program may close a queue's descriptor with os.close(); the
 * entry is then stale until the kernel gives the number to another queue,
 * which is when we find out (descriptor_bury).
 */
#include "mod/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kev/wait.h"
#include "mod/compat.h"
#include "mod/errors.h"

int
KevFd_IsOurs(const struct face_queue *queue)
{
    return kev_queue_is_ours(queue->core);
}

/* ---- the table -------------------------------------------------------- */

static int
table_reserve(struct face_cache *face, int fd)
{
    size_t need = (size_t)fd + 1;
    if (need <= face->by_fd_size) {
        return 0;
    }
    size_t size = need < 64 ? 64 : need + need / 2;
    struct face_queue **by_fd =
        PyMem_RawRealloc(face->by_fd, size * sizeof(*by_fd));
    if (by_fd == NULL) {
        return -1;
    }
    memset(by_fd + face->by_fd_size, 0,
           (size - face->by_fd_size) * sizeof(*by_fd));
    face->by_fd = by_fd;
    face->by_fd_size = size;
    return 0;
}

static struct face_queue *
table_get(struct face_cache *face, int fd)
{
    return (size_t)fd < face->by_fd_size ? face->by_fd[fd] : NULL;
}

/* ---- life ------------------------------------------------------------- */

/* Not with the table's lock held: letting go of a ring may run Python. */
static void
queue_free(struct face_queue *queue)
{
    RingObject *ring = queue->ring;
    kev_queue_unref(queue->core);
    PyMem_RawFree(queue);
    if (ring != NULL) {
        KevRing_SetAttached(ring, 0);
        Py_DECREF(ring);
    }
}

/* Takes the name out of the table; the user that it was remains.  Lock
   held. */
static void
queue_unname(struct face_cache *face, struct face_queue *queue)
{
    if (table_get(face, queue->fd) == queue) {
        face->by_fd[queue->fd] = NULL;
    }
    KEV_POKE(queue->is_closed, 1);
}

void
KevFd_Leave(ModState *state, struct face_queue *queue)
{
    KEV_FACE_LOCK(state);
    unsigned left = --queue->users;
    KEV_FACE_UNLOCK(state);
    if (left == 0) {
        queue_free(queue);
    }
}

void
KevFd_Close(ModState *state, struct face_queue *queue)
{
    KEV_FACE_LOCK(state);
    int was_closed = queue->is_closed;
    queue_unname(&state->face, queue);
    KEV_FACE_UNLOCK(state);
    if (!was_closed) {
        kevent_close(queue->core);
        KevFd_Leave(state, queue);
    }
}

/*
 * A number was given to a new queue: whatever the table has there is stale.
 * Closing the old queue closes that number: save the new one's kernel half and
 * put it back.
 */
static void
descriptor_bury(ModState *state, int fd)
{
    KEV_FACE_LOCK(state);
    struct face_queue *stale = table_get(&state->face, fd);
    int saved = -1;
    if (stale != NULL && stale->users == 1) {
        saved = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
    }
    if (stale != NULL && saved < 0) {
        /* Who sleeps in it would close the number whenever he wakes.  To
           leak the old queue's memory harms nobody. */
        queue_unname(&state->face, stale);
    }
    KEV_FACE_UNLOCK(state);
    if (saved >= 0) {
        KevFd_Close(state, stale);
        (void)dup3(saved, fd, O_CLOEXEC);
        (void)close(saved);
    }
}

struct face_queue *
KevFd_Open(ModState *state, const char *call)
{
    struct face_queue *queue = PyMem_RawCalloc(1, sizeof(*queue));
    if (queue == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    int r = kevent_open(&queue->core, 0);
    if (r < 0) {
        PyMem_RawFree(queue);
        KevErr_Set(-r, "%s()", call);
        return NULL;
    }
    kev_queue_ref(queue->core);
    queue->state = state;
    queue->fd = kevent_fileno(queue->core);
    queue->users = 2;   /* its name, and the caller */
    descriptor_bury(state, queue->fd);
    KEV_FACE_LOCK(state);
    r = table_reserve(&state->face, queue->fd);
    if (r == 0) {
        state->face.by_fd[queue->fd] = queue;
    }
    KEV_FACE_UNLOCK(state);
    if (r < 0) {
        KevFd_Disown(state, &queue);
        PyErr_NoMemory();
        return NULL;
    }
    return queue;
}

/* ---- calls ------------------------------------------------------------ */

/* NULL and one user more, or why the queue may not be used.  Lock held. */
static const char *
queue_use(struct face_queue *queue)
{
    if (queue->is_closed) {
        return "the queue is closed";
    }
    if (!KevFd_IsOurs(queue)) {
        return "the queue is the parent process's, a child must open its own";
    }
    queue->users++;
    return NULL;
}

struct face_queue *
KevFd_Enter(ModState *state, const char *call,
            struct face_queue *const *place)
{
    KEV_FACE_LOCK(state);
    struct face_queue *queue = *place;
    const char *why = queue == NULL
        ? "the queue is closed" : queue_use(queue);
    KEV_FACE_UNLOCK(state);
    if (why != NULL) {
        KevErr_Set(EBADF, "%s(): %s", call, why);
        return NULL;
    }
    return queue;
}

/* Sets the OSError of a descriptor that names no queue. */
static void
no_queue(const char *call, int fd)
{
    if (fd < 0 || fcntl(fd, F_GETFD) < 0) {
        KevErr_Set(EBADF, "%s(fd=%d)", call, fd);
    }
    else {
        KevErr_Set(EINVAL, "%s(fd=%d): not a kevent queue", call, fd);
    }
}

/* What PyObject_AsFileDescriptor says, but a negative one is only a bad one:
   -1 without an exception. */
static int
descriptor_of(PyObject *object)
{
    int fd = PyObject_AsFileDescriptor(object);
    if (fd < 0 && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
    }
    return fd;
}

struct face_queue *
KevFd_EnterFd(ModState *state, const char *call, PyObject *descriptor)
{
    int fd = descriptor_of(descriptor);
    if (fd < 0) {
        if (!PyErr_Occurred()) {
            no_queue(call, fd);
        }
        return NULL;
    }
    KEV_FACE_LOCK(state);
    struct face_queue *queue = table_get(&state->face, fd);
    const char *why = queue == NULL ? NULL : queue_use(queue);
    KEV_FACE_UNLOCK(state);
    if (queue == NULL) {
        no_queue(call, fd);
        return NULL;
    }
    if (why != NULL) {
        KevErr_Set(EBADF, "%s(fd=%d): %s", call, fd, why);
        return NULL;
    }
    return queue;
}

int
KevFd_CloseFd(ModState *state, const char *call, PyObject *descriptor)
{
    int fd = descriptor_of(descriptor);
    if (fd < 0 && PyErr_Occurred()) {
        return -1;
    }
    KEV_FACE_LOCK(state);
    struct face_queue *queue = fd < 0 ? NULL : table_get(&state->face, fd);
    if (queue != NULL) {
        queue->users++;
    }
    KEV_FACE_UNLOCK(state);
    if (queue == NULL) {
        no_queue(call, fd);
        return -1;
    }
    KevFd_Close(state, queue);
    KevFd_Leave(state, queue);
    return 0;
}

/* ---- owners ----------------------------------------------------------- */

void
KevFd_Disown(ModState *state, struct face_queue **place)
{
    KEV_FACE_LOCK(state);
    struct face_queue *queue = *place;
    *place = NULL;
    KEV_FACE_UNLOCK(state);
    if (queue != NULL) {
        KevFd_Close(state, queue);
        KevFd_Leave(state, queue);
    }
}

RingObject *
KevFd_Ring(ModState *state, const struct face_queue *queue)
{
    KEV_FACE_LOCK(state);
    PyObject *ring = Py_XNewRef((PyObject *)queue->ring);
    KEV_FACE_UNLOCK(state);
    return (RingObject *)ring;
}

void
KevFd_Teardown(ModState *state)
{
    struct face_cache *face = &state->face;
    for (size_t fd = 0; fd < face->by_fd_size; fd++) {
        if (face->by_fd[fd] != NULL) {
            KevFd_Close(state, face->by_fd[fd]);
        }
    }
    PyMem_RawFree(face->by_fd);
    face->by_fd = NULL;
    face->by_fd_size = 0;
}
