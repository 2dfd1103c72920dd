/* small_vocab.c - the entries are written when the vocabulary is opened, so that a test may put
 * broken ones in their place first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/small_vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct small_vocab *take(bool sentence)
{
    struct small_vocab *vocab = calloc(1, sizeof *vocab);
    if (vocab == NULL) {
        abort();
    }
    vocab->sentence = sentence;
    gguf_writer_init(&vocab->writer);
    gguf_writer_add_string(&vocab->writer, "tokenizer.ggml.model", sentence ? "llama" : "gpt2");
    return vocab;
}

struct small_vocab *small_vocab_sentence(void)
{
    struct small_vocab *vocab = take(true);
    small_vocab_add(vocab, "<unk>", SMALL_UNKNOWN, 0);
    small_vocab_add(vocab, "<s>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "</s>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "\xE2\x96\x81", SMALL_NORMAL, -1000);
    return vocab;
}

struct small_vocab *small_vocab_byte_level(const char *pre)
{
    struct small_vocab *vocab = take(false);
    gguf_writer_add_string(&vocab->writer, "tokenizer.ggml.pre", pre);
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
        unsigned code = itself ? byte : next++;
        char text[3] = {(char)code, '\0', '\0'};
        if (code >= 0x80) {
            text[0] = (char)(0xC0 | code >> 6);
            text[1] = (char)(0x80 | (code & 0x3F));
        }
        small_vocab_add(vocab, text, SMALL_NORMAL, 0);
    }
    return vocab;
}

void small_vocab_drop(struct small_vocab *vocab)
{
    gguf_writer_release(&vocab->writer);
    free(vocab);
}

void small_vocab_add_bytes(struct small_vocab *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        small_vocab_add(vocab, text, SMALL_BYTE, 0);
    }
}

static struct gguf_string keep(struct small_vocab *vocab, const char *text)
{
    size_t byte_count = strlen(text);
    char *at = vocab->text + vocab->text_bytes;
    if (SMALL_VOCAB_TEXT_BYTES - vocab->text_bytes <= byte_count) {
        abort();
    }
    memcpy(at, text, byte_count + 1);
    vocab->text_bytes += byte_count;
    return (struct gguf_string){at, byte_count};
}

uint32_t small_vocab_add(struct small_vocab *vocab, const char *text, int32_t type, float score)
{
    if (vocab->count == SMALL_VOCAB_TOKENS_MAX) {
        abort();
    }
    vocab->tokens[vocab->count] = keep(vocab, text);
    vocab->types[vocab->count] = type;
    vocab->scores[vocab->count] = score;
    return vocab->count++;
}

uint32_t small_vocab_id(const struct small_vocab *vocab, const char *text)
{
    for (uint32_t id = 0; id < vocab->count; id++) {
        if (gguf_string_equal(vocab->tokens[id], text)) {
            return id;
        }
    }
    return TOKEN_NONE;
}

uint32_t small_vocab_merge(struct small_vocab *vocab, const char *left, const char *right)
{
    char text[1024];
    if (vocab->merge_count == SMALL_VOCAB_TOKENS_MAX) {
        abort();
    }
    snprintf(text, sizeof text, "%s %s", left, right);
    vocab->merges[vocab->merge_count++] = keep(vocab, text);
    snprintf(text, sizeof text, "%s%s", left, right);
    uint32_t id = small_vocab_id(vocab, text);
    return id != TOKEN_NONE ? id : small_vocab_add(vocab, text, SMALL_NORMAL, 0);
}

static bool has_entry(const struct gguf_writer *writer, const char *key)
{
    for (uint64_t i = 0; i < writer->entry_count; i++) {
        const struct gguf_writer_entry *entry = &writer->entries[i];
        if (entry->key_bytes == strlen(key) && memcmp(entry->key, key, entry->key_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static void add_arrays(struct small_vocab *vocab)
{
    struct gguf_writer *writer = &vocab->writer;
    if (!has_entry(writer, "tokenizer.ggml.tokens")) {
        gguf_writer_add_strings(writer, "tokenizer.ggml.tokens", vocab->tokens, vocab->count);
    }
    if (!has_entry(writer, "tokenizer.ggml.token_type")) {
        gguf_writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_INT32, vocab->types,
                              vocab->count);
    }
    if (vocab->sentence && !has_entry(writer, "tokenizer.ggml.scores")) {
        gguf_writer_add_array(writer, "tokenizer.ggml.scores", GGUF_FLOAT32, vocab->scores,
                              vocab->count);
    }
    if (!vocab->sentence && !has_entry(writer, "tokenizer.ggml.merges")) {
        gguf_writer_add_strings(writer, "tokenizer.ggml.merges", vocab->merges, vocab->merge_count);
    }
}

enum status small_vocab_open(struct small_tokenizer *out, struct small_vocab *vocab,
                             struct error *err)
{
    *out = (struct small_tokenizer){0};
    add_arrays(vocab);
    uint64_t byte_count = 0;
    out->bytes = gguf_writer_finish(&vocab->writer, &byte_count);
    small_vocab_drop(vocab);
    enum status status = gguf_parse(&out->file, out->bytes, byte_count, "small.gguf", err);
    if (status == OK) {
        status = tokenizer_open(&out->tokenizer, &out->file, err);
    }
    if (status != OK) {
        small_vocab_close(out);
    }
    return status;
}

void small_vocab_close(struct small_tokenizer *opened)
{
    tokenizer_close(opened->tokenizer);
    gguf_close(&opened->file);
    free(opened->bytes);
    *opened = (struct small_tokenizer){0};
}
