/* tokenizer_encode.c - text -> ids: special tokens out, the rest normalised, cut and merged.
 *
 * Text is cut as finely as is exact: byte-level vocabularies at the words their expression
 * defines, SentencePiece ones in front of spaces no token reaches across. Short pieces keep the
 * merge lists in the cache, and most pieces are whole tokens that need no merging at all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/guard.h"
#include "engine/tokenizer/spacing.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_state.h"
#include "engine/tokenizer/unigram.h"

#include <stdlib.h>
#include <string.h>

struct encoding {
    const struct tokenizer *tokenizer;
    struct bpe_scratch scratch;
    struct bpe_output output;
    bool drop_guards;
    struct error *err;
    bool parse_special;
};

static bool is_full(const struct encoding *e)
{
    return e->output.count > e->output.max;
}

/* Words of a byte-level vocabulary. */
static enum status encode_words(struct encoding *e, const uint8_t *text, size_t text_bytes)
{
    const struct tokenizer *t = e->tokenizer;
    struct pretokenizer_cursor cursor;
    const uint8_t *begin;
    const uint8_t *end;
    enum status status = OK;
    pretokenizer_start(&cursor, t->pretokenizer, text, text_bytes);
    while (status == OK && !is_full(e) && pretokenizer_next_word(&cursor, &begin, &end)) {
        e->output.unknown_last = false;
        status = bpe_encode(&t->vocabulary, &e->scratch, begin, (size_t)(end - begin), &e->output,
                            e->err);
    }
    return status;
}

/* The end of the longest piece from `at` that may have to be merged as one. */
static const uint8_t *piece_end(const struct tokenizer *t, const uint8_t *at, const uint8_t *end)
{
    for (const uint8_t *p = at + 1; p < end; p++) {
        uint8_t before = p[-1];
        bool joined = before == ' ' || (t->joins_space[before / 64] >> before % 64 & 1) != 0;
        if (*p == ' ' && (t->split_words || !joined)) {
            return p;
        }
    }
    return end;
}

/* Pieces of a vocabulary of characters. */
static enum status encode_pieces(struct encoding *e, const uint8_t *at, const uint8_t *end)
{
    const struct tokenizer *t = e->tokenizer;
    enum status status = OK;
    double score = 0;
    e->output.unknown_last = false;
    while (status == OK && at < end && !is_full(e)) {
        const uint8_t *stop = piece_end(t, at, end);
        size_t byte_count = (size_t)(stop - at);
        if (t->vocabulary.kind == VOCABULARY_UNIGRAM) {
            score = t->split_words ? 0 : score;
            status = unigram_encode(&t->vocabulary, at, byte_count, &score, &e->output, e->err);
        } else {
            status = bpe_encode(&t->vocabulary, &e->scratch, at, byte_count, &e->output, e->err);
        }
        e->output.unknown_last = e->output.unknown_last && !t->split_words;
        at = stop;
    }
    return status;
}

/* Whether a space goes in front of text; first: nothing of the input is in front of it. */
static bool wants_prefix(const struct tokenizer *t, const uint8_t *text, size_t text_bytes,
                         bool first)
{
    bool here = (t->prefix & TOKENIZER_PREFIX_EACH) != 0 ||
                ((t->prefix & TOKENIZER_PREFIX_FIRST) != 0 && first);
    bool spaced = (t->prefix & TOKENIZER_PREFIX_UNLESS_SPACE) != 0 && text[0] == ' ';
    return here && text_bytes > 0 && !spaced;
}

/* Words of a stretch without special tokens; room[-1] may be written. */
static enum status encode_stretch(struct encoding *e, uint8_t *text, size_t text_bytes, bool first)
{
    const struct tokenizer *t = e->tokenizer;
    uint8_t kept = text[-1];
    if (e->drop_guards) {
        text_bytes = guard_drop(text, text_bytes, text);
    }
    bool late = (t->prefix & TOKENIZER_PREFIX_NORMALIZED) == 0;
    if (late && wants_prefix(t, text, text_bytes, first)) {
        text--;
        text_bytes++;
        text[0] = ' ';
    } else {
        late = false;
    }
    enum status status = vocabulary_is_byte_level(&t->vocabulary)
                             ? encode_words(e, text, text_bytes)
                             : encode_pieces(e, text, text + text_bytes);
    if (late) {
        text[0] = kept;
    }
    return status;
}

/* Normalised text: the tokens that are looked for in it, and what is between. */
static enum status encode_normalized(struct encoding *e, uint8_t *text, size_t text_bytes,
                                     bool first)
{
    const struct special_scan *scan = e->parse_special ? &e->tokenizer->normalized_control
                                                       : &e->tokenizer->normalized_user_defined;
    uint8_t *end = text + text_bytes;
    uint8_t *at = text;
    struct special_match match;
    enum status status = OK;
    while (status == OK && !is_full(e) && special_scan_find(scan, text, at, end, &match)) {
        if (match.begin > at) {
            status = encode_stretch(e, at, (size_t)(match.begin - at), first && at == text);
        }
        bpe_push(&e->output, match.id);
        at += match.end - at;
    }
    if (status == OK && at < end && !is_full(e)) {
        status = encode_stretch(e, at, (size_t)(end - at), first && at == text);
    }
    return status;
}

/* Byte-level text that nothing is done to needs no copy. */
static bool is_plain(const struct tokenizer *t)
{
    return vocabulary_is_byte_level(&t->vocabulary) && t->prefix == 0 &&
           t->normalized_control.count == 0;
}

static enum status encode_plain(struct encoding *e, const uint8_t *begin, const uint8_t *end,
                                bool first);

/* Plain text with guards in it, where no control token is looked for behind this point. */
static enum status encode_guarded(struct encoding *e, const uint8_t *begin, const uint8_t *end,
                                  bool first)
{
    size_t byte_count = (size_t)(end - begin);
    uint8_t *copy = malloc(byte_count);
    if (copy == NULL) {
        return error_set(e->err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", byte_count);
    }
    size_t kept = guard_drop(begin, byte_count, copy);
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
    const struct tokenizer *t = e->tokenizer;
    if (begin == end) {
        return OK;
    }
    bool guarded = e->drop_guards && guard_is_in(begin, (size_t)(end - begin));
    if (guarded && t->normalized_control.count == 0) {
        return encode_guarded(e, begin, end, first);
    }
    uint8_t *normal = NULL;
    size_t byte_count = 0;
    enum status status = normalizer_apply(&t->normalizer, begin, (size_t)(end - begin), &normal,
                                          &byte_count, e->err);
    const uint8_t *text = normal != NULL ? normal : begin;
    if (status != OK || is_plain(t)) {
        status = status == OK ? encode_words(e, text, byte_count) : status;
        free(normal);
        return status;
    }
    enum {
        ROOM = 2 /* in front: for a prefix of the whole, and of a stretch */
    };
    uint8_t *buffer = malloc(byte_count + ROOM);
    if (buffer == NULL) {
        free(normal);
        return error_set(e->err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", byte_count);
    }
    uint8_t *copy = buffer + ROOM;
    if (vocabulary_is_byte_level(&t->vocabulary)) {
        memcpy(copy, text, byte_count);
    } else {
        byte_count = spacing_copy(t->remove_extra_spaces, text, byte_count, copy);
    }
    free(normal);
    buffer[0] = buffer[1] = ' ';
    if ((t->prefix & TOKENIZER_PREFIX_NORMALIZED) && wants_prefix(t, copy, byte_count, first)) {
        copy--;
        byte_count++;
    }
    status = encode_normalized(e, copy, byte_count, first);
    free(buffer);
    return status;
}

static enum status encode_text(struct encoding *e, const uint8_t *text, const uint8_t *end)
{
    const struct tokenizer *t = e->tokenizer;
    const struct special_scan *scan = e->parse_special ? &t->control : &t->user_defined;
    const uint8_t *at = text;
    struct special_match match;
    enum status status = OK;
    while (status == OK && !is_full(e) && special_scan_find(scan, text, at, end, &match)) {
        status = encode_plain(e, at, match.begin, at == text);
        if (status == OK) {
            bpe_push(&e->output, match.id);
        }
        at = match.end;
    }
    return status == OK && !is_full(e) ? encode_plain(e, at, end, at == text) : status;
}

/* Byte-level files often name an ordinary control token here; that must not come out of text. */
static uint32_t unknown_id(const struct tokenizer *t)
{
    uint32_t id = t->ids.unknown;
    bool usable = id != TOKEN_NONE && (!vocabulary_is_byte_level(&t->vocabulary) ||
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
        .output = {.ids = ids,
                   .max = id_count_max,
                   .unknown = unknown_id(tokenizer),
                   .fuse_unknown = tokenizer->fuse_unknown},
        .drop_guards = (flags & TOKENIZER_DROP_GUARDS) != 0,
        .err = err,
        .parse_special = (flags & TOKENIZER_PARSE_SPECIAL) != 0,
    };
    if ((flags & TOKENIZER_ADD_SPECIAL) && special->add_bos) {
        for (uint32_t i = 0; i < special->begin_count; i++) {
            bpe_push(&e.output, special->begins[i]);
        }
    }
    const uint8_t *begin = (const uint8_t *)text;
    enum status status = encode_text(&e, begin, text_bytes > 0 ? begin + text_bytes : begin);
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
