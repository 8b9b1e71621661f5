/*
 * test_runner.c - the runner itself sees what it claims to see.
 */
#include "runner.h"

#include <stdlib.h>
#include <unistd.h>

FAIL_TEST(a_failed_check_fails)
{
    CHECK(false);
}

FAIL_TEST(a_wrong_value_fails)
{
    CHECK_EQ(1 + 1, 3);
}

FAIL_TEST(a_leaked_descriptor_fails)
{
    CHECK(dup(0) >= 0);
}

FAIL_TEST(a_descriptor_closed_too_much_fails)
{
    CHECK_EQ(close(0), 0);
}

FAIL_TEST(a_crash_fails)
{
    abort();
}

TEST(a_test_that_does_nothing_passes)
{
}
