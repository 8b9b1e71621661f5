/*
 * record.h - what does not fit in an event, and events that must not merge.
 *
 * A kevent is on the ready list once, but two real-time signals, or two files
 * made in a directory, are two reports.  They wait as records in the kevent's
 * backlog; each delivery takes the first, gives it a number, and keeps it
 * among the last KEVENT_RECORDS_KEPT for kevent_record().
 *
 * A backlog is bounded: while it is full its source is not read, and what the
 * kernel holds stays there.
 */
#ifndef KEV_RECORD_H
#define KEV_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "kev/kevent.h"
#include "kev/note.h"

struct kev_queue;

#define KEV_RECORDS_WAITING_MAX 1024

struct kev_record {
    struct kev_record *next;    /* in a backlog, which is circular */
    uint32_t ret_flags;
    uint32_t bits;              /* ret_data[0] */
    struct kevent_record told;
};

struct kev_records {
    struct kev_record **kept;   /* by number; NULL before the first start */
    uint32_t last_number;
    uint32_t waiting;           /* in all backlogs */
    uint32_t behind;            /* of them, not the first in theirs */
};

/* Make sure that records can be kept.  0 or -ENOMEM. */
int kev_records_reserve(struct kev_queue *queue);
void kev_records_fini(struct kev_records *records);

/* Is there room for what one more read may bring? */
static inline bool
kev_records_room(const struct kev_records *records)
{
    return records->waiting < KEV_RECORDS_WAITING_MAX;
}

/*
 * Report to a note: bits, flags and a copy of the record.  With merge it is
 * counted in the last record that waits, if there is one.  Never fails: where
 * memory is short it is merged too, or told without a record.
 */
void kev_record_post(struct kev_queue *queue, struct kev_note *note,
                     const struct kevent_record *told, uint32_t bits,
                     uint32_t ret_flags, bool merge);

/* The verbs of a source with a backlog; a note that has one is queued. */
void kev_record_take(struct kev_queue *queue, struct kev_note *note);
void kev_record_next(struct kev_queue *queue, struct kev_note *note);
void kev_record_drop(struct kev_queue *queue, struct kev_note *note);
void kev_record_discard(struct kev_note *note);

#endif
