/*
 * test_aio.c - KEVENT_NAIO and KEVENT_AIO: numbers with nothing behind them.
 */
#include "fixture.h"

#include <errno.h>

static const uint32_t types[] = {KEVENT_NAIO, KEVENT_AIO};

/* Both say so, before anybody tries and when somebody does. */
TEST(aio_is_enosys)
{
    struct kev_queue *queue = open_shared();
    for (unsigned i = 0; i < 2; i++) {
        struct ukevent answer;
        CHECK_EQ(kevent_features() >> types[i] & 1, 0);
        CHECK_EQ(ctl(queue, KEVENT_CTL_ADD, uk_fd(types[i], 0, 1, QUEUED),
                     &answer), -ENOSYS);
        CHECK_EQ(answer.ret_flags, KEVENT_RET_BROKEN | KEVENT_RET_DONE);
        CHECK_EQ(queue->registry.count, 0);
    }
    close_queue(queue);
}

/* No flag makes it one, and the rest of its batch is registered. */
TEST(aio_fails_alone)
{
    struct kev_queue *queue = open_shared();
    struct ukevent batch[4] = {
        uk_user(1, 0),
        uk_fd(KEVENT_NAIO, 0, 1, KEVENT_REQ_READY),
        uk_fd(KEVENT_AIO, 0, 0, KEVENT_REQ_REPLACE),
        uk_user(2, 0),
    };
    CHECK_EQ(kevent_ctl(queue, KEVENT_CTL_ADD, 4, batch), 2);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(batch[i].type, types[i]);
        CHECK_EQ((int)batch[i].ret_data[1], -ENOSYS);
    }
    CHECK_EQ(queue->registry.count, 2);
    take_none(queue);
    close_queue(queue);
}

/* None was registered, so that there is none to change, remove or report. */
TEST(aio_is_not_there)
{
    struct kev_queue *queue = open_shared();
    CHECK_EQ(add(queue, uk_user(1, 0)), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct ukevent uk = uk_fd(types[i], 0, 1, 0);
        CHECK_EQ(modify(queue, uk), -ENOSYS);
        CHECK_EQ(remove_one(queue, uk), -ENOENT);
        CHECK_EQ(ready(queue, uk), 0);
        CHECK_EQ(kevent_timer(queue, KEVENT_CTL_ADD, &uk, SEC, 0, 0),
                 -EINVAL);
    }
    take_none(queue);
    close_queue(queue);
}
