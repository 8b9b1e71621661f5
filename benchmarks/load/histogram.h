/*
 * histogram.h - counts of durations in buckets less than 0.8 % wide.
 *
 * Each power of two is cut into 128 equal buckets, so that a bucket's width is
 * a fixed share of its value and 60 KB hold anything from 1 ns to 584 years.
 * A percentile is exact to the bucket; the maximum is exact.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    7
#define HISTOGRAM_PARTS   (1u << HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) * HISTOGRAM_PARTS)

struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t
histogram_bucket(uint64_t value_ns)
{
    if (value_ns < HISTOGRAM_PARTS) {
        return (uint32_t)value_ns;
    }
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns)
                     - HISTOGRAM_BITS;
    uint32_t part = (uint32_t)(value_ns >> shift) & (HISTOGRAM_PARTS - 1);
    return (shift + 1) * HISTOGRAM_PARTS + part;
}

/* The middle of a bucket. */
static inline uint64_t
histogram_value(uint32_t bucket)
{
    if (bucket < 2 * HISTOGRAM_PARTS) {
        return bucket;
    }
    uint32_t shift = bucket / HISTOGRAM_PARTS - 1;
    uint64_t low = (uint64_t)(HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS)
                   << shift;
    return low + ((1ull << shift) >> 1);
}

static inline void
histogram_add(struct histogram *h, uint64_t value_ns)
{
    if (h->count == 0 || value_ns < h->min_ns) {
        h->min_ns = value_ns;
    }
    if (value_ns > h->max_ns) {
        h->max_ns = value_ns;
    }
    h->count++;
    h->sum_ns += value_ns;
    h->buckets[histogram_bucket(value_ns)]++;
}

/* The duration that `permille` of 1000 samples do not exceed; 0 when empty. */
static inline uint64_t
histogram_permille(const struct histogram *h, uint64_t permille)
{
    uint64_t wanted = (h->count * permille + 999) / 1000;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && wanted != 0; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t value_ns = histogram_value(i);
            return value_ns < h->max_ns ? value_ns : h->max_ns;
        }
    }
    return 0;
}

#endif
