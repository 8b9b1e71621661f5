/*
 * usage.c - what the server has used of the machine, read from outside.
 *
 * The CPU clock of a process counts all its threads in nanoseconds and is
 * right while they run; the split into user and system time is only kept in
 * ticks of 10 ms, so that it means something over windows of seconds.
 */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t
timespec_ns(const struct timespec *ts)
{
    return (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static bool
read_proc(pid_t pid, const char *name, char *text, size_t size_bytes)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t count = fread(text, 1, size_bytes - 1, file);
    fclose(file);
    text[count] = '\0';
    return count != 0;
}

static void
usage_take(struct usage *usage, pid_t pid)
{
    char text[1024];
    clockid_t clock;
    struct timespec ts;

    memset(usage, 0, sizeof(*usage));
    if (clock_getcpuclockid(pid, &clock) == 0
        && clock_gettime(clock, &ts) == 0) {
        usage->cpu_ns = timespec_ns(&ts);
    }
    if (read_proc(pid, "stat", text, sizeof(text))) {
        unsigned long user = 0;
        unsigned long system = 0;
        /* The name in brackets may hold anything, brackets too. */
        const char *rest = strrchr(text, ')');
        if (rest != NULL
            && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
                      " %lu %lu", &user, &system) == 2) {
            usage->user_ticks = user;
            usage->system_ticks = system;
        }
    }
    if (read_proc(pid, "schedstat", text, sizeof(text))) {
        unsigned long long waited = 0;
        if (sscanf(text, "%*u %llu", &waited) == 1) {
            usage->waited_ns = waited;
        }
    }
}

void
mark_take(struct mark *mark, pid_t pid)
{
    struct timespec ts;

    memset(mark, 0, sizeof(*mark));
    if (pid != 0) {
        usage_take(&mark->server, pid);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    mark->own_cpu_ns = timespec_ns(&ts);
    mark->now_ns = load_clock_ns();
}

static bool
is_asleep(pid_t pid, bool *is_gone)
{
    char text[1024];
    char state = 'X';

    if (read_proc(pid, "stat", text, sizeof(text))) {
        const char *rest = strrchr(text, ')');
        if (rest != NULL && sscanf(rest + 1, " %c", &state) != 1) {
            state = 'X';
        }
    }
    *is_gone = state == 'X' || state == 'Z';
    return state == 'S';
}

bool
usage_wait_asleep(pid_t pid, uint64_t until_ns)
{
    const struct timespec moment = {.tv_nsec = 20000};
    bool is_gone = false;

    while (!is_asleep(pid, &is_gone)) {
        if (is_gone || load_clock_ns() > until_ns) {
            return false;
        }
        /* On a CPU that both have to share the server needs it now. */
        (void)nanosleep(&moment, NULL);
    }
    return true;
}
