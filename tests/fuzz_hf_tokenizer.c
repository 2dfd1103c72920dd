/* fuzz_hf_tokenizer.c - any tokenizer.json and any SentencePiece model, opened and used.
 *
 * The first byte picks the reader. Checked beyond memory safety: a refusal has a message, ids are of
 * the vocabulary, their number keeps the bound, and decoding takes what encoding made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_tokenizer.h"
#include "engine/formats/sentencepiece_model.h"
#include "engine/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "The  quick <s>\xE2\x96\x81 it's 123\n\xF0\x9F\x98\x80\xFF a\xCC\x81 <|x|> ab ";

enum {
    BOUND_MAX = 1 << 24 /* replacements in a row can make any text long: not of interest here */
};

static void use(const struct tokenizer *tokenizer, unsigned flags)
{
    size_t bound = tokenizer_id_count_bound(tokenizer, sizeof text);
    if (bound > BOUND_MAX) {
        return;
    }
    uint32_t *ids = malloc(bound * sizeof *ids);
    size_t count = 0;
    if (ids == NULL ||
        tokenizer_encode(tokenizer, text, sizeof text, flags, ids, bound, &count, NULL) != OK) {
        abort(); /* the bound is one */
    }
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, false, false);
    for (size_t i = 0; i < count; i++) {
        size_t byte_count = 0;
        if (ids[i] >= tokenizer_info(tokenizer)->vocab_count) {
            abort();
        }
        tokenizer_token_bytes(tokenizer, ids[i], true, &byte_count);
        size_t room = 3 * byte_count + 16;
        char *out = malloc(room);
        if (out == NULL || detokenizer_feed(&detokenizer, ids[i], out, room) > room) {
            abort();
        }
        free(out);
    }
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf_builder builder;
    struct gguf file;
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    if (size == 0) {
        return 0;
    }
    gguf_builder_init(&builder, "fuzzed");
    enum status status =
        data[0] == 'm' ? sentencepiece_model_read(&builder, data + 1, size - 1, 0, "fuzzed", &err)
                       : hf_tokenizer_parse(&builder, (const char *)data, size, "fuzzed", &err);
    if (status != OK) {
        if (err.message[0] == '\0' || strchr(err.message, '\n') != NULL) {
            abort();
        }
        gguf_builder_release(&builder);
        return 0;
    }
    if (gguf_builder_finish(&builder, &file, &err) != OK) {
        return 0;
    }
    if (tokenizer_open(&tokenizer, &file, &err) == OK) {
        use(tokenizer, 0);
        use(tokenizer, TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_SPECIAL);
    }
    tokenizer_close(tokenizer);
    gguf_close(&file);
    return 0;
}
