/*
 * loop_run.c - one iteration, and the order in it.
 *
 * Wait; then run what was queued before the wait, then what the ring tells,
 * then the timers whose time had come when the wait ended: asyncio's order.
 * Whatever is queued meanwhile runs in the next iteration.  An exception that
 * ends the pass (KeyboardInterrupt) leaves everything not yet run where it is:
 * queues, ring and due timers are members of the loop, not of this function.
 */
#include "aio/loop.h"

#include <errno.h>

#include "aio/guard.h"
#include "aio/handle_parts.h"
#include "aio/streams.h"
#include "aio/transport.h"
#include "mod/errors.h"

#define LONGEST_WAIT_NS ((int64_t)24 * 3600 * 1000000000)

static int
has_work(const LoopObject *self)
{
    return KevReady_Len(self->ready) > 0 || KEV_PEEK(self->stopping)
        || KevReady_Len(self->again) > 0 || KevReady_Len(self->due) > 0
        || self->ring_pending > 0;
}

/* How long the wait may be: 0 if there is work.  0 or -1 with an exception. */
static int
wait_time(LoopObject *self, uint64_t *ret_ns)
{
    TimerObject *first = KevTimers_First(&self->timers);
    if (has_work(self)) {
        *ret_ns = 0;
        return 0;
    }
    if (first == NULL) {
        *ret_ns = KEVENT_WAIT_FOREVER;
        return 0;
    }
    int64_t deadline = first->deadline_ns;
    int64_t now;
    if (KevLoop_TimeNs(self, &now) < 0) {
        return -1;
    }
    int64_t left = deadline - now;
    if (left < 0) {
        left = 0;
    }
    else if (left > LONGEST_WAIT_NS) {
        left = LONGEST_WAIT_NS;
    }
    *ret_ns = (uint64_t)left;
    return 0;
}

/*
 * A loop that has so much to do that it never really sleeps need not let go
 * of the GIL for each wait: that costs more than a look without sleep, which
 * then finds something.  Tried now and then, and as long as it does.
 */
#define TRY_LUCK_EVERY 16

static int
looks_first(LoopObject *self)
{
    return self->lucky || ++self->waits % TRY_LUCK_EVERY == 0;
}

/* The sleep and the harvest, the guard held but for the sleep.  What the core
   says (0 if there is something to do), or 1 with an exception. */
static int
poll_once(LoopObject *self, uint64_t limit_ns)
{
    uint64_t timeout_ns;
    if (wait_time(self, &timeout_ns) < 0 || KevLoop_CheckOpen(self) < 0) {
        return 1;
    }
    if (timeout_ns > limit_ns) {
        timeout_ns = limit_ns;
    }
    if (self->idle_count > 0) {
        KevLoop_SockSweep(self, timeout_ns != 0);
    }
    struct kev_queue *queue = self->queue;
    if (self->ring_read > 0) {
        kev_queue_consume(queue, self->ring_read);
        self->ring_read = 0;
    }
    int r = 0;
    if (timeout_ns == 0) {
        r = kev_queue_poll(queue, 0);
    }
    else if (looks_first(self)) {
        r = kev_queue_poll(queue, 0);
        self->lucky = r != 0;
    }
    if (timeout_ns != 0 && r == 0) {
        self->asleep = 1;
        __atomic_store_n(&self->polling, 1, __ATOMIC_RELAXED);
        Py_BEGIN_ALLOW_THREADS
        r = kev_queue_poll(queue, timeout_ns);
        __atomic_store_n(&self->polling, 0, __ATOMIC_RELEASE);
        Py_END_ALLOW_THREADS
        self->asleep = 0;
    }
    if (r >= 0) {
        self->ring_pending += (uint32_t)r;
        return 0;
    }
    /* Exceptions may have left it full: then it is to be read first. */
    return r == -ENOSPC && self->ring_pending > 0 ? 0 : r;
}

/* Sleep until something happens, and harvest.  0 or -1 with an exception.
   With a limit a signal ends the sleep, too. */
static int
wait_for_events(LoopObject *self, uint64_t limit_ns)
{
    for (;;) {
        int r;
        KEV_GUARD(self->ready);
        r = poll_once(self, limit_ns);
        KEV_UNGUARD();
        if (r == 0) {
            return 0;
        }
        if (r < 0 && r != -EINTR) {
            KevErr_Set(-r, "waiting for events");
        }
        if (r != -EINTR || PyErr_CheckSignals() < 0) {
            return -1;
        }
        if (limit_ns != KEVENT_WAIT_FOREVER) {
            return 0;
        }
    }
}

/* Moves the timers whose time has come out of the heap.  Guard held. */
static int
collect_due(LoopObject *self)
{
    if (self->timers.count == 0) {
        return 0;
    }
    int64_t now;
    if (KevLoop_TimeNs(self, &now) < 0) {
        return -1;
    }
    TimerObject *timer;
    while ((timer = KevTimers_First(&self->timers)) != NULL
           && timer->deadline_ns <= now) {
        if (KevReady_Push(self->due, (PyObject *)timer) < 0) {
            return -1;
        }
        Py_DECREF(KevTimers_Remove(&self->timers, timer));
    }
    return 0;
}

/* The next of a queue, a new reference; NULL if it is empty. */
static inline PyObject *
take_first(LoopObject *self, ReadyObject *queue)
{
    PyObject *first;
    KEV_GUARD(self->ready);
    first = KevReady_Len(queue) > 0 ? KevReady_Pop(queue) : NULL;
    KEV_UNGUARD();
    return first;
}

/*
 * Callbacks that are all C (int, a partial) never stop for a thread that wants
 * the GIL, nor for what else Python looks after between its instructions; and
 * a loop that always finds something to do does not sleep.  So a function of
 * Python's is called now and then: see kevent/gil.py.  To let go of the GIL
 * instead would cost up to a switch interval whenever a thread waits for it.
 */
#define OFFER_GIL_EVERY 64

static int
offer_gil(LoopObject *self)
{
    self->unoffered = 0;
    PyObject *res = PyObject_CallNoArgs(self->state->offer_gil);
    if (res == NULL) {
        return -1;
    }
    Py_DECREF(res);
    return 0;
}

/* A callback has returned r: what its transports hold is sent. */
static inline int
after_callback(LoopObject *self, int r)
{
    if (KevReady_Len(self->held) > 0) {
        r = KevTransport_AfterCallback(self, r);
    }
    if (self->stop != NULL && KevOp_WasGiven(self->stop)) {
        KevOp_DropStop(self);
    }
    if (++self->unoffered >= OFFER_GIL_EVERY && r >= 0) {
        r = offer_gil(self);
    }
    return r;
}

/* Runs the first count handles of a queue. */
static int
run_handles(LoopObject *self, ReadyObject *queue, uint32_t count)
{
    ModState *state = self->state;
    while (count-- > 0) {
        PyObject *handle = take_first(self, queue);
        if (handle == NULL) {
            break;
        }
        KEV_POKE(self->callbacks_run, self->callbacks_run + 1);
        self->turn++;
        int r = !self->debug
            && Py_IS_TYPE(handle, (PyTypeObject *)state->handle_type)
            ? KevHandle_RunOwn(state, self, (HandleObject *)handle)
            : KevHandle_Run(state, self, handle);
        Py_DECREF(handle);
        if (after_callback(self, r) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The next entry of the ring; 0 if there is none. */
static inline int
take_event(LoopObject *self, struct ukevent *ret_event)
{
    int is_one;
    KEV_GUARD(self->ready);
    is_one = self->ring_pending > 0;
    if (is_one) {
        *ret_event = self->ring->event[self->ring_seen];
        self->ring_seen = self->ring_seen + 1 == LOOP_RING_NUM
            ? 0 : self->ring_seen + 1;
        self->ring_pending--;
        self->ring_read++;
    }
    KEV_UNGUARD();
    return is_one;
}

/* Hands count entries of the ring to their owners. */
static int
dispatch_ring(LoopObject *self, uint32_t count)
{
    struct ukevent event;
    while (count-- > 0 && take_event(self, &event)) {
        self->turn++;
        if (after_callback(self, KevLoop_Dispatch(self, &event)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Transports that stopped reading so that others had their turn. */
static int
read_again(LoopObject *self, uint32_t count)
{
    while (count-- > 0) {
        PyObject *transport = take_first(self, self->again);
        if (transport == NULL) {
            break;
        }
        self->turn++;
        int r = KevTransport_Again((TransportObject *)transport);
        Py_DECREF(transport);
        if (after_callback(self, r) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What comes first in an iteration: 0 or -1 with an exception. */
static inline int
begin_pass(LoopObject *self, uint64_t limit_ns)
{
    if (KevLoop_CheckOpen(self) < 0 || PyErr_CheckSignals() < 0) {
        return -1;
    }
    /* Within a callback: what that has sent goes out before we wait. */
    if (KevReady_Len(self->held) > 0
        && KevTransport_AfterCallback(self, 0) < 0) {
        return -1;
    }
    return wait_for_events(self, limit_ns);
}

static int
run_pass(LoopObject *self)
{
    if (begin_pass(self, KEVENT_WAIT_FOREVER) < 0) {
        return -1;
    }
    int r;
    uint32_t ready;
    uint32_t again;
    uint32_t events;
    uint32_t due;
    KEV_GUARD(self->ready);
    self->pass++;
    r = collect_due(self);
    ready = KevReady_Len(self->ready);
    again = KevReady_Len(self->again);
    events = self->ring_pending;
    due = KevReady_Len(self->due);
    KEV_UNGUARD();
    if (r < 0) {
        return -1;
    }
    char outer = self->dispatching;  /* a pass may run within a callback */
    self->dispatching = 1;
    if (run_handles(self, self->ready, ready) < 0
        || read_again(self, again) < 0
        || dispatch_ring(self, events) < 0
        || run_handles(self, self->due, due) < 0) {
        r = -1;
    }
    self->dispatching = outer;
    return r;
}

/*
 * A callback may run a pass of its own (some test tools do); another thread
 * may not: queue and ring have one owner.  While a pass is under way nothing
 * can close the loop, whatever Python has written to _thread_id.
 */
static int
enter_pass(LoopObject *self)
{
    unsigned long thread = PyThread_get_thread_ident();
    int is_owner;
    KEV_GUARD(self->ready);
    is_owner = self->pass_depth == 0 || self->pass_thread == thread;
    if (is_owner) {
        self->pass_thread = thread;
        self->pass_depth++;
    }
    KEV_UNGUARD();
    if (!is_owner) {
        PyErr_SetString(PyExc_RuntimeError,
                        "The event loop is running in another thread");
        return -1;
    }
    return 0;
}

static void
leave_pass(LoopObject *self)
{
    KEV_GUARD(self->ready);
    self->pass_depth--;
    KEV_UNGUARD();
}

int
KevLoop_RunOnce(LoopObject *self)
{
    if (enter_pass(self) < 0) {
        return -1;
    }
    int r = run_pass(self);
    leave_pass(self);
    return r;
}

static int
has_news(LoopObject *self)
{
    int r;
    KEV_GUARD(self->ready);
    r = self->ring_pending > 0 || KevReady_Len(self->again) > 0
        || KevReady_Len(self->due) > 0;
    KEV_UNGUARD();
    return r;
}

/*
 * The two halves for programs with an iteration of their own: they run queue
 * and timers themselves.  Between the halves the news wait in the ring, as
 * after an exception; while they do the kernel would only tell them again.
 */
int
KevLoop_Poll(LoopObject *self, uint64_t limit_ns)
{
    if (enter_pass(self) < 0) {
        return -1;
    }
    int r = has_news(self);
    if (r == 0 && (r = begin_pass(self, limit_ns)) == 0) {
        self->pass++;
        r = has_news(self);
    }
    leave_pass(self);
    return r;
}

int
KevLoop_HandOut(LoopObject *self)
{
    if (enter_pass(self) < 0) {
        return -1;
    }
    int r = KevLoop_CheckOpen(self);
    if (r == 0) {
        uint32_t again;
        uint32_t events;
        uint32_t due;
        KEV_GUARD(self->ready);
        again = KevReady_Len(self->again);
        events = self->ring_pending;
        due = KevReady_Len(self->due);
        KEV_UNGUARD();
        char outer = self->dispatching;
        self->dispatching = 1;
        if (read_again(self, again) < 0 || dispatch_ring(self, events) < 0
            || run_handles(self, self->due, due) < 0) {
            r = -1;
        }
        self->dispatching = outer;
    }
    leave_pass(self);
    return r;
}

static int
run_until_stopped(LoopObject *self)
{
    ModState *state = self->state;
    do {
        if (self->run_once_patched) {
            PyObject *res = PyObject_CallMethodNoArgs((PyObject *)self,
                                                      state->str_run_once);
            if (res == NULL) {
                return -1;
            }
            Py_DECREF(res);
        }
        else if (KevLoop_RunOnce(self) < 0) {
            return -1;
        }
    } while (!KEV_PEEK(self->stopping));
    return 0;
}

int
KevLoop_Run(LoopObject *self)
{
    if (KevLoop_CheckOpen(self) < 0) {
        return -1;
    }
    kev_queue_steady(self->queue, true);
    int r = run_until_stopped(self);
    if (self->queue != NULL) {
        kev_queue_steady(self->queue, false);
    }
    KevOp_DropStop(self);
    return r;
}
