/* Tokens beyond bytes come in four families, each built from the ones before it: space+letter,
 * two letters, space+three letters, four letters. Their spellings differ in length or in the
 * space, so all are distinct, and number 475,254: more than any vocabulary asks for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/synth_vocab.h"

#include "tests/support/synth_model.h"

#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES = 24, /* of one token, or of one merge rule */
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN = 2,
    TYPE_CONTROL = 3,
    TYPE_BYTE = 6,
    LETTERS = 26,
    PAIRS = LETTERS * LETTERS,
};

static const char *const control_tokens[SYNTH_CONTROL_COUNT] = {"<|bos|>", "<|endoftext|>",
                                                                "<|im_start|>", "<|im_end|>"};

struct vocab {
    uint32_t count; /* tokens so far */
    uint32_t count_max;
    const char *space; /* how the vocabulary spells a space */
    char (*texts)[TEXT_BYTES];
    struct gguf_string *tokens;
    int32_t *types;
    float *scores;
    char (*merge_texts)[TEXT_BYTES];
    struct gguf_string *merges;
    uint32_t merge_count;
};

static void *take_memory(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void add_token(struct vocab *vocab, const char *text, int32_t type, float score)
{
    uint32_t id = vocab->count++;
    snprintf(vocab->texts[id], TEXT_BYTES, "%s", text);
    vocab->tokens[id] = (struct gguf_string){vocab->texts[id], strlen(vocab->texts[id])};
    vocab->types[id] = type;
    vocab->scores[id] = score;
}

/* A token that two others make, unless the vocabulary is full. */
static void add_merge(struct vocab *vocab, const char *left, const char *right)
{
    if (vocab->count + SYNTH_CONTROL_COUNT >= vocab->count_max) {
        return;
    }
    uint32_t i = vocab->merge_count++;
    char whole[TEXT_BYTES];
    snprintf(whole, sizeof whole, "%s%s", left, right);
    snprintf(vocab->merge_texts[i], TEXT_BYTES, "%s %s", left, right);
    vocab->merges[i] = (struct gguf_string){vocab->merge_texts[i], strlen(vocab->merge_texts[i])};
    add_token(vocab, whole, TYPE_NORMAL, -(float)(i + 1));
}

static void spell(char *out, size_t out_bytes, const char *front, uint32_t number, int letters)
{
    size_t at = (size_t)snprintf(out, out_bytes, "%s", front);
    for (int i = letters - 1; i >= 0; i--) {
        out[at + (size_t)i] = (char)('a' + number % LETTERS);
        number /= LETTERS;
    }
    out[at + (size_t)letters] = '\0';
}

static void add_merges(struct vocab *vocab)
{
    char left[TEXT_BYTES];
    char right[TEXT_BYTES];
    for (uint32_t i = 0; i < LETTERS; i++) {
        spell(right, sizeof right, "", i, 1);
        add_merge(vocab, vocab->space, right);
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        spell(left, sizeof left, "", i / LETTERS, 1);
        spell(right, sizeof right, "", i % LETTERS, 1);
        add_merge(vocab, left, right);
    }
    for (uint32_t i = 0; i < LETTERS * PAIRS; i++) {
        spell(left, sizeof left, vocab->space, i / PAIRS, 1);
        spell(right, sizeof right, "", i % PAIRS, 2);
        add_merge(vocab, left, right);
    }
    for (uint32_t i = 0; i < PAIRS * PAIRS; i++) {
        spell(left, sizeof left, "", i / PAIRS, 2);
        spell(right, sizeof right, "", i % PAIRS, 2);
        add_merge(vocab, left, right);
    }
}

/* GPT-2's spelling of bytes: visible Latin-1 characters stand for themselves, the others for
 * U+0100 and up in ascending order. */
static void add_byte_level_bytes(struct vocab *vocab)
{
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        unsigned code = visible ? byte : next++;
        char text[3] = {(char)code, '\0', '\0'};
        if (code >= 0x80) {
            text[0] = (char)(0xc0 | code >> 6);
            text[1] = (char)(0x80 | (code & 0x3f));
        }
        add_token(vocab, text, TYPE_NORMAL, 0.0f);
    }
}

static void add_sentencepiece_bytes(struct vocab *vocab)
{
    add_token(vocab, "<unk>", TYPE_UNKNOWN, 0.0f);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(vocab, text, TYPE_BYTE, 0.0f);
    }
    add_token(vocab, vocab->space, TYPE_NORMAL, -1e6f);
    for (int c = 0x21; c < 0x7f; c++) {
        add_token(vocab, (char[2]){(char)c, '\0'}, TYPE_NORMAL, -1e6f);
    }
}

static void fill(struct vocab *vocab, bool spm)
{
    vocab->space = spm ? "\xe2\x96\x81" : "\xc4\xa0"; /* U+2581, U+0120 */
    if (spm) {
        add_sentencepiece_bytes(vocab);
    } else {
        add_byte_level_bytes(vocab);
    }
    add_merges(vocab);
    while (vocab->count + SYNTH_CONTROL_COUNT < vocab->count_max) {
        char text[TEXT_BYTES];
        snprintf(text, sizeof text, "<|unused%u|>", vocab->count);
        add_token(vocab, text, TYPE_CONTROL, 0.0f);
    }
    for (int i = 0; i < SYNTH_CONTROL_COUNT; i++) {
        add_token(vocab, control_tokens[i], TYPE_CONTROL, 0.0f);
    }
}

static void write_vocab(struct gguf_writer *writer, const struct vocab *vocab, bool spm,
                        const char *pre)
{
    gguf_writer_add_string(writer, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    gguf_writer_add_string(writer, "tokenizer.ggml.pre", spm ? "default" : pre);
    gguf_writer_add_strings(writer, "tokenizer.ggml.tokens", vocab->tokens, vocab->count);
    gguf_writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_INT32, vocab->types,
                          vocab->count);
    if (spm) {
        gguf_writer_add_array(writer, "tokenizer.ggml.scores", GGUF_FLOAT32, vocab->scores,
                              vocab->count);
        gguf_writer_add_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
    } else {
        gguf_writer_add_strings(writer, "tokenizer.ggml.merges", vocab->merges, vocab->merge_count);
    }
}

void synth_vocab_add(struct gguf_writer *writer, uint32_t vocab_count, bool spm, const char *pre,
                     bool add_bos)
{
    struct vocab vocab = {
        .count_max = vocab_count,
        .texts = take_memory(vocab_count, sizeof *vocab.texts),
        .tokens = take_memory(vocab_count, sizeof *vocab.tokens),
        .types = take_memory(vocab_count, sizeof *vocab.types),
        .scores = take_memory(vocab_count, sizeof *vocab.scores),
        .merge_texts = take_memory(vocab_count, sizeof *vocab.merge_texts),
        .merges = take_memory(vocab_count, sizeof *vocab.merges),
    };
    fill(&vocab, spm);
    write_vocab(writer, &vocab, spm, pre);
    gguf_writer_add_u32(writer, "tokenizer.ggml.bos_token_id", vocab_count - SYNTH_BOS_FROM_END);
    gguf_writer_add_u32(writer, "tokenizer.ggml.eos_token_id", vocab_count - SYNTH_IM_END_FROM_END);
    gguf_writer_add_u32(writer, "tokenizer.ggml.padding_token_id",
                        vocab_count - SYNTH_EOS_FROM_END);
    gguf_writer_add_bool(writer, "tokenizer.ggml.add_bos_token", add_bos);
    gguf_writer_add_string(
        writer, "tokenizer.chat_template",
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
    free(vocab.texts);
    free(vocab.tokens);
    free(vocab.types);
    free(vocab.scores);
    free(vocab.merge_texts);
    free(vocab.merges);
}
