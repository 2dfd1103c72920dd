/* fuzz_tokenizer.c - any text through small vocabularies, and any vocabulary through the loader.
 *
 * The first byte picks what happens. Checked beyond memory safety: byte-level text comes back,
 * streamed text equals the tokens' bytes where these are well-formed, the output's bound holds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/small_vocab.h"

#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES_MAX = 4096,
    IDS_MAX = 3 * TEXT_BYTES_MAX + 2,
    TOKENIZER_COUNT = 10,
    TOKENS_BUILT_MAX = 300,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pre_names[TOKENIZER_COUNT - 2] = {
    "gpt-2", "llama-bpe", "qwen2", "qwen35", "gpt-4o", "deepseek-llm", "falcon", "deepseek-v3"};

static struct tokenizer *open_byte_level(struct small_tokenizer *opened, const char *pre)
{
    struct small_vocab *vocab = small_vocab_byte_level(pre);
    static const char *const merges[][2] = {
        {"a", "a"}, {"a", "b"},   {"aa", "aa"}, {"\xC4\xA0", "a"}, {"\xC3\x83", "\xC2\xA9"},
        {"e", "s"}, {"aa", "ab"}, {"1", "2"},   {"!", "!"},        {"\xC4\x8A", "\xC4\x8A"}};
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        small_vocab_merge(vocab, merges[i][0], merges[i][1]);
    }
    small_vocab_add(vocab, "<|im_end|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<|im_start|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<a>", SMALL_USER_DEFINED, 0);
    small_vocab_add(vocab, "<a><b>", SMALL_USER_DEFINED, 0);
    if (small_vocab_open(opened, vocab, NULL) != OK) {
        abort();
    }
    return opened->tokenizer;
}

static struct tokenizer *open_sentence(struct small_tokenizer *opened, bool with_bytes)
{
    struct small_vocab *vocab = small_vocab_sentence();
    static const char *const texts[] = {
        "a",        "b",         "aa", "ab", "aab", "\u2581a", "\xE2\x96\x81\xE2\x96\x81",
        "\xC3\xA9", "a\xC3\xA9", "<s"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        small_vocab_add(vocab, texts[i], SMALL_NORMAL, -(float)(i % 4));
    }
    if (with_bytes) {
        small_vocab_add_bytes(vocab);
    } else {
        small_vocab_add(vocab, "a\xE2\x96\x81", SMALL_NORMAL, -1);
        gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.remove_extra_whitespaces", true);
    }
    if (small_vocab_open(opened, vocab, NULL) != OK) {
        abort();
    }
    return opened->tokenizer;
}

static struct tokenizer *tokenizer_of(size_t which)
{
    static struct small_tokenizer opened[TOKENIZER_COUNT];
    if (which >= TOKENIZER_COUNT) {
        abort();
    }
    if (opened[which].tokenizer != NULL) {
        return opened[which].tokenizer;
    }
    if (which < TOKENIZER_COUNT - 2) {
        return open_byte_level(&opened[which], pre_names[which]);
    }
    return open_sentence(&opened[which], which == TOKENIZER_COUNT - 1);
}

static void check_text(const struct tokenizer *tokenizer, const char *text, size_t text_bytes,
                       unsigned flags)
{
    static uint32_t ids[IDS_MAX];
    static char back[16 * IDS_MAX];
    static char streamed[48 * IDS_MAX];
    size_t count = 0;
    if (tokenizer_encode(tokenizer, text, text_bytes, flags, ids, IDS_MAX, &count, NULL) != OK ||
        count > tokenizer_id_count_bound(tokenizer, text_bytes)) {
        abort();
    }
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, true, true);
    size_t back_bytes = 0;
    size_t streamed_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t byte_count = 0;
        const char *bytes = tokenizer_token_bytes(tokenizer, ids[i], true, &byte_count);
        memcpy(back + back_bytes, bytes, byte_count);
        back_bytes += byte_count;
        streamed_bytes += detokenizer_feed(&detokenizer, ids[i], streamed + streamed_bytes,
                                           sizeof streamed - streamed_bytes);
    }
    streamed_bytes += detokenizer_finish(&detokenizer, streamed + streamed_bytes,
                                         sizeof streamed - streamed_bytes);
    if (streamed_bytes < back_bytes / 4 || streamed_bytes > 3 * back_bytes) {
        abort();
    }
    const struct tokenizer_info *info = tokenizer_info(tokenizer);
    bool exact = strcmp(info->model_name, "gpt2") == 0 && strncmp(info->pre_name, "qwen", 4) != 0 &&
                 (flags & TOKENIZER_ADD_SPECIAL) == 0;
    if (exact && (back_bytes != text_bytes || memcmp(back, text, text_bytes) != 0)) {
        abort();
    }
}

/* A vocabulary out of the input: [length, type, score, text ...] a token. */
static void check_vocabulary(const uint8_t *data, size_t size)
{
    static const char *const merges[] = {"a b", "ab a"};
    struct small_vocab *vocab =
        data[0] & 1 ? small_vocab_sentence() : small_vocab_byte_level("qwen2");
    size_t at = 1;
    for (uint32_t i = 0; i < TOKENS_BUILT_MAX && size - at >= 3; i++) {
        size_t length = data[at] % 12;
        int32_t type = data[at + 1] % 8;
        float score = (float)(int8_t)data[at + 2];
        char text[16] = {0};
        at += 3;
        length = length < size - at ? length : size - at;
        memcpy(text, data + at, length);
        at += length;
        small_vocab_add(vocab, text, type, score);
    }
    for (size_t i = 0; i < (data[0] >> 1) % 3u; i++) {
        vocab->merges[vocab->merge_count++] = (struct gguf_string){merges[i], strlen(merges[i])};
    }
    struct small_tokenizer opened;
    if (small_vocab_open(&opened, vocab, NULL) == OK) {
        static uint32_t ids[IDS_MAX];
        size_t count = 0;
        size_t text_bytes = size < 512 ? size : 512;
        tokenizer_encode(opened.tokenizer, (const char *)data, text_bytes, data[0] >> 4, ids,
                         IDS_MAX, &count, NULL);
        small_vocab_close(&opened);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TEXT_BYTES_MAX) {
        return 0;
    }
    size_t which = data[0] % (TOKENIZER_COUNT + 1);
    if (which >= TOKENIZER_COUNT) {
        check_vocabulary(data + 1, size - 1);
        return 0;
    }
    check_text(tokenizer_of(which), (const char *)data + 1, size - 1, data[0] >> 6);
    return 0;
}
