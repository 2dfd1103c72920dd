/* normal_form.c - normalises only the stretches that can change.
 *
 * In form C nothing below U+0300 changes except as the base of a mark behind it; in the others,
 * nothing of ASCII. So text is copied up to the character in front of a stretch from there up, and
 * in form C a stretch without marks, Hangul letters
 * or decomposable characters (most Chinese, Cyrillic, ...) is copied, too. The rest is decomposed
 * by utf8proc, put into order here, since utf8proc's exchange sort is quadratic on a long run of
 * marks, and composed by utf8proc.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/normal_form.h"

#include "engine/tokenizer/char_class.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    SHORT_RUN = 24, /* marks up to which insertion is the faster sort */
};

struct form {
    uint32_t first_changing; /* the first character that may change, not counting bases */
    int decomposed_max;      /* characters one character decomposes into */
    uint32_t growth;         /* of UTF-8, in bytes: U+0390, and U+FDFA with its 18 characters */
    utf8proc_option_t decompose;
    bool compose;
};

static const struct form forms[] = {
    [NORMAL_FORM_C] = {0x300, 4, 3, UTF8PROC_DECOMPOSE, true},
    [NORMAL_FORM_D] = {0x80, 4, 3, UTF8PROC_DECOMPOSE, false},
    [NORMAL_FORM_KC] = {0x80, 18, 11, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, true},
    [NORMAL_FORM_KD] = {0x80, 18, 11, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, false},
};

uint32_t normal_form_growth(enum normal_form form)
{
    return forms[form].growth;
}

struct work {
    const struct form *form;
    uint8_t *out;
    size_t out_bytes;
    size_t capacity;
    utf8proc_int32_t *codes; /* the stretch at work; its second half is for sorting */
    size_t code_capacity;
    bool failed;
};

static void append(struct work *work, const uint8_t *bytes, size_t byte_count)
{
    if (byte_count == 0) {
        return;
    }
    if (work->capacity - work->out_bytes < byte_count) {
        size_t capacity = 2 * (work->out_bytes + byte_count) + 64;
        uint8_t *grown = realloc(work->out, capacity);
        if (grown == NULL) {
            work->failed = true;
            return;
        }
        work->out = grown;
        work->capacity = capacity;
    }
    memcpy(work->out + work->out_bytes, bytes, byte_count);
    work->out_bytes += byte_count;
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
static void append_composed(struct work *work, const uint8_t *at, const uint8_t *end)
{
    size_t needed = (size_t)(end - at) * (size_t)work->form->decomposed_max;
    if (work->code_capacity < needed) {
        free(work->codes);
        work->codes = malloc(2 * needed * sizeof *work->codes);
        work->code_capacity = work->codes == NULL ? 0 : needed;
    }
    if (work->codes == NULL) {
        work->failed = true;
        return;
    }
    size_t count = 0;
    while (at < end) {
        uint32_t code = 0;
        at += char_class_utf8(at, end, &code);
        int boundary = 0;
        utf8proc_ssize_t made = utf8proc_decompose_char(
            (utf8proc_int32_t)code, work->codes + count, work->form->decomposed_max,
            UTF8PROC_STABLE | work->form->decompose, &boundary);
        if (made < 1 || made > work->form->decomposed_max) {
            work->codes[count] = (utf8proc_int32_t)code;
            made = 1;
        }
        count += (size_t)made;
    }
    order_marks(work->codes, count, work->codes + work->code_capacity);
    utf8proc_ssize_t composed = (utf8proc_ssize_t)count;
    if (work->form->compose) {
        composed =
            utf8proc_normalize_utf32(work->codes, composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    }
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        utf8proc_uint8_t bytes[4];
        append(work, bytes, (size_t)utf8proc_encode_char(work->codes[i], bytes));
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

/* The end of the well-formed stretch of characters that may change that starts at `at`. */
static const uint8_t *stretch_end(const struct form *form, const uint8_t *at, const uint8_t *end,
                                  bool *inert)
{
    *inert = form->first_changing > 0x80;
    for (;;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(at, end, &code);
        if (bytes == 0 || code < form->first_changing) {
            return at;
        }
        *inert = *inert && is_inert(code);
        at += bytes;
    }
}

static void normalize(struct work *work, const uint8_t *text, const uint8_t *end)
{
    const uint8_t *at = text;
    const uint8_t *copied = text; /* everything in front is in the output */
    const uint8_t *base = text;   /* the well-formed character in front of `at`, or `at` */
    while (at < end && !work->failed) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(at, end, &code);
        if (bytes == 0 || code < work->form->first_changing) {
            at += bytes == 0 ? 1 : bytes;
            base = at - bytes;
            continue;
        }
        bool inert = true;
        const uint8_t *stop = stretch_end(work->form, at, end, &inert);
        if (!inert) {
            append(work, copied, (size_t)(base - copied));
            append_composed(work, base, stop);
            copied = stop;
        }
        base = stop;
        at = stop;
    }
    if (copied != text) {
        append(work, copied, (size_t)(end - copied));
    }
}

/* A byte below 0xCC starts no character from U+0300 up. */
static bool may_change(const struct form *form, const uint8_t *text, size_t text_bytes)
{
    uint8_t first = form->first_changing > 0x80 ? 0xCC : 0x80;
    for (size_t i = 0; i < text_bytes; i++) {
        if (text[i] >= first) {
            return true;
        }
    }
    return false;
}

enum status normal_form_apply(enum normal_form form, const uint8_t *text, size_t text_bytes,
                              uint8_t **out, size_t *out_bytes, struct error *err)
{
    *out = NULL;
    *out_bytes = text_bytes;
    if (text == NULL || !may_change(&forms[form], text, text_bytes)) {
        return OK;
    }
    struct work work = {.form = &forms[form]};
    normalize(&work, text, text + text_bytes);
    free(work.codes);
    if (work.failed) {
        free(work.out);
        return error_set(err, ERR_MEMORY, "no memory to normalise %zu bytes of text", text_bytes);
    }
    if (work.out != NULL) {
        *out = work.out;
        *out_bytes = work.out_bytes;
    }
    return OK;
}
