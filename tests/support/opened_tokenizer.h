/* opened_tokenizer.h - a tokenizer by path, whatever format the file or directory is in.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_OPENED_TOKENIZER_H
#define TESTS_SUPPORT_OPENED_TOKENIZER_H

#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"

struct opened_tokenizer {
    struct gguf file;
    struct tokenizer *tokenizer;
};

/* A directory, a .gguf, a tokenizer.json or a SentencePiece .model. On failure *out is empty. */
enum status opened_tokenizer_open(struct opened_tokenizer *out, const char *path,
                                  struct error *err);

/* A tokenizer.json in memory. */
enum status opened_tokenizer_parse(struct opened_tokenizer *out, const char *json,
                                   size_t json_bytes, struct error *err);
void opened_tokenizer_close(struct opened_tokenizer *opened);

#endif
