/* salt.c - SipHash, because the text comes from strangers and a collision would let one read
 * another's cache timing. SPDX-License-Identifier: Apache-2.0 */
#include "server/salt.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

struct state {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static uint64_t rotate(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

static void round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_once(s);
    round_once(s);
    s->v0 ^= word;
}

/* Little-endian, whatever the machine. */
static uint64_t load_word(const unsigned char *bytes, size_t byte_count)
{
    uint64_t word = 0;
    for (size_t i = 0; i < byte_count; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

uint64_t salt_hash(const struct salt_key *key, const char *bytes, size_t byte_count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    struct state s = {
        .v0 = key->low ^ UINT64_C(0x736f6d6570736575),
        .v1 = key->high ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key->low ^ UINT64_C(0x6c7967656e657261),
        .v3 = key->high ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = byte_count - byte_count % 8;
    for (size_t i = 0; i < whole; i += 8) {
        absorb(&s, load_word(at + i, 8));
    }
    absorb(&s, load_word(at + whole, byte_count - whole) | (uint64_t)byte_count << 56);
    s.v2 ^= 0xFF;
    for (int i = 0; i < 4; i++) {
        round_once(&s);
    }
    uint64_t hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return hash != 0 ? hash : 1;
}

uint64_t salt_random(void)
{
    uint64_t value = 0;
    /* Up to 256 bytes never fail or come short once the kernel's pool is up; before that, time. */
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        value = (uint64_t)now.tv_nsec * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)now.tv_sec;
    }
    return value;
}

struct salt_key salt_draw_key(void)
{
    return (struct salt_key){.low = salt_random(), .high = salt_random()};
}
