/*
 * test_proc.c - KEVENT_PROC.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ukevent
uk_proc(pid_t pid, uint32_t flags)
{
    return (struct ukevent){
        .id.raw = {(uint32_t)pid, 0},
        .type = KEVENT_PROC,
        .event = KEVENT_PROC_EXIT,
        .req_flags = flags,
        .user_u64 = (uint64_t)pid,
    };
}

/* In a child: until the parent closes its pair. */
static void
await_close(struct pair pair)
{
    struct pollfd fd = {.fd = pair.near, .events = POLLIN};
    (void)close(pair.far);
    (void)poll(&fd, 1, 30000);
}

/* A child that ends, in the way that first is told, once `far` is closed. */
static pid_t
child_new(struct pair *ret_pair, int status, int number)
{
    *ret_pair = pair_sockets();
    pid_t child = fork();
    if (child == 0) {
        await_close(*ret_pair);
        if (number != 0) {
            (void)raise(number);
        }
        _exit(status);
    }
    CHECK(child > 0);
    return child;
}

static struct ukevent
wait_one(struct kev_queue *queue)
{
    struct ukevent event;
    CHECK_EQ(kevent_get_events(queue, 1, 1, 20 * SEC, &event, 0, NULL), 1);
    CHECK_EQ(event.type, KEVENT_PROC);
    CHECK_EQ(event.ret_flags, KEVENT_RET_DONE);
    CHECK_EQ(kev_queue_check(queue), 0);
    return event;
}

TEST(proc_refuses_what_does_not_run)
{
    struct kev_queue *queue = open_shared();
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(add(queue, uk_proc(child, 0)), -ESRCH);
    CHECK_EQ(add(queue, uk_proc(0, 0)), -EINVAL);
    CHECK_EQ(add(queue, uk_proc(-1, 0)), -EINVAL);
    close_queue(queue);
}

/* The end of a child has its status, and the child is still to be waited
   for. */
TEST(proc_child_with_its_status)
{
    const struct {
        int status;
        int number;
    } ways[] = {{0, 0}, {7, 0}, {0, SIGKILL}};
    struct kev_queue *queue = open_shared();
    for (unsigned i = 0; i < 3; i++) {
        struct pair pair;
        int status;
        pid_t child = child_new(&pair, ways[i].status, ways[i].number);
        CHECK_EQ(add(queue, uk_proc(child, 0)), 0);
        CHECK_EQ(add(queue, uk_proc(child, 0)), -EEXIST);
        take_none(queue);
        pair_close(pair);
        struct ukevent event = wait_one(queue);
        CHECK_EQ(event.ret_data[0], KEVENT_PROC_EXIT | KEVENT_PROC_STATUS);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(event.ret_data[1], status);
        take_none(queue);
        CHECK_EQ(remove_one(queue, uk_proc(child, 0)), 0);
    }
    close_queue(queue);
}

/* Of a process that is no child of ours only the end is known. */
TEST(proc_of_another_parent)
{
    struct kev_queue *queue = open_shared();
    struct pair stop = pair_sockets();
    struct pair tell = pair_sockets();
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            await_close(stop);
            _exit(1);
        }
        (void)!write(tell.far, &grandchild, sizeof(grandchild));
        _exit(0);
    }
    pid_t grandchild;
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(read(tell.near, &grandchild, sizeof(grandchild)),
             sizeof(grandchild));
    CHECK_EQ(add(queue, uk_proc(grandchild, KEVENT_REQ_ONESHOT)), 0);
    take_none(queue);
    pair_close(stop);
    struct ukevent event = wait_one(queue);
    CHECK_EQ(event.ret_data[0], KEVENT_PROC_EXIT);
    CHECK_EQ(event.ret_data[1], 0);
    CHECK_EQ(queue->registry.count, 0);
    close_queue(queue);
    pair_close(tell);
}

/* One that ended before ADD and was not waited for; several kevents of it. */
TEST(proc_that_has_ended_already)
{
    struct kev_queue *queue = open_shared();
    struct ukevent events[3];
    siginfo_t info;
    pid_t child = fork();
    if (child == 0) {
        _exit(9);
    }
    CHECK_EQ(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    struct ukevent second = uk_proc(child, 0);
    second.id.raw[1] = 1;
    struct ukevent deaf = uk_proc(child, 0);
    deaf.id.raw[1] = 2;
    deaf.event = 0;
    CHECK_EQ(add(queue, uk_proc(child, 0)), 0);
    CHECK_EQ(add(queue, second), 0);
    CHECK_EQ(add(queue, deaf), 0);
    CHECK_EQ(take(queue, events, 3), 2);
    CHECK_EQ(events[0].ret_data[1], 9 << 8);
    CHECK_EQ(events[1].ret_data[1], 9 << 8);
    deaf.event = KEVENT_PROC_EXIT;
    CHECK_EQ(modify(queue, deaf), 0);
    CHECK_EQ(take_one(queue).id.raw[1], 2);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_queue(queue);
}
