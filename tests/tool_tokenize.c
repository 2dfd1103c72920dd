/* tool_tokenize.c - texts in, ids and decoded text out: for comparison with other tokenizers.
 *
 * Usage: tool_tokenize PATH [special] [around]: a directory, a .gguf, a tokenizer.json or a .model.
 * special: special tokens are found in text; around: bos and eos as the file says.
 * In, per text: u32 bytes, the bytes. Out: u32 count, the ids as u32; u32 bytes, their text without
 * special tokens, streamed. Little-endian. An empty output file means that opening failed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/opened_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_text(char **text, uint32_t *text_bytes)
{
    if (fread(text_bytes, sizeof *text_bytes, 1, stdin) != 1) {
        return false;
    }
    *text = malloc((size_t)*text_bytes + 1);
    return *text != NULL && fread(*text, 1, *text_bytes, stdin) == *text_bytes;
}

static void write_decoded(const struct tokenizer *tokenizer, const uint32_t *ids, size_t id_count)
{
    size_t room = 64;
    for (size_t i = 0; i < id_count; i++) {
        size_t byte_count = 0;
        tokenizer_token_bytes(tokenizer, ids[i], true, &byte_count);
        room += 3 * byte_count + 16;
    }
    char *text = malloc(room);
    struct detokenizer detokenizer;
    uint32_t written = 0;
    detokenizer_init(&detokenizer, tokenizer, false, false);
    for (size_t i = 0; text != NULL && i < id_count; i++) {
        written += (uint32_t)detokenizer_feed(&detokenizer, ids[i], text + written, room - written);
    }
    if (text != NULL) {
        written += (uint32_t)detokenizer_finish(&detokenizer, text + written, room - written);
        fwrite(&written, sizeof written, 1, stdout);
        fwrite(text, 1, written, stdout);
    }
    free(text);
}

static bool answer(const struct tokenizer *tokenizer, const char *text, uint32_t text_bytes,
                   unsigned flags)
{
    struct error err = {0};
    size_t bound = tokenizer_id_count_bound(tokenizer, text_bytes);
    uint32_t *ids = malloc(bound * sizeof *ids);
    size_t id_count = 0;
    if (ids == NULL ||
        tokenizer_encode(tokenizer, text, text_bytes, flags, ids, bound, &id_count, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        free(ids);
        return false;
    }
    uint32_t count = (uint32_t)id_count;
    fwrite(&count, sizeof count, 1, stdout);
    fwrite(ids, sizeof *ids, id_count, stdout);
    write_decoded(tokenizer, ids, id_count);
    free(ids);
    return true;
}

int main(int argc, char **argv)
{
    struct opened_tokenizer opened;
    struct error err = {0};
    unsigned flags = 0;
    for (int i = 2; i < argc; i++) {
        flags |= strcmp(argv[i], "special") == 0 ? TOKENIZER_PARSE_SPECIAL : 0u;
        flags |= strcmp(argv[i], "around") == 0 ? TOKENIZER_ADD_SPECIAL : 0u;
    }
    if (argc < 2 || opened_tokenizer_open(&opened, argv[1], &err) != OK) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: tool_tokenize PATH [special]" : err.message);
        return 1;
    }
    char *text = NULL;
    uint32_t text_bytes = 0;
    bool good = true;
    while (good && read_text(&text, &text_bytes)) {
        good = answer(opened.tokenizer, text, text_bytes, flags);
        free(text);
        text = NULL;
    }
    free(text);
    opened_tokenizer_close(&opened);
    return good ? 0 : 1;
}
