/*
 * test_record.c - kevent_record: what does not fit in an event, for a while.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static struct ukevent
uk_silent(int number)
{
    return (struct ukevent){
        .id.raw = {(uint32_t)number, KEVENT_SIGNAL_NOMASK},
        .type = KEVENT_SIGNAL,
        .event = KEVENT_SIGNAL_DELIVERY,
    };
}

static struct ukevent
send_and_take(struct kev_queue *queue, int number, int value)
{
    CHECK_EQ(sigqueue(getpid(), number, (union sigval){.sival_int = value}),
             0);
    return take_one(queue);
}

/* No number is one before there is an event, and 0 never; what is refused
   writes nothing. */
TEST(record_refuses_what_is_none)
{
    struct kev_queue *queue = open_shared();
    struct kevent_record record;
    struct kevent_record before;
    memset(&record, 0xa5, sizeof(record));
    before = record;
    const uint32_t none[] = {0, 1, 2, 0x80000000u, UINT32_MAX};
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK_EQ(kevent_record(queue, none[i], &record), -ENOENT);
    }
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN)), 0);
    uint32_t number = send_and_take(queue, SIGRTMIN, 1).ret_data[1];
    CHECK(number != 0);
    CHECK_EQ(kevent_record(queue, 0, &record), -ENOENT);
    CHECK_EQ(kevent_record(queue, number + 1, &record), -ENOENT);
    CHECK_EQ(kevent_record(queue, number - 1, &record), -ENOENT);
    CHECK(memcmp(&record, &before, sizeof(record)) == 0);
    CHECK_EQ(kevent_record(queue, number, &record), 0);
    close_queue(queue);
}

/* A record may be read again and again, and after its kevent is gone. */
TEST(record_outlives_its_kevent)
{
    struct kev_queue *queue = open_shared();
    struct kevent_record record;
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN)), 0);
    uint32_t first = send_and_take(queue, SIGRTMIN, 7).ret_data[1];
    uint32_t second = send_and_take(queue, SIGRTMIN, 8).ret_data[1];
    CHECK_EQ(remove_one(queue, uk_silent(SIGRTMIN)), 0);
    for (unsigned i = 0; i < 4; i++) {
        memset(&record, 0xa5, sizeof(record));
        CHECK_EQ(kevent_record(queue, i % 2 == 0 ? first : second, &record),
                 0);
        CHECK_EQ(record.type, KEVENT_SIGNAL);
        CHECK_EQ(record.count, 1);
        CHECK_EQ(record.signal.ssi_signo, SIGRTMIN);
        CHECK_EQ(record.signal.ssi_int, i % 2 == 0 ? 7 : 8);
    }
    close_queue(queue);
}

/* Of an inode it has the mask, the cookie and a name of any length; the
   numbers are those of signals, too. */
TEST(record_of_an_inode)
{
    struct kev_queue *queue = open_shared();
    struct kevent_record record;
    char folder[] = "/tmp/kev-record-XXXXXX";
    char name[256];
    char path[sizeof(folder) + sizeof(name)];
    CHECK(mkdtemp(folder) != NULL);
    memset(name, 'n', 255);
    name[255] = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(add(queue, uk_fd(KEVENT_INODE, fd, KEVENT_INODE_CREATE, 0)), 0);
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN)), 0);
    uint32_t number = send_and_take(queue, SIGRTMIN, 1).ret_data[1];
    int made = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(made >= 0);
    CHECK_EQ(close(made), 0);
    CHECK_EQ(take_one(queue).ret_data[1], number + 1);
    CHECK_EQ(kevent_record(queue, number + 1, &record), 0);
    CHECK_EQ(record.type, KEVENT_INODE);
    CHECK_EQ(record.inode.mask, IN_CREATE);
    CHECK_EQ(record.inode.cookie, 0);
    CHECK(strcmp(record.inode.name, name) == 0);
    CHECK_EQ(kevent_record(queue, number, &record), 0);
    CHECK_EQ(record.type, KEVENT_SIGNAL);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0);
    CHECK_EQ(close(fd), 0);
    close_queue(queue);
}

/* It is kept for a while, then its number says nothing. */
TEST(record_is_kept_for_a_while)
{
    struct kev_queue *queue = open_shared();
    struct kevent_record record;
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN)), 0);
    queue->records.last_number = UINT32_MAX - 10;
    uint32_t first = UINT32_MAX - 9;
    for (int i = 0; i < KEVENT_RECORDS_KEPT; i++) {
        struct ukevent event = send_and_take(queue, SIGRTMIN, i);
        CHECK(event.ret_data[1] != 0);
        CHECK_EQ(kevent_record(queue, event.ret_data[1], &record), 0);
        CHECK_EQ(record.signal.ssi_int, i);
    }
    CHECK_EQ(kevent_record(queue, first, &record), -ENOENT);
    CHECK_EQ(kevent_record(queue, first + 1, &record), 0);
    CHECK_EQ(record.signal.ssi_int, 1);
    close_queue(queue);
}

/* The records of a queue are its own. */
TEST(record_of_another_queue)
{
    struct kev_queue *queue = open_shared();
    struct kev_queue *other = open_shared();
    struct kevent_record record;
    CHECK_EQ(add(queue, uk_silent(SIGRTMIN)), 0);
    uint32_t number = send_and_take(queue, SIGRTMIN, 1).ret_data[1];
    CHECK_EQ(kevent_record(other, number, &record), -ENOENT);
    close_queue(queue);
    close_queue(other);
}
