/* special_scan.c - longest match by narrowing a sorted list, byte by byte.
 *
 * The list needs no memory beyond the ids, whatever the tokens look like, and most positions of a
 * text are dismissed by one bit: few bytes start a special token.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/special_scan.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdlib.h>
#include <string.h>

/* Heap sort: qsort would need the texts in a global, and n log n must hold for any file. */
static bool is_before(const struct special_scan *scan, const struct special_spelling *a,
                      const struct special_spelling *b)
{
    uint32_t common = a->byte_count < b->byte_count ? a->byte_count : b->byte_count;
    int order = memcmp(scan->text + a->at, scan->text + b->at, common);
    return order != 0 ? order < 0 : a->byte_count < b->byte_count;
}

static void swap(struct special_spelling *a, struct special_spelling *b)
{
    struct special_spelling kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_down(struct special_scan *scan, size_t root, size_t count)
{
    struct special_spelling *all = scan->spellings;
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && is_before(scan, &all[child], &all[child + 1])) {
            child++;
        }
        if (!is_before(scan, &all[root], &all[child])) {
            return;
        }
        swap(&all[root], &all[child]);
        root = child;
    }
}

void special_scan_seal(struct special_scan *scan)
{
    for (size_t i = scan->count / 2; i-- > 0;) {
        sift_down(scan, i, scan->count);
    }
    for (size_t i = scan->count; i-- > 1;) {
        swap(&scan->spellings[0], &scan->spellings[i]);
        sift_down(scan, 0, i);
    }
}

static bool reserve(struct special_scan *scan, size_t text_bytes)
{
    if (scan->count == scan->capacity) {
        uint32_t capacity = 2 * scan->capacity + 16;
        void *grown = reallocarray(scan->spellings, capacity, sizeof *scan->spellings);
        if (grown == NULL) {
            return false;
        }
        scan->spellings = grown;
        scan->capacity = capacity;
    }
    if (scan->text_capacity - scan->text_bytes < text_bytes) {
        size_t capacity = 2 * (scan->text_bytes + text_bytes);
        uint8_t *grown = capacity > UINT32_MAX ? NULL : realloc(scan->text, capacity);
        if (grown == NULL) {
            return false;
        }
        scan->text = grown;
        scan->text_capacity = capacity;
    }
    return true;
}

bool special_scan_add(struct special_scan *scan, uint32_t id, uint32_t flags, const uint8_t *text,
                      size_t text_bytes)
{
    if (text_bytes == 0) {
        return true;
    }
    if (!reserve(scan, text_bytes)) {
        return false;
    }
    scan->spellings[scan->count++] = (struct special_spelling){
        .at = (uint32_t)scan->text_bytes,
        .byte_count = (uint32_t)text_bytes,
        .id = id,
        .flags = flags,
    };
    memcpy(scan->text + scan->text_bytes, text, text_bytes);
    scan->text_bytes += text_bytes;
    scan->first_bytes[text[0] / 64] |= 1ull << text[0] % 64;
    return true;
}

void special_scan_close(struct special_scan *scan)
{
    free(scan->text);
    free(scan->spellings);
    *scan = (struct special_scan){0};
}

/* The first of spellings[low .. high) whose byte `depth` is not below `byte`; all share what is in
 * front of it and are longer than depth. */
static uint32_t lower_bound(const struct special_scan *scan, uint32_t low, uint32_t high,
                            uint32_t depth, uint32_t byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (scan->text[scan->spellings[middle].at + depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest spelling that the text at `at` starts with, or NULL. */
static const struct special_spelling *longest_at(const struct special_scan *scan, const uint8_t *at,
                                                 const uint8_t *end)
{
    const struct special_spelling *best = NULL;
    uint32_t low = 0;
    uint32_t high = scan->count;
    for (uint32_t depth = 0; low < high; depth++) {
        while (low < high && scan->spellings[low].byte_count == depth) {
            best = &scan->spellings[low++]; /* it sorts in front of all that go on */
        }
        if (at + depth == end) {
            break;
        }
        low = lower_bound(scan, low, high, depth, at[depth]);
        high = lower_bound(scan, low, high, depth, at[depth] + 1u);
    }
    return best;
}

/* What stands on both sides is no part of a word. */
static bool stands_alone(const uint8_t *text, const uint8_t *begin, const uint8_t *end,
                         const uint8_t *text_end)
{
    if (begin > text &&
        char_class_is_word(char_class_at(char_class_before(text, begin), text_end))) {
        return false;
    }
    return end == text_end || !char_class_is_word(char_class_at(end, text_end));
}

static bool may_strip(const struct special_scan *scan, struct character c)
{
    return (c.classes & CLASS_SPACE) != 0 && !(scan->plain_spaces_stay && c.code == ' ');
}

static void widen(const struct special_scan *scan, uint32_t flags, const uint8_t *at,
                  const uint8_t *text_end, struct special_match *match)
{
    while ((flags & TOKENIZER_TOKEN_STRIP_LEFT) && match->begin > at) {
        const uint8_t *before = char_class_before(at, match->begin);
        struct character c = char_class_at(before, text_end);
        if (before + c.bytes != match->begin || !may_strip(scan, c)) {
            break;
        }
        match->begin = before;
    }
    while ((flags & TOKENIZER_TOKEN_STRIP_RIGHT) && match->end < text_end) {
        struct character c = char_class_at(match->end, text_end);
        if (!may_strip(scan, c)) {
            break;
        }
        match->end += c.bytes;
    }
}

bool special_scan_find(const struct special_scan *scan, const uint8_t *text, const uint8_t *at,
                       const uint8_t *text_end, struct special_match *match)
{
    if (scan->count == 0) {
        return false;
    }
    const uint8_t *from = at;
    while (at < text_end) {
        if ((scan->first_bytes[*at / 64] >> *at % 64 & 1) == 0) {
            at++;
            continue;
        }
        const struct special_spelling *found = longest_at(scan, at, text_end);
        if (found == NULL) {
            at++;
            continue;
        }
        *match = (struct special_match){at, at + found->byte_count, found->id};
        at = match->end;
        if ((found->flags & TOKENIZER_TOKEN_SINGLE_WORD) == 0 ||
            stands_alone(text, match->begin, match->end, text_end)) {
            widen(scan, found->flags, from, text_end, match);
            return true;
        }
    }
    return false;
}
