/* histogram.c - a bucket is the value's highest bit and the ten bits below it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/histogram.h"

#include <math.h>
#include <stdlib.h>

enum {
    FINE_BITS = 10,
    FINE = 1 << FINE_BITS,
    /* Values below FINE have a bucket each; above, each doubling has FINE. */
    BUCKETS = (64 - FINE_BITS + 1) * FINE
};

static uint32_t bucket_of(uint64_t value)
{
    if (value < FINE) {
        return (uint32_t)value;
    }
    uint32_t top = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = top - FINE_BITS;
    return (shift + 1) * FINE + (uint32_t)((value >> shift) - FINE);
}

/* The middle of the values that share a bucket. */
static double value_of(uint32_t bucket)
{
    if (bucket < FINE) {
        return bucket;
    }
    uint32_t shift = bucket / FINE - 1;
    double low = ldexp((double)(FINE + bucket % FINE), (int)shift);
    return low + (ldexp(1, (int)shift) - 1) / 2;
}

bool histogram_open(struct histogram *histogram)
{
    *histogram = (struct histogram){.least = UINT64_MAX};
    histogram->buckets = calloc(BUCKETS, sizeof *histogram->buckets);
    return histogram->buckets != NULL;
}

void histogram_close(struct histogram *histogram)
{
    free(histogram->buckets);
    histogram->buckets = NULL;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    histogram->square_sum += (double)value * (double)value;
    histogram->least = value < histogram->least ? value : histogram->least;
    histogram->most = value > histogram->most ? value : histogram->most;
}

double histogram_quantile(const struct histogram *histogram, double share)
{
    if (histogram->count == 0) {
        return 0;
    }
    double wanted = ceil(share * (double)histogram->count);
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
    if (rank >= histogram->count) {
        return (double)histogram->most;
    }
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank) {
            double value = value_of(bucket);
            return fmin(fmax(value, (double)histogram->least), (double)histogram->most);
        }
    }
    return (double)histogram->most;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}

double histogram_deviation(const struct histogram *histogram)
{
    double mean = histogram_mean(histogram);
    double variance =
        histogram->count > 0 ? histogram->square_sum / (double)histogram->count - mean * mean : 0;
    return variance > 0 ? sqrt(variance) : 0;
}
