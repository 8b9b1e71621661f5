/*
 * runner.c - runs each test in a child, counts what happened; see runner.h.
 *
 *     program NAME [PART]     NAME heads the sum; only tests with PART in
 *                             their file or name are run
 */
#include "runner.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS 60   /* or KEV_TEST_SECONDS of the environment */

extern const struct kev_test *const __start_kev_tests[];
extern const struct kev_test *const __stop_kev_tests[];

struct sum {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
};

_Noreturn static void
test_end(int status)
{
    fflush(NULL);
    _exit(status);
}

void
kev_test_fail(const char *file, int line, const char *what)
{
    printf("%s:%d: does not hold: %s\n", file, line, what);
    test_end(1);
}

void
kev_test_fail_eq(const char *file, int line, const char *what, int64_t found,
                 int64_t wanted)
{
    printf("%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, what,
           found, wanted);
    test_end(1);
}

void
kev_test_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    test_end(KEV_TEST_SKIPPED);
}

static int
descriptors_open(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return -1;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* Kills the process when its time is up, whatever it does with signals and
   with alarm(2). */
static void
limit_time(void)
{
    struct sigevent kill = {
        .sigev_notify = SIGEV_SIGNAL,
        .sigev_signo = SIGKILL,
    };
    const char *seconds = getenv("KEV_TEST_SECONDS");
    struct itimerspec end = {
        .it_value.tv_sec = seconds == NULL ? TEST_SECONDS : atoi(seconds),
    };
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &kill, &timer) < 0
        || timer_settime(timer, 0, &end, NULL) < 0) {
        perror("timer_create");
        test_end(1);
    }
}

/* The child: never returns. */
_Noreturn static void
test_child(const struct kev_test *test, int output)
{
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close(output);
    limit_time();
    int before = descriptors_open();
    test->run();
    int after = descriptors_open();
    if (before != after) {
        printf("%s: %d descriptors at the start, %d at the end\n", test->name,
               before, after);
        test_end(1);
    }
    /* Not _exit: a sanitizer has its say about memory here. */
    exit(0);
}

static void
output_copy(FILE *output)
{
    char text[4096];
    size_t size;
    rewind(output);
    while ((size = fread(text, 1, sizeof(text), output)) > 0) {
        fwrite(text, 1, size, stdout);
    }
}

static void
test_run(const struct kev_test *test, struct sum *sum)
{
    FILE *output = tmpfile();
    if (output == NULL) {
        perror("tmpfile");
        exit(2);
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        test_child(test, fileno(output));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(2);
    }
    bool skipped = WIFEXITED(status)
        && WEXITSTATUS(status) == KEV_TEST_SKIPPED;
    bool failed = status != 0 && !skipped;
    if (skipped) {
        sum->skipped++;
    }
    else if (failed == test->must_fail) {
        sum->passed++;
    }
    else {
        sum->failed++;
    }
    if (skipped || failed != test->must_fail) {
        printf("%s %s (%s)\n", skipped ? "skip" : "FAIL", test->name,
               test->file);
        if (WIFSIGNALED(status)) {
            printf("ended by signal %d\n", WTERMSIG(status));
        }
        output_copy(output);
    }
    fclose(output);
}

int
main(int argc, char **argv)
{
    const char *title = argc > 1 ? argv[1] : "core";
    const char *part = argc > 2 ? argv[2] : "";
    struct sum sum = {0};
    for (const struct kev_test *const *entry = __start_kev_tests;
         entry < __stop_kev_tests; entry++) {
        if (strstr((*entry)->name, part) != NULL
            || strstr((*entry)->file, part) != NULL) {
            test_run(*entry, &sum);
        }
    }
    printf("%s: %u passed", title, sum.passed);
    if (sum.failed != 0) {
        printf(", %u failed", sum.failed);
    }
    if (sum.skipped != 0) {
        printf(", %u skipped", sum.skipped);
    }
    printf("\n");
    return sum.failed != 0 || sum.passed == 0;
}
