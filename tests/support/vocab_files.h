/* vocab_files.h - tokenizers published in other forms, as the metadata of a GGUF file.
 *
 * So that vectors made with the original files can be met by the one loader there is. Fails the
 * running test on a malformed file; false when there is none.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_VOCAB_FILES_H
#define TESTS_SUPPORT_VOCAB_FILES_H

#include "tests/support/gguf_writer.h"

#include <stdbool.h>
#include <stddef.h>

/* A whole file and a terminating zero, from malloc; NULL when it cannot be read. */
char *vocab_files_read(const char *path, size_t *byte_count);

/* tiktoken ranks ("base64 rank" a line) as a byte-level vocabulary with the merges they imply:
 * every way to cut a token in two other tokens, in order of rank. */
bool vocab_files_add_tiktoken(struct gguf_writer *writer, const char *path, const char *pre);

/* A SentencePiece model file, with its own setting of extra spaces. */
bool vocab_files_add_sentencepiece(struct gguf_writer *writer, const char *path);

#endif
