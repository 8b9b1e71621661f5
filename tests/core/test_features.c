/*
 * test_features.c - kevent_features: what a program may rely on, and the
 * types that it may not.
 */
#include "fixture.h"

#include <errno.h>

TEST(features_are_the_types_that_can_be_added)
{
    struct kev_queue *queue = open_shared();
    for (uint32_t type = 0; type <= KEVENT_MAX; type++) {
        struct ukevent uk = uk_fd(type, -1, 0x80000000u, 0);
        bool known = kevent_features() >> type & 1;
        CHECK_EQ(add(queue, uk) == -ENOSYS, !known);
    }
    close_queue(queue);
}

/* NAIO and AIO have numbers and nothing behind them: both say so. */
TEST(features_have_no_naio_and_no_aio)
{
    const uint32_t types[] = {KEVENT_NAIO, KEVENT_AIO};
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
