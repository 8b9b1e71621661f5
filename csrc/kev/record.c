/*
 * record.c - backlogs and kept records; see record.h.
 */
#include "kev/record.h"

#include <errno.h>

#include "kev/queue.h"
#include "kev/sys.h"

_Static_assert((KEVENT_RECORDS_KEPT & (KEVENT_RECORDS_KEPT - 1)) == 0,
               "a number's place survives the wrap");

int
kev_records_reserve(struct kev_queue *queue)
{
    struct kev_records *records = &queue->records;
    if (records->kept == NULL) {
        records->kept =
            kev_sys_alloc(KEVENT_RECORDS_KEPT * sizeof(records->kept[0]));
    }
    return records->kept == NULL ? -ENOMEM : 0;
}

void
kev_records_fini(struct kev_records *records)
{
    for (int i = 0; records->kept != NULL && i < KEVENT_RECORDS_KEPT; i++) {
        kev_sys_free(records->kept[i]);
    }
    kev_sys_free(records->kept);
    *records = (struct kev_records){.kept = NULL};
}

static void
note_tell(struct kev_queue *queue, struct kev_note *note, uint32_t bits,
          uint32_t ret_flags)
{
    note->uk.ret_flags |= KEVENT_RET_DONE | ret_flags;
    note->uk.ret_data[0] |= bits;
    if ((note->state & KEV_NOTE_QUEUED) == 0) {
        kev_ready_push(queue, note);
    }
}

void
kev_record_post(struct kev_queue *queue, struct kev_note *note,
                const struct kevent_record *told, uint32_t bits,
                uint32_t ret_flags, bool merge)
{
    struct kev_record *last = note->backlog;
    struct kev_record *record = NULL;
    if (!merge || last == NULL) {
        record = kev_sys_alloc(sizeof(*record));
    }
    if (record != NULL) {
        *record = (struct kev_record){
            .ret_flags = ret_flags, .bits = bits, .told = *told,
        };
        record->next = last == NULL ? record : last->next;
        if (last != NULL) {
            last->next = record;
            queue->records.behind++;
        }
        note->backlog = record;
        queue->records.waiting++;
    }
    else if (last != NULL) {
        uint32_t count = last->told.count + told->count;
        last->told = *told;
        last->told.count = count;
        last->bits |= bits;
        last->ret_flags |= ret_flags;
    }
    else {
        note_tell(queue, note, bits, ret_flags);
        return;
    }
    if ((note->state & KEV_NOTE_QUEUED) == 0) {
        note_tell(queue, note, 0, 0);
    }
}

/* The first of the backlog, out of it. */
static struct kev_record *
backlog_pop(struct kev_queue *queue, struct kev_note *note)
{
    struct kev_record *last = note->backlog;
    struct kev_record *first = last->next;
    if (first == last) {
        note->backlog = NULL;
    }
    else {
        last->next = first->next;
        queue->records.behind--;
    }
    queue->records.waiting--;
    return first;
}

/* There is room again: the kernel may hold what had none. */
static void
backlog_shrunk(struct kev_queue *queue, uint32_t before)
{
    if (before >= KEV_RECORDS_WAITING_MAX
        && kev_records_room(&queue->records)) {
        kev_signals_read(queue);
        kev_inodes_read(queue);
    }
}

void
kev_record_take(struct kev_queue *queue, struct kev_note *note)
{
    struct kev_records *records = &queue->records;
    /* What was told without a record goes first, and alone. */
    if (note->backlog == NULL || note->uk.ret_data[0] != 0) {
        return;
    }
    struct kev_record *record = backlog_pop(queue, note);
    records->last_number += records->last_number == UINT32_MAX ? 2 : 1;
    uint32_t place = records->last_number & (KEVENT_RECORDS_KEPT - 1);
    kev_sys_free(records->kept[place]);
    records->kept[place] = record;
    note->uk.ret_flags |= record->ret_flags;
    note->uk.ret_data[0] |= record->bits;
    note->uk.ret_data[1] = records->last_number;
}

void
kev_record_next(struct kev_queue *queue, struct kev_note *note)
{
    if (note->backlog != NULL && (note->state & KEV_NOTE_QUEUED) == 0) {
        note_tell(queue, note, 0, 0);
    }
    /* The one that was taken just now made the room. */
    backlog_shrunk(queue, queue->records.waiting + 1);
}

void
kev_record_drop(struct kev_queue *queue, struct kev_note *note)
{
    uint32_t before = queue->records.waiting;
    while (note->backlog != NULL) {
        kev_sys_free(backlog_pop(queue, note));
    }
    /* One may have been taken a moment before. */
    backlog_shrunk(queue, before + 1);
}

void
kev_record_discard(struct kev_note *note)
{
    while (note->backlog != NULL) {
        struct kev_record *first = note->backlog->next;
        if (first == note->backlog) {
            note->backlog = NULL;
        }
        else {
            note->backlog->next = first->next;
        }
        kev_sys_free(first);
    }
}

int
kevent_record(struct kev_queue *queue, uint32_t number,
              struct kevent_record *ret_record)
{
    kev_queue_lock(queue);
    const struct kev_records *records = &queue->records;
    int r = kev_queue_usable(queue);
    /* Behind the last one by how much?  Numbers that are yet to come are far
       behind. */
    uint32_t age = records->last_number - number;
    if (r == 0 && (number == 0 || age >= KEVENT_RECORDS_KEPT
                   || records->kept == NULL)) {
        r = -ENOENT;
    }
    if (r == 0) {
        const struct kev_record *record =
            records->kept[number & (KEVENT_RECORDS_KEPT - 1)];
        r = record == NULL ? -ENOENT : 0;
        if (r == 0) {
            *ret_record = record->told;
        }
    }
    kev_queue_unlock(queue);
    return r;
}
