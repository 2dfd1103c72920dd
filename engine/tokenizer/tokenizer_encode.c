/* tokenizer_encode.c - text -> ids: special tokens out, the rest normalised, cut and merged.
 *
 * Text is cut as finely as is exact: byte-level vocabularies at the words their expression
 * defines, SentencePiece ones in front of spaces no token reaches across. Short pieces keep the
 * merge lists in the cache, and most pieces are whole tokens that need no merging at all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/nfc.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_state.h"

#include <stdlib.h>
#include <string.h>

struct encoding {
    const struct tokenizer *tokenizer;
    struct bpe_scratch scratch;
    struct bpe_output output;
    bool drop_guards;
    struct error *err;
};

static bool is_full(const struct encoding *e)
{
    return e->output.count > e->output.max;
}

static enum status encode_words(struct encoding *e, const uint8_t *text, size_t text_bytes)
{
    const struct tokenizer *t = e->tokenizer;
    struct pretokenizer_cursor cursor;
    const uint8_t *begin;
    const uint8_t *end;
    enum status status = OK;
    pretokenizer_start(&cursor, t->pretokenizer, text, text_bytes);
    while (status == OK && !is_full(e) && pretokenizer_next_word(&cursor, &begin, &end)) {
        status = bpe_encode(&t->vocabulary, &e->scratch, begin, (size_t)(end - begin), &e->output,
                            e->err);
    }
    return status;
}

/* Byte-level: a stretch of text between special tokens. */
static enum status encode_byte_level(struct encoding *e, const uint8_t *text, size_t text_bytes)
{
    if (!e->tokenizer->pretokenizer->nfc) {
        return encode_words(e, text, text_bytes);
    }
    uint8_t *normal = NULL;
    size_t normal_bytes = 0;
    enum status status = nfc_normalize(text, text_bytes, &normal, &normal_bytes, e->err);
    if (status == OK) {
        status = encode_words(e, normal != NULL ? normal : text, normal_bytes);
    }
    free(normal);
    return status;
}

/* Copies text as SentencePiece sees it: spaces trimmed and single if the model says so, and its
 * own sign for a space taken as one. Returns the bytes written, at most text_bytes. */
static size_t copy_spaced(const struct tokenizer *t, const uint8_t *text, size_t text_bytes,
                          uint8_t *out)
{
    size_t written = 0;
    bool trim = t->remove_extra_spaces;
    for (size_t at = 0; at < text_bytes;) {
        if (text_bytes - at >= 3 && memcmp(text + at, "\xE2\x96\x81", 3) == 0) {
            out[written++] = ' ';
            at += 3;
            continue;
        }
        bool doubled = text[at] == ' ' && (written == 0 || out[written - 1] == ' ');
        if (!(trim && doubled)) {
            out[written++] = text[at];
        }
        at++;
    }
    while (trim && written > 0 && out[written - 1] == ' ') {
        written--;
    }
    return written;
}

/* The end of the longest piece from `at` that may have to be merged as one. */
static const uint8_t *piece_end(const struct tokenizer *t, const uint8_t *at, const uint8_t *end)
{
    for (const uint8_t *p = at + 1; p < end; p++) {
        uint8_t before = p[-1];
        if (*p == ' ' && before != ' ' && (t->joins_space[before / 64] >> before % 64 & 1) == 0) {
            return p;
        }
    }
    return end;
}

/* SentencePiece: a stretch of text between special tokens. */
static enum status encode_sentence(struct encoding *e, const uint8_t *text, size_t text_bytes,
                                   bool first)
{
    const struct tokenizer *t = e->tokenizer;
    uint8_t *buffer = malloc(text_bytes + 1);
    if (buffer == NULL) {
        return error_set(e->err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", text_bytes);
    }
    buffer[0] = ' ';
    size_t copied = copy_spaced(t, text, text_bytes, buffer + 1);
    bool prefix = t->add_space_prefix && first && copied > 0;
    const uint8_t *at = prefix ? buffer : buffer + 1;
    const uint8_t *end = buffer + 1 + copied;
    enum status status = OK;
    e->output.unknown_last = false;
    while (status == OK && at < end && !is_full(e)) {
        const uint8_t *stop = piece_end(t, at, end);
        status =
            bpe_encode(&t->vocabulary, &e->scratch, at, (size_t)(stop - at), &e->output, e->err);
        at = stop;
    }
    free(buffer);
    return status;
}

enum {
    GUARD_BYTES = sizeof TOKENIZER_GUARD - 1
};

/* Copies text without single guards, and with one for each two. Returns the bytes written. */
static size_t copy_unguarded(const uint8_t *text, size_t text_bytes, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < text_bytes;) {
        bool guard =
            text_bytes - at >= GUARD_BYTES && memcmp(text + at, TOKENIZER_GUARD, GUARD_BYTES) == 0;
        if (!guard) {
            out[written++] = text[at++];
            continue;
        }
        at += GUARD_BYTES;
        if (text_bytes - at >= GUARD_BYTES &&
            memcmp(text + at, TOKENIZER_GUARD, GUARD_BYTES) == 0) {
            memcpy(out + written, TOKENIZER_GUARD, GUARD_BYTES);
            written += GUARD_BYTES;
            at += GUARD_BYTES;
        }
    }
    return written;
}

static enum status encode_plain(struct encoding *e, const uint8_t *begin, const uint8_t *end,
                                bool first);

static enum status encode_guarded(struct encoding *e, const uint8_t *begin, const uint8_t *end,
                                  bool first)
{
    size_t byte_count = (size_t)(end - begin);
    uint8_t *copy = malloc(byte_count);
    if (copy == NULL) {
        return error_set(e->err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", byte_count);
    }
    size_t kept = copy_unguarded(begin, byte_count, copy);
    e->drop_guards = false;
    enum status status = encode_plain(e, copy, copy + kept, first);
    e->drop_guards = true;
    free(copy);
    return status;
}

/* Text between two special tokens, in front of the first or behind the last. */
static enum status encode_plain(struct encoding *e, const uint8_t *begin, const uint8_t *end,
                                bool first)
{
    if (begin == end) {
        return OK;
    }
    size_t byte_count = (size_t)(end - begin);
    if (e->drop_guards && memmem(begin, byte_count, TOKENIZER_GUARD, GUARD_BYTES) != NULL) {
        return encode_guarded(e, begin, end, first);
    }
    if (e->tokenizer->vocabulary.kind == VOCABULARY_SCORES) {
        return encode_sentence(e, begin, byte_count, first);
    }
    return encode_byte_level(e, begin, byte_count);
}

static enum status encode_text(struct encoding *e, const uint8_t *text, const uint8_t *end,
                               bool parse_special)
{
    const struct tokenizer *t = e->tokenizer;
    const struct special_scan *scan = parse_special ? &t->control : &t->user_defined;
    struct special_match match;
    enum status status = OK;
    while (status == OK && !is_full(e) &&
           special_scan_find(scan, &t->vocabulary, text, end, &match)) {
        /* Every stretch starts a sentence anew: the one in front of it was cut off. */
        status = encode_plain(e, text, match.begin, true);
        if (status == OK) {
            bpe_push(&e->output, match.id);
        }
        text = match.end;
    }
    return status == OK && !is_full(e) ? encode_plain(e, text, end, true) : status;
}

/* Byte-level files often name an ordinary control token here; that must not come out of text. */
static uint32_t unknown_id(const struct tokenizer *t)
{
    uint32_t id = t->ids.unknown;
    bool usable = id != TOKEN_NONE && (t->vocabulary.kind == VOCABULARY_SCORES ||
                                       t->vocabulary.types[id] == TOKEN_UNKNOWN);
    return usable ? id : TOKEN_NONE;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t text_bytes,
                             unsigned flags, uint32_t *ids, size_t id_count_max, size_t *id_count,
                             struct error *err)
{
    *id_count = 0;
    if (text_bytes > LIMIT_ENCODE_BYTES) {
        return error_set(err, ERR_INVALID, "the text has %zu bytes, the limit is %u", text_bytes,
                         LIMIT_ENCODE_BYTES);
    }
    const struct special_ids *special = &tokenizer->ids;
    struct encoding e = {
        .tokenizer = tokenizer,
        .output = {.ids = ids, .max = id_count_max, .unknown = unknown_id(tokenizer)},
        .drop_guards = (flags & TOKENIZER_DROP_GUARDS) != 0,
        .err = err,
    };
    if ((flags & TOKENIZER_ADD_SPECIAL) && special->add_bos) {
        bpe_push(&e.output, special->bos);
    }
    const uint8_t *begin = (const uint8_t *)text;
    enum status status = encode_text(&e, begin, text_bytes > 0 ? begin + text_bytes : begin,
                                     (flags & TOKENIZER_PARSE_SPECIAL) != 0);
    if (status == OK && (flags & TOKENIZER_ADD_SPECIAL) && special->add_eos) {
        bpe_push(&e.output, special->eos);
    }
    bpe_release_scratch(&e.scratch);
    *id_count = e.output.count;
    if (status == OK && is_full(&e)) {
        return error_set(err, ERR_FULL, "the text has more than %zu tokens", id_count_max);
    }
    return status;
}
