/* answer.h - the JSON shapes of OpenAI's completions and chat completions, whole and in chunks.
 *
 * Only writes; decides nothing. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "engine/reply.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/output/output_parser.h"
#include "server/params.h"
#include "server/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ANSWER_ID_BYTES = 48
};

/* What every part of one answer repeats. */
struct answer_head {
    enum params_route route;
    char id[ANSWER_ID_BYTES];
    const char *model_name;
    int64_t created;
    const struct tokenizer *tokenizer;
    bool logprobs;        /* the client asked for them */
    bool token_ids;       /* likewise */
    bool usage_in_chunks; /* every chunk has a usage key, null or (continuous) filled */
    bool usage_continuous;
    enum output_id_style id_style; /* of calls */
    uint64_t id_seed;              /* what their ids are drawn from */
};

struct answer_usage {
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens;
};

/* One token with its log-probability. */
struct answer_token {
    uint32_t token_id;
    bool scored; /* false: the first token of a prompt, which nothing predicts */
    float logprob;
    const struct reply_logprob *top; /* [top_count] */
    uint32_t top_count;
    uint64_t text_offset; /* in characters */
};

/* A part of a parsed choice's text. */
struct answer_run {
    enum output_kind kind;
    uint32_t call; /* of calls and arguments: which of the choice's, from 0 */
    size_t begin;  /* in the piece's text */
    size_t byte_count;
};

/* A stretch of one choice: a chunk's, or all of it. */
struct answer_piece {
    uint32_t index;
    const char *text;
    size_t text_bytes;
    const struct answer_run *runs; /* [run_count] of a parsed choice; NULL: all is content. A chunk
                                      has one at most */
    size_t run_count;
    const struct answer_token *tokens; /* [token_count], when logprobs or token ids are wanted */
    size_t token_count;
    size_t hidden_count;        /* leading tokens that are the prompt's (echo): not output ids */
    const uint32_t *prompt_ids; /* [prompt_id_count]; NULL unless token ids are wanted */
    size_t prompt_id_count;
    const char *finish_reason; /* NULL: not the end */
};

/* Chunks, without the event framing. */
void answer_write_role(struct text_buffer *out, const struct answer_head *head,
                       const struct answer_piece *piece, const struct answer_usage *usage);
void answer_write_chunk(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *piece, const struct answer_usage *usage);
void answer_write_usage_chunk(struct text_buffer *out, const struct answer_head *head,
                              const struct answer_usage *usage);

/* The whole answer of a request that does not stream. */
void answer_write_whole(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *pieces, size_t piece_count,
                        const struct answer_usage *usage);

#endif
