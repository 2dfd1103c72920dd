/* special_scan.c - longest match by narrowing a sorted list, byte by byte.
 *
 * The list needs no memory beyond the ids, whatever the tokens look like, and most positions of a
 * text are dismissed by one bit: few bytes start a special token.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/special_scan.h"

#include "engine/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

struct view {
    const uint8_t *bytes;
    uint32_t byte_count;
};

static struct view text_of(const struct vocabulary *v, uint32_t id)
{
    return (struct view){v->text + v->text_at[id], v->text_at[id + 1] - v->text_at[id]};
}

/* Heap sort: qsort would need the vocabulary in a global, and n log n must hold for any file. */
static bool is_before(const struct vocabulary *v, uint32_t a, uint32_t b)
{
    struct view x = text_of(v, a);
    struct view y = text_of(v, b);
    uint32_t common = x.byte_count < y.byte_count ? x.byte_count : y.byte_count;
    int order = memcmp(x.bytes, y.bytes, common);
    return order != 0 ? order < 0 : x.byte_count < y.byte_count;
}

static void sift_down(const struct vocabulary *v, uint32_t *ids, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && is_before(v, ids[child], ids[child + 1])) {
            child++;
        }
        if (!is_before(v, ids[root], ids[child])) {
            return;
        }
        uint32_t swap = ids[root];
        ids[root] = ids[child];
        ids[child] = swap;
        root = child;
    }
}

static void sort_by_text(const struct vocabulary *v, uint32_t *ids, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(v, ids, i, count);
    }
    for (size_t i = count; i-- > 1;) {
        uint32_t swap = ids[0];
        ids[0] = ids[i];
        ids[i] = swap;
        sift_down(v, ids, 0, i);
    }
}

static bool is_wanted(const struct vocabulary *v, uint32_t id, bool with_control)
{
    if (v->text_at[id] == v->text_at[id + 1]) {
        return false;
    }
    return v->types[id] == TOKEN_USER_DEFINED || (with_control && vocabulary_is_special(v, id));
}

bool special_scan_open(struct special_scan *scan, const struct vocabulary *vocabulary,
                       bool with_control)
{
    *scan = (struct special_scan){0};
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        count += is_wanted(vocabulary, id, with_control);
    }
    scan->ids = calloc((size_t)count + 1, sizeof *scan->ids);
    if (scan->ids == NULL) {
        return false;
    }
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        if (is_wanted(vocabulary, id, with_control)) {
            uint8_t first = vocabulary->text[vocabulary->text_at[id]];
            scan->first_bytes[first / 64] |= 1ull << first % 64;
            scan->ids[scan->count++] = id;
        }
    }
    sort_by_text(vocabulary, scan->ids, scan->count);
    return true;
}

void special_scan_close(struct special_scan *scan)
{
    free(scan->ids);
    *scan = (struct special_scan){0};
}

/* The first of ids[low .. high) whose byte `depth` is not below `byte`; all share what is in
 * front of it and are longer than depth. */
static uint32_t lower_bound(const struct special_scan *scan, const struct vocabulary *v,
                            uint32_t low, uint32_t high, uint32_t depth, uint32_t byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_of(v, scan->ids[middle]).bytes[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest token that the text at `at` starts with, or TOKEN_NONE. */
static uint32_t longest_at(const struct special_scan *scan, const struct vocabulary *v,
                           const uint8_t *at, const uint8_t *end)
{
    uint32_t best = TOKEN_NONE;
    uint32_t low = 0;
    uint32_t high = scan->count;
    for (uint32_t depth = 0; low < high; depth++) {
        if (text_of(v, scan->ids[low]).byte_count == depth) {
            best = scan->ids[low++]; /* it sorts in front of all that go on */
        }
        if (at + depth == end) {
            break;
        }
        low = lower_bound(scan, v, low, high, depth, at[depth]);
        high = lower_bound(scan, v, low, high, depth, at[depth] + 1u);
    }
    return best;
}

bool special_scan_find(const struct special_scan *scan, const struct vocabulary *vocabulary,
                       const uint8_t *text, const uint8_t *text_end, struct special_match *match)
{
    if (scan->count == 0) {
        return false;
    }
    for (const uint8_t *at = text; at < text_end; at++) {
        if ((scan->first_bytes[*at / 64] >> *at % 64 & 1) == 0) {
            continue;
        }
        uint32_t id = longest_at(scan, vocabulary, at, text_end);
        if (id != TOKEN_NONE) {
            *match = (struct special_match){at, at + text_of(vocabulary, id).byte_count, id};
            return true;
        }
    }
    return false;
}
