/*
 * fixture.h - what most tests of the core begin with.
 */
#ifndef KEV_TESTS_FIXTURE_H
#define KEV_TESTS_FIXTURE_H

#include "kev/kevent.h"
#include "kev/owned.h"
#include "kev/queue.h"
#include "kev/wait.h"
#include "runner.h"

#define MSEC KEV_NSEC_PER_MSEC
#define SEC  KEV_NSEC_PER_SEC

/* What an event loop asks for; one for those who want events queued. */
#define LEVEL  (KEVENT_REQ_LEVEL | KEVENT_REQ_ALWAYS_QUEUE)
#define QUEUED KEVENT_REQ_ALWAYS_QUEUE

struct kev_queue *open_shared(void);
struct kev_queue *open_owned(void);

/* Checks, then closes. */
void close_queue(struct kev_queue *queue);

/* A ring of num slots, attached; free() is the caller's, after close. */
struct kevent_ring *ring_new(struct kev_queue *queue, unsigned num);

struct ukevent uk_fd(uint32_t type, int fd, uint32_t event, uint32_t flags);
struct ukevent uk_poll(int fd, uint32_t event, uint32_t flags);
struct ukevent uk_user(uint64_t id, uint32_t flags);
struct ukevent uk_timer(uint64_t interval_ns, uint32_t flags);
/* A timer of either type by a name of its own, for set_timer(). */
struct ukevent uk_named(uint32_t type, uint64_t id, uint32_t flags);

/* One element, a copy of which is handed in: 0 (done), 1 (ADD: ready at
   once) or the -errno of the element or of the call.  The answer is in
   *answer, unless it is NULL. */
int ctl(struct kev_queue *queue, unsigned cmd, struct ukevent uk,
        struct ukevent *answer);
int add(struct kev_queue *queue, struct ukevent uk);
int modify(struct kev_queue *queue, struct ukevent uk);
int remove_one(struct kev_queue *queue, struct ukevent uk);
int ready(struct kev_queue *queue, struct ukevent uk);
/* kevent_timer() with a copy. */
int set_timer(struct kev_queue *queue, unsigned cmd, struct ukevent uk,
              uint64_t initial_ns, uint64_t interval_ns, unsigned flags);

/* What there is without sleeping. */
int take(struct kev_queue *queue, struct ukevent *buf, unsigned max);

/* Is the queue's descriptor readable? */
bool readable(const struct kev_queue *queue);

/* CHECK that exactly one event is there, of this type and descriptor. */
struct ukevent take_one(struct kev_queue *queue);
void take_none(struct kev_queue *queue);

struct pair {
    int near;    /* what is watched */
    int far;     /* where things happen */
};

struct pair pair_pipe(void);      /* near reads, far writes */
struct pair pair_sockets(void);   /* AF_UNIX stream */
void pair_close(struct pair pair);
void write_byte(int fd);
void read_bytes(int fd);          /* all that is there */

/* From now on only so many more descriptors can be opened; until
   descriptors_free(). */
void descriptors_limit(unsigned more);
void descriptors_free(void);

/* Until so many threads stand in the queue's line. */
void await_waiters(struct kev_queue *queue, unsigned count);

#endif
