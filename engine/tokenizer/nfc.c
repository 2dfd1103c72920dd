/* nfc.c - normalises only the stretches that can change.
 *
 * Nothing below U+0300 changes except as the base of a mark behind it. So text is copied up to
 * the character in front of a stretch from U+0300 up, and a stretch without marks, Hangul letters
 * or decomposable characters (most Chinese, Cyrillic, ...) is copied, too. The rest is decomposed
 * by utf8proc, put into order here, since utf8proc's exchange sort is quadratic on a long run of
 * marks, and composed by utf8proc.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/nfc.h"

#include "engine/tokenizer/char_class.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    FIRST_CHANGING = 0x300,
    DECOMPOSED_MAX = 4, /* characters one character decomposes into, canonically */
    SHORT_RUN = 24,     /* marks up to which insertion is the faster sort */
};

struct nfc {
    uint8_t *out;
    size_t out_bytes;
    size_t capacity;
    utf8proc_int32_t *codes; /* the stretch at work; its second half is for sorting */
    size_t code_capacity;
    bool failed;
};

static void append(struct nfc *nfc, const uint8_t *bytes, size_t byte_count)
{
    if (byte_count == 0) {
        return;
    }
    if (nfc->capacity - nfc->out_bytes < byte_count) {
        size_t capacity = 2 * (nfc->out_bytes + byte_count) + 64;
        uint8_t *grown = realloc(nfc->out, capacity);
        if (grown == NULL) {
            nfc->failed = true;
            return;
        }
        nfc->out = grown;
        nfc->capacity = capacity;
    }
    memcpy(nfc->out + nfc->out_bytes, bytes, byte_count);
    nfc->out_bytes += byte_count;
}

static uint8_t mark_class(utf8proc_int32_t code)
{
    return (uint8_t)utf8proc_get_property(code)->combining_class;
}

/* Stable sort of a run of marks by combining class. */
static void sort_marks(utf8proc_int32_t *codes, size_t count, utf8proc_int32_t *scratch)
{
    if (count <= SHORT_RUN) {
        for (size_t i = 1; i < count; i++) {
            utf8proc_int32_t code = codes[i];
            size_t j = i;
            for (; j > 0 && mark_class(codes[j - 1]) > mark_class(code); j--) {
                codes[j] = codes[j - 1];
            }
            codes[j] = code;
        }
        return;
    }
    size_t start[257] = {0};
    for (size_t i = 0; i < count; i++) {
        start[mark_class(codes[i]) + 1]++;
    }
    for (size_t i = 1; i < 257; i++) {
        start[i] += start[i - 1];
    }
    memcpy(scratch, codes, count * sizeof *codes);
    for (size_t i = 0; i < count; i++) {
        codes[start[mark_class(scratch[i])]++] = scratch[i];
    }
}

static void order_marks(utf8proc_int32_t *codes, size_t count, utf8proc_int32_t *scratch)
{
    for (size_t i = 0; i < count;) {
        size_t run = i;
        while (run < count && mark_class(codes[run]) != 0) {
            run++;
        }
        sort_marks(codes + i, run - i, scratch);
        i = run + 1;
    }
}

/* Decomposes, orders, composes and appends one stretch of well-formed UTF-8. */
static void append_composed(struct nfc *nfc, const uint8_t *at, const uint8_t *end)
{
    size_t needed = (size_t)(end - at) * DECOMPOSED_MAX;
    if (nfc->code_capacity < needed) {
        free(nfc->codes);
        nfc->codes = malloc(2 * needed * sizeof *nfc->codes);
        nfc->code_capacity = nfc->codes == NULL ? 0 : needed;
    }
    if (nfc->codes == NULL) {
        nfc->failed = true;
        return;
    }
    size_t count = 0;
    while (at < end) {
        uint32_t code = 0;
        at += char_class_utf8(at, end, &code);
        int boundary = 0;
        utf8proc_ssize_t made =
            utf8proc_decompose_char((utf8proc_int32_t)code, nfc->codes + count, DECOMPOSED_MAX,
                                    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        if (made < 1 || made > DECOMPOSED_MAX) {
            nfc->codes[count] = (utf8proc_int32_t)code;
            made = 1;
        }
        count += (size_t)made;
    }
    order_marks(nfc->codes, count, nfc->codes + nfc->code_capacity);
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(nfc->codes, (utf8proc_ssize_t)count,
                                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        utf8proc_uint8_t bytes[4];
        append(nfc, bytes, (size_t)utf8proc_encode_char(nfc->codes[i], bytes));
    }
}

/* Whether a character is the same before and after, whatever stands around it. */
static bool is_inert(uint32_t code)
{
    if ((code >= 0x1100 && code <= 0x11FF) || (code >= 0xAC00 && code <= 0xD7A3)) {
        return false; /* Hangul letters join into syllables */
    }
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
    return property->combining_class == 0 && property->decomp_seqindex == UINT16_MAX &&
           property->category != UTF8PROC_CATEGORY_MN && property->category != UTF8PROC_CATEGORY_MC;
}

/* The end of the well-formed stretch of characters from U+0300 up that starts at `at`. */
static const uint8_t *stretch_end(const uint8_t *at, const uint8_t *end, bool *inert)
{
    *inert = true;
    for (;;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(at, end, &code);
        if (bytes == 0 || code < FIRST_CHANGING) {
            return at;
        }
        *inert = *inert && is_inert(code);
        at += bytes;
    }
}

static void normalize(struct nfc *nfc, const uint8_t *text, const uint8_t *end)
{
    const uint8_t *at = text;
    const uint8_t *copied = text; /* everything in front is in the output */
    const uint8_t *base = text;   /* the well-formed character in front of `at`, or `at` */
    while (at < end && !nfc->failed) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(at, end, &code);
        if (bytes == 0 || code < FIRST_CHANGING) {
            at += bytes == 0 ? 1 : bytes;
            base = at - bytes;
            continue;
        }
        bool inert = true;
        const uint8_t *stop = stretch_end(at, end, &inert);
        if (!inert) {
            append(nfc, copied, (size_t)(base - copied));
            append_composed(nfc, base, stop);
            copied = stop;
        }
        base = stop;
        at = stop;
    }
    if (copied != text) {
        append(nfc, copied, (size_t)(end - copied));
    }
}

/* A byte below 0xCC starts no character from U+0300 up. */
static bool may_change(const uint8_t *text, size_t text_bytes)
{
    for (size_t i = 0; i < text_bytes; i++) {
        if (text[i] >= 0xCC) {
            return true;
        }
    }
    return false;
}

enum status nfc_normalize(const uint8_t *text, size_t text_bytes, uint8_t **out, size_t *out_bytes,
                          struct error *err)
{
    *out = NULL;
    *out_bytes = text_bytes;
    if (text == NULL || !may_change(text, text_bytes)) {
        return OK;
    }
    struct nfc nfc = {0};
    normalize(&nfc, text, text + text_bytes);
    free(nfc.codes);
    if (nfc.failed) {
        free(nfc.out);
        return error_set(err, ERR_MEMORY, "no memory to normalise %zu bytes of text", text_bytes);
    }
    if (nfc.out != NULL) {
        *out = nfc.out;
        *out_bytes = nfc.out_bytes;
    }
    return OK;
}
