/* detokenizer.c - bytes of tokens in, whole characters out.
 *
 * A character may be spread over several tokens, so up to three bytes wait for the rest. What
 * cannot become a character any more is replaced at once: one U+FFFD for each maximal ill-formed
 * part, as the Unicode standard recommends, so that streamed and whole output are equal.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_keys.h"
#include "engine/tokenizer/tokenizer_state.h"

#include <assert.h>
#include <string.h>

static const char replacement[3] = {'\xEF', '\xBF', '\xBD'};

void detokenizer_init(struct detokenizer *detokenizer, const struct tokenizer *tokenizer,
                      bool show_special, bool continues_text)
{
    *detokenizer = (struct detokenizer){
        .tokenizer = tokenizer,
        .show_special = show_special,
        .at_start = !continues_text && tokenizer->strip != TOKENIZER_STRIP_NONE,
    };
}

static void drop_held(struct detokenizer *d, uint32_t byte_count)
{
    d->held_bytes -= byte_count;
    memmove(d->held, d->held + byte_count, d->held_bytes);
}

/* Gives out what is decided of the held bytes. */
static size_t settle(struct detokenizer *d, char *out)
{
    size_t written = 0;
    while (d->held_bytes > 0) {
        const uint8_t *held = (const uint8_t *)d->held;
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(held, held + d->held_bytes, &code);
        if (bytes > 0) {
            memcpy(out + written, held, bytes);
            written += bytes;
            drop_held(d, bytes);
            continue;
        }
        bool unfinished = false;
        bytes = char_class_ill_formed(held, held + d->held_bytes, &unfinished);
        if (unfinished) {
            break;
        }
        memcpy(out + written, replacement, sizeof replacement);
        written += sizeof replacement;
        drop_held(d, bytes);
    }
    return written;
}

size_t detokenizer_feed(struct detokenizer *detokenizer, uint32_t token_id, char *out,
                        size_t out_bytes_max)
{
    size_t byte_count = 0;
    const char *bytes = tokenizer_token_bytes(detokenizer->tokenizer, token_id,
                                              detokenizer->show_special, &byte_count);
    assert(out_bytes_max >= 3 * byte_count + 16);
    if (detokenizer->at_start && byte_count > 0) {
        bool all = detokenizer->tokenizer->strip == TOKENIZER_STRIP_FIRST_TOKEN;
        for (bool more = true; more && byte_count > 0 && bytes[0] == ' '; more = all) {
            bytes++;
            byte_count--;
        }
        detokenizer->at_start =
            detokenizer->tokenizer->strip == TOKENIZER_STRIP_EACH && byte_count == 0;
    }
    size_t written = 0;
    for (size_t i = 0; i < byte_count; i++) {
        if (detokenizer->held_bytes == 0 && (unsigned char)bytes[i] < 128) {
            out[written++] = bytes[i];
            continue;
        }
        detokenizer->held[detokenizer->held_bytes++] = bytes[i];
        written += settle(detokenizer, out + written);
    }
    return written;
}

size_t detokenizer_finish(struct detokenizer *detokenizer, char *out, size_t out_bytes_max)
{
    if (detokenizer->held_bytes == 0) {
        return 0;
    }
    /* What waits is the beginning of one character: one ill-formed part. */
    assert(out_bytes_max >= sizeof replacement);
    memcpy(out, replacement, sizeof replacement);
    detokenizer->held_bytes = 0;
    return sizeof replacement;
}
