/* special_tokens.c - a token of normalised text is spelled as normalisation would spell it.
 *
 * So does Hugging Face's library, whose files say of each token which text it is looked for in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/special_tokens.h"

#include "engine/tokenizer/spacing.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdlib.h>
#include <string.h>

/* A token's spelling in normalised text, from malloc; NULL when memory is short. */
static uint8_t *normalized_spelling(const struct tokenizer *t, uint32_t id, size_t *byte_count)
{
    const struct vocabulary *v = &t->vocabulary;
    uint8_t *normal = NULL;
    const uint8_t *text = v->text + v->text_at[id];
    if (normalizer_apply(&t->normalizer, text, v->text_at[id + 1] - v->text_at[id], &normal,
                         byte_count, NULL) != OK) {
        return NULL;
    }
    const uint8_t *from = normal != NULL ? normal : text;
    uint8_t *out = malloc(*byte_count + 1);
    if (out != NULL && vocabulary_is_byte_level(v)) {
        memcpy(out, from, *byte_count);
    } else if (out != NULL) {
        bool prefix = (t->prefix & TOKENIZER_PREFIX_NORMALIZED) != 0 && *byte_count > 0;
        out[0] = ' ';
        *byte_count =
            prefix + spacing_copy(t->remove_extra_spaces, from, *byte_count, out + prefix);
    }
    free(normal);
    return out;
}

static bool add_spelling(struct tokenizer *t, uint32_t id)
{
    const struct vocabulary *v = &t->vocabulary;
    bool user_defined = v->types[id] == TOKEN_USER_DEFINED;
    const uint8_t *text = v->text + v->text_at[id];
    uint32_t text_bytes = v->text_at[id + 1] - v->text_at[id];
    if ((v->flags[id] & TOKENIZER_TOKEN_NORMALIZED) == 0) {
        return special_scan_add(&t->control, id, v->flags[id], text, text_bytes) &&
               (!user_defined ||
                special_scan_add(&t->user_defined, id, v->flags[id], text, text_bytes));
    }
    size_t byte_count = 0;
    uint8_t *spelling = normalized_spelling(t, id, &byte_count);
    bool added = spelling != NULL &&
                 special_scan_add(&t->normalized_control, id, v->flags[id], spelling, byte_count) &&
                 (!user_defined || special_scan_add(&t->normalized_user_defined, id, v->flags[id],
                                                    spelling, byte_count));
    free(spelling);
    return added;
}

bool special_tokens_load(struct tokenizer *tokenizer)
{
    struct tokenizer *t = tokenizer;
    for (uint32_t id = 0; id < t->vocabulary.count; id++) {
        bool wanted = t->vocabulary.types[id] == TOKEN_USER_DEFINED ||
                      vocabulary_is_special(&t->vocabulary, id);
        if (wanted && !add_spelling(t, id)) {
            return false;
        }
    }
    bool signs = (t->prefix & TOKENIZER_PREFIX_NORMALIZED) != 0;
    t->normalized_user_defined.plain_spaces_stay = signs;
    t->normalized_control.plain_spaces_stay = signs;
    special_scan_seal(&t->user_defined);
    special_scan_seal(&t->control);
    special_scan_seal(&t->normalized_user_defined);
    special_scan_seal(&t->normalized_control);
    return true;
}
