/*
 * report.c - what a run found, as one line of JSON.
 */
#include "load.h"

#include <stdio.h>
#include <unistd.h>

static void
print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        }
        else if (c < 0x20 || c >= 0x7f) {
            printf("\\u%04x", c);
        }
        else {
            putchar(c);
        }
    }
    putchar('"');
}

static void
print_latency(const struct histogram *h)
{
    static const struct {
        const char *name;
        uint64_t permille;
    } columns[] = {
        {"p10", 100}, {"p25", 250}, {"p50", 500}, {"p75", 750}, {"p90", 900},
        {"p95", 950}, {"p99", 990}, {"p999", 999},
    };

    printf("\"latency_ns\": {");
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        printf("\"%s\": %llu, ", columns[i].name,
               (unsigned long long)histogram_permille(h, columns[i].permille));
    }
    printf("\"min\": %llu, \"max\": %llu, \"mean\": %llu}",
           (unsigned long long)h->min_ns, (unsigned long long)h->max_ns,
           (unsigned long long)(h->count ? h->sum_ns / h->count : 0));
}

static void
print_server(const struct load *load, uint64_t requests)
{
    const struct usage *from = &load->begin.server;
    const struct usage *to = &load->end.server;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t cpu_ns = to->cpu_ns - from->cpu_ns;

    printf("\"server\": {\"cpu_ns\": %llu, \"cpu_ns_per_request\": %.1f, "
           "\"user_ns\": %llu, \"system_ns\": %llu, \"waited_ns\": %llu}, ",
           (unsigned long long)cpu_ns,
           requests ? (double)cpu_ns / (double)requests : 0.0,
           (unsigned long long)((to->user_ticks - from->user_ticks) * tick_ns),
           (unsigned long long)((to->system_ticks - from->system_ticks)
                                * tick_ns),
           (unsigned long long)(to->waited_ns - from->waited_ns));
}

static void
print_routes(const struct load *load)
{
    printf("\"routes\": [");
    for (unsigned i = 0; i < load->routes_count; i++) {
        const struct route *route = &load->routes[i];
        printf("%s{\"name\": ", i ? ", " : "");
        print_string(route->name);
        printf(", \"requests\": %llu, ",
               (unsigned long long)route->latency.count);
        print_latency(&route->latency);
        putchar('}');
    }
    printf("], ");
}

bool
report_print(const struct load *load)
{
    static struct histogram all;        /* too large for the stack's taste */
    uint64_t wall_ns = load->end.now_ns - load->begin.now_ns;
    double seconds = (double)wall_ns / 1e9;
    uint64_t own_ns = load->end.own_cpu_ns - load->begin.own_cpu_ns;
    bool is_right = load->wrong_bytes == 0 && load->wrong_answers == 0
                    && load->lost_connections == 0 && load->stalls == 0
                    && load->first_error[0] == '\0';

    for (unsigned i = 0; i < load->routes_count; i++) {
        const struct histogram *one = &load->routes[i].latency;
        for (uint32_t b = 0; one->count != 0 && b < HISTOGRAM_BUCKETS; b++) {
            all.buckets[b] += one->buckets[b];
        }
        if (one->count != 0) {
            all.min_ns = all.count == 0 || one->min_ns < all.min_ns
                ? one->min_ns : all.min_ns;
            all.max_ns = one->max_ns > all.max_ns ? one->max_ns : all.max_ns;
            all.count += one->count;
            all.sum_ns += one->sum_ns;
        }
    }
    printf("{\"event\": \"report\", \"mode\": \"%s\", \"ok\": %s, "
           "\"requests\": %llu, \"seconds\": %.6f, "
           "\"requests_per_second\": %.1f, \"received_bytes\": %llu, "
           "\"answers_checked\": %llu, ",
           load->workload->name, is_right ? "true" : "false",
           (unsigned long long)all.count, seconds,
           wall_ns ? (double)all.count / seconds : 0.0,
           (unsigned long long)load->received_bytes,
           (unsigned long long)load->answers);
    print_latency(&all);
    printf(", ");
    print_routes(load);
    print_server(load, all.count);
    printf("\"client\": {\"cpu_ns\": %llu, \"cpu_share\": %.4f}, ",
           (unsigned long long)own_ns,
           wall_ns ? (double)own_ns / (double)wall_ns : 0.0);
    printf("\"wrong_bytes\": %llu, \"wrong_answers\": %llu, "
           "\"lost_connections\": %llu, \"stalls\": %llu, \"first_error\": ",
           (unsigned long long)load->wrong_bytes,
           (unsigned long long)load->wrong_answers,
           (unsigned long long)load->lost_connections,
           (unsigned long long)load->stalls);
    if (load->first_error[0] != '\0') {
        print_string(load->first_error);
    }
    else {
        printf("null");
    }
    printf("}\n");
    fflush(stdout);
    return is_right;
}
