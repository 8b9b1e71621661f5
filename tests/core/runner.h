/*
 * runner.h - how a test of the core is written.
 *
 *     TEST(ring_of_one_slot)     the name says what holds
 *     {
 *         CHECK_EQ(kev_ring_room(&ring), 1);
 *     }
 *
 * Each test runs in a process of its own, has 60 seconds, and must end with
 * the descriptors with which it began.  A FAIL_TEST is right when it fails.
 */
#ifndef KEV_TESTS_RUNNER_H
#define KEV_TESTS_RUNNER_H

#ifdef NDEBUG
#error "tests without assertions test nothing: build without NDEBUG"
#endif

#include <stdbool.h>
#include <stdint.h>

#define KEV_TEST_SKIPPED 77

struct kev_test {
    const char *name;
    const char *file;
    void (*run)(void);
    bool must_fail;
};

#define KEV_TEST_DEFINE(test_name, fails)                              \
    static void test_name(void);                                       \
    static const struct kev_test test_name##_test = {                  \
        .name = #test_name,                                            \
        .file = __FILE__,                                              \
        .run = test_name,                                              \
        .must_fail = fails,                                            \
    };                                                                 \
    static const struct kev_test *const test_name##_entry              \
        __attribute__((used, section("kev_tests"))) = &test_name##_test; \
    static void test_name(void)

#define TEST(test_name) KEV_TEST_DEFINE(test_name, false)
#define FAIL_TEST(test_name) KEV_TEST_DEFINE(test_name, true)

/* Ends the test. */
_Noreturn void kev_test_fail(const char *file, int line, const char *what);
_Noreturn void kev_test_fail_eq(const char *file, int line, const char *what,
                                int64_t found, int64_t wanted);
_Noreturn void kev_test_skip(const char *reason);

#define CHECK(condition)                                     \
    do {                                                     \
        if (!(condition)) {                                  \
            kev_test_fail(__FILE__, __LINE__, #condition);   \
        }                                                    \
    } while (0)

#define CHECK_EQ(expression, value)                                     \
    do {                                                                \
        int64_t found_ = (int64_t)(expression);                         \
        int64_t wanted_ = (int64_t)(value);                             \
        if (found_ != wanted_) {                                        \
            kev_test_fail_eq(__FILE__, __LINE__, #expression, found_,   \
                             wanted_);                                  \
        }                                                               \
    } while (0)

#endif
