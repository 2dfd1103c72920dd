/* hf_pipeline.c - every step is one row of a table of what is known; the rest is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_pipeline.h"

#include "engine/formats/base64.h"
#include "engine/formats/hf_steps.h"
#include "engine/formats/json_field.h"
#include "engine/tokenizer/charsmap.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdlib.h>
#include <string.h>

static bool step_is(const struct hf_pipeline *p, uint32_t i, const char *text)
{
    return i < p->step_text_count && gguf_string_equal(p->step_texts[i], text);
}

/* Takes the pair that SentencePiece's own treatment of spaces became out of the steps: its sign put
 * in front, and in the place of each space. Both orders come to the same. */
static void take_space_steps(struct hf_pipeline *p)
{
    uint32_t count = p->step_text_count;
    uint32_t replace = count >= 3 ? count - 3 : count;
    bool prepend_last = count >= 5 && step_is(p, count - 2, "prepend") &&
                        step_is(p, count - 1, HF_STEPS_SPACE_SIGN);
    if (prepend_last) {
        replace = count - 5;
    }
    if (!step_is(p, replace, "replace") || !step_is(p, replace + 1, " ") ||
        !step_is(p, replace + 2, HF_STEPS_SPACE_SIGN)) {
        return;
    }
    bool prepend_first = !prepend_last && replace >= 2 && step_is(p, replace - 2, "prepend") &&
                         step_is(p, replace - 1, HF_STEPS_SPACE_SIGN);
    p->spaces_replaced = true;
    p->step_text_count = prepend_first ? replace - 2 : replace;
    if (prepend_first || prepend_last) {
        p->prefix = TOKENIZER_PREFIX_EACH | TOKENIZER_PREFIX_NORMALIZED;
    }
}

enum status hf_pipeline_read(struct hf_pipeline *pipeline, const json_t *root, const char *path,
                             struct error *err)
{
    *pipeline = (struct hf_pipeline){.path = path, .end = UINT32_MAX};
    enum status status = hf_steps_normalizer(pipeline, root, err);
    if (status == OK) {
        take_space_steps(pipeline);
        status = hf_steps_pre_tokenizer(pipeline, root, err);
    }
    if (status == OK) {
        status = hf_steps_decoder(pipeline, root, err);
    }
    return status == OK ? hf_steps_post_processor(pipeline, root, err) : status;
}

static enum status write_byte_level(const struct hf_pipeline *p, bool ignore_merges,
                                    struct gguf_builder *out, struct error *err)
{
    bool nfc = p->step_text_count == 1 && step_is(p, 0, "nfc");
    struct hf_patterns_names names = {0};
    if (!hf_patterns_find(&p->items, nfc, ignore_merges, &names)) {
        char quoted[JSON_FIELD_QUOTE_BYTES];
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: pre_tokenizer: %u steps beginning with '%s'%s: not a known one",
                         p->path, p->items.count, json_field_quote(p->items.texts[0], quoted),
                         p->items.matches_only ? ", only its matches" : "");
    }
    gguf_builder_set_string(out, "tokenizer.ggml.pre", names.pre);
    if (names.exact != NULL) {
        gguf_builder_set_string(out, TOKENIZER_KEY_PRE, names.exact);
    }
    return OK;
}

static enum status check_characters(const struct hf_pipeline *p, const struct hf_vocab *vocab,
                                    struct error *err)
{
    if (!p->spaces_replaced || p->items.count > 0) {
        char quoted[JSON_FIELD_QUOTE_BYTES];
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: pre_tokenizer: '%s' and neither ByteLevel nor Metaspace", p->path,
                         p->items.count > 0 ? json_field_quote(p->items.texts[0], quoted) : "none");
    }
    if (vocab->ignore_merges && !p->split_words) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: model.ignore_merges: true, for text that is not split into words",
                         p->path);
    }
    if (!vocab->byte_fallback && vocab->unknown == UINT32_MAX) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: model.unk_token: none, and model.byte_fallback is false", p->path);
    }
    if (vocab->byte_fallback && !p->bytes_fall_back) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: decoder: no ByteFallback, but model.byte_fallback is true", p->path);
    }
    return OK;
}

static enum status write_charsmap(const struct hf_pipeline *p, struct gguf_builder *out,
                                  struct error *err)
{
    if (p->charsmap.byte_count == 0) {
        return OK;
    }
    size_t byte_count = 0;
    uint8_t *bytes = malloc(p->charsmap.byte_count);
    if (bytes == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for a table of characters", p->path);
    }
    if (!base64_decode(p->charsmap.bytes, p->charsmap.byte_count, bytes, &byte_count)) {
        free(bytes);
        return error_set(err, ERR_FORMAT, "%s: normalizer.precompiled_charsmap: not base64",
                         p->path);
    }
    gguf_builder_set_u8s(out, CHARSMAP_KEY, bytes, byte_count);
    free(bytes);
    return OK;
}

enum status hf_pipeline_write(const struct hf_pipeline *pipeline, const struct hf_vocab *vocab,
                              struct gguf_builder *out, struct error *err)
{
    const struct hf_pipeline *p = pipeline;
    if (vocab->unigram && p->byte_level) {
        return error_set(err, ERR_UNSUPPORTED, "%s: pre_tokenizer: ByteLevel with a Unigram model",
                         p->path);
    }
    const char *model = vocab->unigram ? "t5" : p->byte_level ? "gpt2" : "llama";
    gguf_builder_set_string(out, "tokenizer.ggml.model", model);
    enum status status = p->byte_level ? write_byte_level(p, vocab->ignore_merges, out, err)
                                       : check_characters(p, vocab, err);
    if (status == OK) {
        status = write_charsmap(p, out, err);
    }
    gguf_builder_set_strings(out, TOKENIZER_KEY_NORMALIZER, p->step_texts, p->step_text_count);
    gguf_builder_set_bool(out, TOKENIZER_KEY_WHOLE_WORDS, vocab->ignore_merges);
    gguf_builder_set_bool(out, "tokenizer.ggml.add_space_prefix", p->prefix != 0);
    gguf_builder_set_u32(out, TOKENIZER_KEY_PREFIX, p->prefix);
    gguf_builder_set_u32(out, TOKENIZER_KEY_STRIP, p->strip);
    if (!p->byte_level) {
        gguf_builder_set_bool(out, "tokenizer.ggml.remove_extra_whitespaces", false);
        gguf_builder_set_bool(out, TOKENIZER_KEY_SPLIT_WORDS, p->split_words);
    }
    return status;
}
