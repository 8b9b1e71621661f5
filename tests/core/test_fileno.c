/*
 * test_fileno.c - kevent_fileno: the descriptor by which a queue is polled.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN KEVENT_POLL_POLLIN

/* As long as not everything has been fetched, a poller sees it. */
TEST(fileno_is_readable_until_the_last_is_fetched)
{
    struct kev_queue *queue = open_shared();
    struct pair pairs[3];
    struct ukevent event;
    for (unsigned i = 0; i < 3; i++) {
        pairs[i] = pair_pipe();
        CHECK_EQ(add(queue, uk_poll(pairs[i].near, IN, 0)), 0);
        write_byte(pairs[i].far);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK(readable(queue));
        CHECK_EQ(take(queue, &event, 1), 1);
    }
    CHECK(!readable(queue));
    close_queue(queue);
    for (unsigned i = 0; i < 3; i++) {
        pair_close(pairs[i]);
    }
}

/* What is withdrawn before it is fetched is not there for a poller either. */
TEST(fileno_is_not_readable_for_what_was_withdrawn)
{
    struct kev_queue *queue = open_shared();
    struct pair pair = pair_pipe();
    CHECK(!readable(queue));
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(add(queue, uk_poll(pair.near, IN, 0)), 0);
    CHECK(readable(queue));
    CHECK_EQ(remove_one(queue, uk_user(1, 0)), 0);
    CHECK(!readable(queue));
    write_byte(pair.far);
    CHECK(readable(queue));
    CHECK_EQ(remove_one(queue, uk_poll(pair.near, IN, 0)), 0);
    CHECK(!readable(queue));
    close_queue(queue);
    pair_close(pair);
}

/* The same number for life, whatever else the queue opens; closed on exec. */
TEST(fileno_stays_the_same)
{
    struct kev_queue *queue = open_shared();
    int fd = kevent_fileno(queue);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(add(queue, uk_timer(1000 * SEC, 0)), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    take_one(queue);
    CHECK_EQ(kevent_fileno(queue), fd);
    close_queue(queue);
}

/* In an epoll set that is none of ours: told while an event is there. */
TEST(fileno_in_an_epoll_set)
{
    struct kev_queue *queue = open_shared();
    struct epoll_event event = {.events = EPOLLIN};
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epfd >= 0);
    CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, kevent_fileno(queue), &event), 0);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
    CHECK_EQ(event.events, EPOLLIN);
    take_one(queue);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
    close_queue(queue);
    CHECK_EQ(close(epfd), 0);
}

/* Nobody is told a number that may be another file's by now. */
TEST(fileno_of_a_closed_queue_is_none)
{
    struct kev_queue *queue = open_shared();
    kev_queue_ref(queue);
    kevent_close(queue);
    CHECK_EQ(kevent_fileno(queue), -1);
    kev_queue_unref(queue);
}

/* A child that closes its copy closes its descriptor, and not the parent's. */
TEST(fileno_in_a_child)
{
    struct kev_queue *queue = open_shared();
    int fd = kevent_fileno(queue);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        kevent_close(queue);
        _exit(fcntl(fd, F_GETFD) == -1 && errno == EBADF ? 0 : 1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(kevent_fileno(queue), fd);
    CHECK_EQ(add(queue, uk_user(1, QUEUED)), 0);
    CHECK(readable(queue));
    close_queue(queue);
}
