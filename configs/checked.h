/* checked.h - size arithmetic that says when it does not fit.
 *
 * For every quantity that comes from a file or the wire. Each returns false, leaving *out
 * unspecified, when the true result is not representable.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGS_CHECKED_H
#define CONFIGS_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Rounds up to a multiple of a power of two. */
static inline bool checked_align_u64(uint64_t value, uint64_t alignment, uint64_t *out)
{
    if (!checked_add_u64(value, alignment - 1, out)) {
        return false;
    }
    *out &= ~(alignment - 1);
    return true;
}

static inline bool checked_u32(uint64_t value, uint32_t *out)
{
    *out = (uint32_t)value;
    return value <= UINT32_MAX;
}

#endif
