/*
 * test_inode.c - KEVENT_INODE.
 */
#define _GNU_SOURCE 1   /* O_PATH, asprintf */

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE KEVENT_INODE_CREATE
#define REMOVE KEVENT_INODE_REMOVE
#define MODIFY KEVENT_INODE_MODIFY

struct place {
    char path[32];
    int fd;
};

static struct place
place_new(void)
{
    struct place place = {.path = "/tmp/kev-inode-XXXXXX"};
    CHECK(mkdtemp(place.path) != NULL);
    place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(place.fd >= 0);
    return place;
}

static void
place_end(struct place place)
{
    CHECK_EQ(close(place.fd), 0);
    CHECK_EQ(rmdir(place.path), 0);
}

static void
touch(struct place place, const char *name)
{
    int fd = openat(place.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(close(fd), 0);
}

static void
delete(struct place place, const char *name)
{
    CHECK_EQ(unlinkat(place.fd, name, 0), 0);
}

static struct ukevent
uk_inode(int fd, uint32_t event, uint32_t flags)
{
    return uk_fd(KEVENT_INODE, fd, event, flags);
}

/* The next event, its record checked: these bits, that name. */
static struct kevent_record
expect(struct kev_queue *queue, int fd, uint32_t bits, const char *name)
{
    struct ukevent event;
    struct kevent_record record;
    CHECK_EQ(take(queue, &event, 1), 1);
    CHECK_EQ(kev_queue_check(queue), 0);
    CHECK_EQ(event.id.raw[0], fd);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(event.ret_data[0], bits);
    CHECK_EQ(kevent_record(queue, event.ret_data[1], &record), 0);
    CHECK_EQ(record.type, KEVENT_INODE);
    CHECK(strcmp(record.inode.name, name) == 0);
    return record;
}

TEST(inode_refuses_what_it_cannot_watch)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_inode(-1, CREATE, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_inode(1 << 20, CREATE, 0)), -EBADF);
    CHECK_EQ(add(queue, uk_inode(0, 0x4, 0)), -EINVAL);
    CHECK_EQ(add(queue, uk_inode(0, KEVENT_INODE_OVERFLOW, 0)), -EINVAL);
    CHECK_EQ(queue->inotify_fd, -1);
    close_queue(queue);
}

TEST(inode_entries_come_and_go_by_name)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    CHECK_EQ(add(queue, uk_inode(place.fd, CREATE | REMOVE, 0)), 0);
    CHECK_EQ(add(queue, uk_inode(place.fd, CREATE, 0)), -EEXIST);
    take_none(queue);
    touch(place, "one");
    CHECK_EQ(mkdirat(place.fd, "two", 0700), 0);
    delete(place, "one");
    CHECK(readable(queue));
    expect(queue, place.fd, CREATE, "one");
    expect(queue, place.fd, CREATE | KEVENT_INODE_ISDIR, "two");
    expect(queue, place.fd, REMOVE, "one");
    take_none(queue);
    CHECK(!readable(queue));
    CHECK_EQ(unlinkat(place.fd, "two", AT_REMOVEDIR), 0);
    CHECK_EQ(remove_one(queue, uk_inode(place.fd, 0, 0)), 0);
    CHECK_EQ(queue->inodes_count, 0);
    close_queue(queue);
    place_end(place);
}

/* A rename is two events that share a cookie. */
TEST(inode_rename)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    touch(place, "old");
    CHECK_EQ(add(queue, uk_inode(place.fd, KEVENT_INODE_MOVED_FROM
                                 | KEVENT_INODE_MOVED_TO, 0)), 0);
    CHECK_EQ(renameat(place.fd, "old", place.fd, "new"), 0);
    struct kevent_record from =
        expect(queue, place.fd, KEVENT_INODE_MOVED_FROM, "old");
    struct kevent_record to =
        expect(queue, place.fd, KEVENT_INODE_MOVED_TO, "new");
    CHECK(from.inode.cookie != 0);
    CHECK_EQ(from.inode.cookie, to.inode.cookie);
    CHECK_EQ(to.inode.mask, IN_MOVED_TO);
    delete(place, "new");
    close_queue(queue);
    place_end(place);
}

/* Several kevents of an inode: one watch, each told what it asked for. */
TEST(inode_kevents_share_a_watch)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    struct ukevent made = uk_inode(place.fd, CREATE, 0);
    struct ukevent gone = uk_inode(place.fd, REMOVE, 0);
    gone.id.raw[1] = 7;
    int path_fd = open(place.path, O_PATH | O_CLOEXEC);
    CHECK_EQ(add(queue, made), 0);
    CHECK_EQ(add(queue, gone), 0);
    CHECK_EQ(add(queue, uk_inode(path_fd, CREATE | REMOVE, 0)), 0);
    CHECK_EQ(queue->inodes_count, 1);
    touch(place, "x");
    delete(place, "x");
    struct ukevent events[5];
    CHECK_EQ(take(queue, events, 5), 4);
    unsigned of_path = 0;
    for (unsigned i = 0; i < 4; i++) {
        bool path = events[i].id.raw[0] == (uint32_t)path_fd;
        of_path += path;
        CHECK(path || events[i].ret_data[0]
                          == (events[i].id.raw[1] == 7 ? REMOVE : CREATE));
    }
    CHECK_EQ(of_path, 2);
    CHECK_EQ(remove_one(queue, made), 0);
    CHECK_EQ(remove_one(queue, gone), 0);
    touch(place, "x");
    expect(queue, path_fd, CREATE, "x");
    CHECK_EQ(remove_one(queue, uk_inode(path_fd, 0, 0)), 0);
    CHECK_EQ(queue->inodes_count, 0);
    delete(place, "x");
    take_none(queue);
    close_queue(queue);
    CHECK_EQ(close(path_fd), 0);
    place_end(place);
}

TEST(inode_contents_and_attributes)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    touch(place, "f");
    int fd = openat(place.fd, "f", O_RDWR | O_CLOEXEC);
    struct ukevent uk = uk_inode(fd, MODIFY, 0);
    CHECK_EQ(add(queue, uk), 0);
    write_byte(fd);
    CHECK_EQ(fchmod(fd, 0640), 0);
    expect(queue, fd, MODIFY, "");
    take_none(queue);
    uk.event = KEVENT_INODE_ATTRIB;
    CHECK_EQ(modify(queue, uk), 0);
    write_byte(fd);
    CHECK_EQ(fchmod(fd, 0600), 0);
    expect(queue, fd, KEVENT_INODE_ATTRIB, "");
    take_none(queue);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(modify(queue, uk), -EBADF);
    CHECK_EQ(queue->inodes_count, 0);
    delete(place, "f");
    close_queue(queue);
    place_end(place);
}

/* The end of the file ends the watch; its number may name another then. */
TEST(inode_that_is_deleted)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    touch(place, "f");
    int fd = openat(place.fd, "f", O_RDONLY | O_CLOEXEC);
    struct ukevent uk = uk_inode(fd, KEVENT_INODE_DELETE_SELF, 0);
    CHECK_EQ(add(queue, uk), 0);
    delete(place, "f");
    take_none(queue);
    CHECK_EQ(close(fd), 0);
    expect(queue, fd, KEVENT_INODE_DELETE_SELF, "");
    struct ukevent event = take_one(queue);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE | KEVENT_RET_BROKEN);
    CHECK_EQ(event.ret_data[0], KEVENT_INODE_GONE);
    CHECK_EQ(queue->inodes_count, 0);
    touch(place, "g");
    CHECK_EQ(openat(place.fd, "g", O_RDWR | O_CLOEXEC), fd);
    uk.event = MODIFY;
    CHECK_EQ(modify(queue, uk), 0);
    write_byte(fd);
    expect(queue, fd, MODIFY, "");
    CHECK_EQ(close(fd), 0);
    delete(place, "g");
    close_queue(queue);
    place_end(place);
}

/* Nobody fetches: the kernel's queue overflows, and each kevent hears it. */
TEST(inode_overflow_is_told_to_all)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    struct ukevent other = uk_inode(place.fd, MODIFY, 0);
    other.id.raw[1] = 1;
    CHECK_EQ(add(queue, uk_inode(place.fd, CREATE | REMOVE, 0)), 0);
    CHECK_EQ(add(queue, other), 0);
    unsigned limit = 16384;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    if (file != NULL) {
        CHECK_EQ(fscanf(file, "%u", &limit), 1);
        CHECK_EQ(fclose(file), 0);
    }
    if (limit > 100000) {
        kev_test_skip("the kernel's queue is too long to fill");
    }
    for (unsigned i = 0; i < limit / 2 + 10; i++) {
        touch(place, "x");
        delete(place, "x");
    }
    struct ukevent event;
    unsigned changes = 0;
    unsigned overflows = 0;
    while (take(queue, &event, 1) == 1) {
        if (event.ret_data[0] == KEVENT_INODE_OVERFLOW) {
            overflows++;
        }
        else {
            CHECK_EQ(event.ret_data[0], changes % 2 == 0 ? CREATE : REMOVE);
            changes++;
        }
        CHECK(queue->records.waiting < KEV_RECORDS_WAITING_MAX + 300);
    }
    CHECK_EQ(changes, limit);
    CHECK_EQ(overflows, 2);
    close_queue(queue);
    place_end(place);
}

/* The bell of a bounded backlog: what an owner does not fetch stays. */
TEST(inode_oneshot_and_close_with_a_backlog)
{
    struct kev_queue *queue = open_shared();
    struct place place = place_new();
    struct ukevent event;
    CHECK_EQ(add(queue, uk_inode(place.fd, CREATE, KEVENT_REQ_ONESHOT)), 0);
    touch(place, "a");
    touch(place, "b");
    CHECK_EQ(take(queue, &event, 1), 1);
    take_none(queue);
    CHECK_EQ(queue->registry.count, 0);
    CHECK_EQ(add(queue, uk_inode(place.fd, REMOVE, 0)), 0);
    delete(place, "a");
    delete(place, "b");
    CHECK_EQ(take(queue, &event, 1), 1);
    CHECK_EQ(queue->records.waiting, 1);
    close_queue(queue);
    place_end(place);
}
