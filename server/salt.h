/* salt.h - a client's cache_salt -> the number that keeps its prefix-cache entries apart.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SALT_H
#define SERVER_SALT_H

#include <stddef.h>
#include <stdint.h>

struct salt_key {
    uint64_t low;
    uint64_t high;
};

/* A key nobody knows, drawn once a process: without it two salts cannot be made to collide. */
struct salt_key salt_draw_key(void);

/* SipHash-2-4 (Aumasson and Bernstein 2012); never 0, which stands for "no salt". */
uint64_t salt_hash(const struct salt_key *key, const char *bytes, size_t byte_count);

/* A random number, for seeds and request ids. */
uint64_t salt_random(void);

#endif
